//! How many goroutines a server has and how many of them have no thread, against what the server itself says.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::client::{Connection, request};
use crate::go::{built, built_from, until_told};
use crate::kernel;
use crate::observation::{Lines, Observation};
use crate::run::DEADLINE;
use crate::server::Server;

/// Requests that are under way at once. Each has a goroutine, and another one that waits for its client to go away.
const AT_ONCE: u64 = 12;

/// Waits for a window in which this holds of the server's goroutines.
fn until(observation: &mut Observation, what: &str, mut is_so: impl FnMut(&Value) -> bool) {
    let window = observation.line_before(Instant::now() + DEADLINE, "window", |line| {
        line["type"] == "window" && is_so(&line["goroutines"][0])
    });
    let window = window.unwrap_or_else(|| panic!("no window has {what}"));
    println!("{}", window["goroutines"]);
}

/// Opens so many connections more, and asks for this on each.
fn ask(server: &Server, path: &str) -> Vec<Connection> {
    let ask = |_| {
        let mut connection = Connection::open(server.address);
        connection.send(&request(path));
        connection
    };
    (0..AT_ONCE).map(ask).collect()
}

/// The testbed's server, with one P, built with these arguments.
fn are_as_many_as_the_server_says(arguments: &[&str]) {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("go") {
        return;
    }
    let program = built_from(Path::new("../testbed/go"), "testbed", arguments);
    let server = Server::start(Command::new(program).args(["-procs", "1"]));
    let mut observation = Observation::counting(server.pid());
    let mut connections = [Connection::open(server.address)];
    let line = until_told(&mut observation, &mut connections, "/ping", |line| {
        line["go"]["goroutines"].is_boolean()
    });
    println!("{}", line["go"]["goroutines_evidence"]);
    assert_eq!(line["go"]["goroutines"], true, "{line}");
    let [connection] = &mut connections;

    let sleeping = ask(&server, "/timer?us=5000000");
    // While it is asked, one more waits for its client to go away.
    let mut are_told = |observation: &mut Observation, are: &dyn Fn(u64) -> bool| {
        until(observation, "the goroutines that the server says", |seen| {
            let told: u64 = connection.get("/goroutines").parse().unwrap();
            are(told) && seen["count"] == told - 1
        });
    };
    are_told(&mut observation, &|told| told >= 2 * AT_ONCE);
    for mut sleeper in sleeping {
        sleeper.answer();
    }
    are_told(&mut observation, &|told| told < AT_ONCE);

    // One of them computes, and the others wait for the one P.
    let computing = ask(&server, "/burn?us=250000");
    let others = AT_ONCE - 1;
    until(&mut observation, &format!("{others} that are runnable"), |seen| {
        seen["runnable"] == others
    });
    for mut computer in computing {
        computer.answer();
    }
    let end = observation.finish().end;
    let goroutines = &end["goroutines"][0];
    println!("{goroutines}");
    assert_eq!(goroutines["pid"], server.pid());
    // Those that wait for clients to go away are made ready too, when a request is over.
    let [most, all] = ["runnable_max", "count_max"].map(|name| goroutines[name].as_u64().unwrap());
    assert!(others <= most && most < all, "{goroutines}");
}

#[test]
fn goroutines_and_those_that_wait_for_a_thread_are_as_many_as_the_server_says() {
    are_as_many_as_the_server_says(&[]);
}

#[test]
fn the_goroutines_of_a_program_that_is_loaded_anywhere_are_counted_too() {
    are_as_many_as_the_server_says(&["-buildmode=pie"]);
}

#[test]
fn of_a_program_without_symbols_it_is_said_that_its_goroutines_are_not_counted() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("go") {
        return;
    }
    let server = Server::start(&mut Command::new(built("collect", &["-ldflags=-s -w"])));
    let mut observation = Observation::of(server.pid(), &[]);
    let mut connections = [Connection::open(server.address)];
    let is_told = |line: &Value| line["go"]["goroutines"].is_boolean();
    let line = until_told(&mut observation, &mut connections, "/ping", is_told);
    let Lines { end, .. } = observation.finish();
    assert_eq!(
        (&line["go"]["goroutines"], &end["goroutines"]),
        (&false.into(), &serde_json::json!([]))
    );
    let evidence = line["go"]["goroutines_evidence"].as_str().unwrap();
    assert!(evidence.contains("symbols are gone"), "{line}");
}
