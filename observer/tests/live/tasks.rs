//! Where the runtime keeps its task ids is proved on the running server, and the ids are those that it tells itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::time::{Duration, Instant};

use observer::event::Event;
use observer::source::recording::Reader;
use observer::source::{Batch, Source as _, Status};
use observer::syscall;
use observer_common::task;
use serde_json::Value;

use crate::client::Connection;
use crate::kernel;
use crate::observation::Observation;
use crate::run::DEADLINE;
use crate::server::{Loading, Server, announced, not_yet_a_server};

fn header_of(observation: &Observation) -> Value {
    serde_json::from_str(observation.written_so_far().first().expect("the header is there")).unwrap()
}

/// Sends requests in turn on so many connections until the ids are known. Gives those that the server told.
pub(crate) fn prove(server: &Server, observation: &mut Observation, connections: usize) -> BTreeSet<u64> {
    let mut connections: Vec<_> = (0..connections)
        .map(|_| Connection::open(server.address))
        .collect();
    let mut ids = BTreeSet::new();
    let until = Instant::now() + DEADLINE;
    let line = loop {
        for connection in &mut connections {
            ids.insert(connection.get("/task").parse().unwrap());
        }
        let soon = Instant::now() + Duration::from_millis(5);
        if let Some(line) = observation.line_before(soon, "runtime", |line| line["type"] == "runtime") {
            break line;
        }
        assert!(soon < until, "the ids are not known after {DEADLINE:?}");
    };
    assert_eq!(
        (&line["name"], &line["task_ids"]),
        (&"tokio".into(), &true.into()),
        "{line}"
    );
    assert_eq!(line["pid"], server.pid());
    // What comes now is stamped.
    for connection in &mut connections {
        connection.get("/task");
    }
    ids
}

/// The tasks with which threads left their CPUs while they waited for events.
fn waited_in(path: &str) -> BTreeSet<u64> {
    let mut tasks = BTreeSet::new();
    replay(path, |event| {
        if let Event::SwitchOut(out) = event
            && syscall::waits_for_events(out.syscall)
            && out.task != task::UNKNOWN
        {
            tasks.insert(out.task);
        }
    });
    tasks
}

/// The tasks that received, by connection, as far as they are in the recording.
fn recorded(path: &str) -> BTreeMap<u64, BTreeSet<u64>> {
    let mut tasks = BTreeMap::<_, BTreeSet<_>>::new();
    replay(path, |event| {
        if let Event::Receive(receive, _) = event
            && receive.task != task::UNKNOWN
        {
            tasks.entry(receive.conn).or_default().insert(receive.task);
        }
    });
    tasks
}

fn replay(path: &str, mut each: impl FnMut(&Event<'_>)) {
    let (mut reader, _) = Reader::open(File::open(path).unwrap()).unwrap();
    let mut batch = Batch::default();
    loop {
        let status = reader.next(&mut batch).unwrap();
        batch.events().for_each(|event| each(&event.unwrap()));
        if status != Status::More {
            return;
        }
    }
}

#[test]
fn the_task_of_each_connection_is_the_one_that_the_server_tells() {
    let Some(_turn) = kernel::turn() else { return };
    let directory = tempfile::tempdir().unwrap();
    let recording = directory.path().join("live.rec");
    let recording = recording.to_str().unwrap();
    let server = Server::faulty(&[]);
    let mut observation = Observation::of(server.pid(), &["--record", recording]);
    let runtime = &header_of(&observation)["targets"][0]["runtime"];
    assert_eq!(
        (&runtime["name"], &runtime["found_by"]),
        (&"tokio".into(), &"symbols".into())
    );
    let ids = prove(&server, &mut observation, 4);
    observation.finish();
    assert!(
        waited_in(recording).is_disjoint(&ids),
        "who waits for events serves nobody"
    );
    let recorded = recorded(recording);
    assert_eq!(recorded.len(), 4, "{recorded:?}");
    assert!(recorded.values().all(|tasks| tasks.len() == 1), "{recorded:?}");
    assert_eq!(recorded.into_values().flatten().collect::<BTreeSet<_>>(), ids);
}

#[test]
fn one_connection_is_enough_where_the_symbols_are_there() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let mut observation = Observation::of(server.pid(), &[]);
    prove(&server, &mut observation, 1);
    observation.finish();
}

#[test]
fn a_program_without_symbols_has_task_ids_too() {
    let Some(_turn) = kernel::turn() else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = Server::without_symbols(directory.path());
    let mut observation = Observation::of(server.pid(), &[]);
    let runtime = &header_of(&observation)["targets"][0]["runtime"];
    assert_eq!(
        (&runtime["name"], &runtime["found_by"]),
        (&"tokio".into(), &"strings".into())
    );
    assert!(runtime["version"].is_string(), "{runtime}");
    // More than there are workers: what belongs to a thread is told from what belongs to a task.
    prove(&server, &mut observation, 4);
    observation.finish();
}

#[test]
fn nothing_more_is_attached_while_the_ids_are_sought() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let mut observation = Observation::of(server.pid(), &[]);
    let links = |observation: &Observation| {
        let files = fs::read_dir(format!("/proc/{}/fdinfo", observation.pid())).unwrap();
        let infos = files
            .flatten()
            .filter_map(|file| fs::read_to_string(file.path()).ok());
        infos.filter(|info| info.contains("link_id:")).count()
    };
    let while_sought = links(&observation);
    prove(&server, &mut observation, 2);
    assert_eq!(links(&observation), while_sought);
    observation.finish();
}

#[test]
fn a_program_that_takes_the_place_of_another_is_sought_in_anew() {
    let Some(_turn) = kernel::turn() else { return };
    let mut running = not_yet_a_server();
    let mut observation = Observation::of(running.0.id(), &[]);
    assert_eq!(header_of(&observation)["targets"][0].get("runtime"), None);
    let mut stdin = running.0.stdin.take().unwrap();
    stdin.write_all(b"go\n").unwrap();
    let address = announced(&mut running.0);
    observation.wait_for_line("exec", |line| line["event"] == "exec");
    // To read the program takes a while.
    let loading = Loading::start(
        &format!("http://{address}/ping"),
        &["--rate", "200", "--connections", "3", "--duration", "20s"],
    );
    let line = observation.wait_for_line("runtime", |line| line["type"] == "runtime");
    assert_eq!(line["task_ids"], true, "{line}");
    observation.finish();
    drop((loading, stdin));
}
