//! The runtimes of a server are told by what its threads do: their kinds, their workers, the threads of their pools.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::kernel;
use crate::observation::Observation;
use crate::server::{Loading, Server};

/// A runtime: its kind and its threads.
type Told = (String, BTreeSet<u64>);

fn told(line: &Value) -> Vec<Told> {
    let runtimes = line["runtimes"].as_array().unwrap().iter();
    runtimes
        .map(|runtime| {
            let threads = runtime["threads"].as_array().unwrap().iter();
            let tids: BTreeSet<u64> = threads.map(|thread| thread["tid"].as_u64().unwrap()).collect();
            assert_eq!(runtime["count"], tids.len(), "{line}");
            (runtime["flavour"].as_str().unwrap_or("unknown").to_owned(), tids)
        })
        .collect()
}

/// Loads a server with these arguments until its runtimes are as many, with as many threads, as expected, and gives
/// what is told of them at the end.
fn runtimes(arguments: &[&str], path: &str, expected: (usize, usize)) -> (Server, Vec<Told>, Value) {
    let server = Server::faulty(arguments);
    let mut observation = Observation::of(server.pid(), &[]);
    let load = Loading::start(&server.url(path), &["--connections", "12", "--duration", "60s"]);
    observation.wait_for_line("line with all runtimes", |line| {
        line["type"] == "runtime" && {
            let told = told(line);
            let threads: usize = told.iter().map(|(_, tids)| tids.len()).sum();
            (told.len(), threads) >= expected
        }
    });
    drop(load);
    let lines = observation.finish();
    let last = lines.runtimes.last().unwrap().clone();
    (server, told(&last), last)
}

#[test]
fn a_multi_threaded_runtime_has_its_workers_and_a_pool_beside_them() {
    let Some(_turn) = kernel::turn() else { return };
    let (server, told, line) = runtimes(&["--workers", "3"], "/pool?us=500", (1, 3));
    let [(flavour, workers)] = &told[..] else {
        panic!("{line}")
    };
    assert_eq!((flavour.as_str(), workers.len()), ("multi_thread", 3), "{line}");
    assert!(
        !workers.contains(&u64::from(server.pid())),
        "the first thread only waits: {line}"
    );
    assert!(line["pool_threads"].as_u64().unwrap() >= 1, "{line}");
}

#[test]
fn a_runtime_with_one_worker_is_not_taken_for_one_of_the_current_thread() {
    let Some(_turn) = kernel::turn() else { return };
    let (_, told, line) = runtimes(&["--workers", "1"], "/ping", (1, 1));
    assert_eq!((told.len(), told[0].0.as_str()), (1, "multi_thread"), "{line}");
    assert_eq!(line["pool_threads"], 0, "nothing wanted one: {line}");
}

#[test]
fn a_runtime_of_the_current_thread_is_that_thread() {
    let Some(_turn) = kernel::turn() else { return };
    let (server, told, line) = runtimes(&["--runtime", "current"], "/pool?us=500", (1, 1));
    let thread = BTreeSet::from([u64::from(server.pid())]);
    assert_eq!(told, [("current_thread".to_owned(), thread)], "{line}");
    assert!(line["pool_threads"].as_u64().unwrap() >= 1, "{line}");
}

#[test]
fn two_runtimes_are_told_apart_with_the_workers_of_each() {
    let Some(_turn) = kernel::turn() else { return };
    let (_, told, line) = runtimes(&["--runtime", "two", "--workers", "2"], "/pool?us=500", (2, 4));
    let [(first, ours), (second, theirs)] = &told[..] else {
        panic!("{line}")
    };
    assert_eq!(
        (first, second),
        (&"multi_thread".into(), &"multi_thread".into()),
        "{line}"
    );
    assert_eq!((ours.len(), theirs.len()), (2, 2), "{line}");
    assert!(ours.is_disjoint(theirs), "{line}");
}

#[test]
fn actix_has_a_runtime_for_each_of_its_workers() {
    let Some(_turn) = kernel::turn() else { return };
    let (_, told, line) = runtimes(&["--framework", "actix", "--workers", "3"], "/ping", (3, 3));
    assert_eq!(told.len(), 3, "{line}");
    for (flavour, threads) in &told {
        assert_eq!((flavour.as_str(), threads.len()), ("current_thread", 1), "{line}");
    }
}
