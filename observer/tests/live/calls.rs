//! Servers that call each other, both watched: who waits says which request of the other it waited for.

use std::collections::HashMap;

use serde_json::Value;

use crate::laws::{number, spans};
use crate::observation::{Lines, Observation};
use crate::server::{Server, load};
use crate::{kernel, measured};

const MS: u64 = 1_000_000;

/// A caller and its callee, and what was seen of them while the caller was loaded so.
fn observe(arguments: &[&str], path: &str, load_arguments: &[&str]) -> (Server, Server, Lines) {
    let callee = Server::faulty(&[]);
    let address = callee.address.to_string();
    let caller = Server::faulty(&[arguments, &["--downstream", &address]].concat());
    let pid = callee.pid().to_string();
    let observation = Observation::of(caller.pid(), &["--pid", &pid]);
    load(&caller.url(path), load_arguments);
    let lines = observation.finish();
    lines.without_loss();
    (caller, callee, lines)
}

/// Checks that each wait of the caller's for which another request is named is that request's, on the caller's own
/// connection. Gives how many of its requests have such a wait, and how many name no request for any.
fn checked(lines: &Lines, caller: &Server, callee: &Server, path: &str) -> (u64, u64) {
    let of = |server: &Server| {
        let pid = u64::from(server.pid());
        move |request: &&Value| number(&request["pid"]) == pid
    };
    let place = |conn: &Value, nth: &Value| (number(conn), number(nth));
    let answers: HashMap<_, _> = lines
        .requests
        .iter()
        .filter(of(callee))
        .map(|request| (place(&request["conn"]["id"], &request["conn"]["nth"]), request))
        .collect();
    let callers = lines.requests.iter().filter(of(caller));
    let (mut waited, mut nameless) = (0, 0);
    for request in callers {
        let (told, others): (Vec<_>, Vec<_>) =
            spans(request, "downstream").partition(|span| span["culprit"] != Value::Null);
        waited += u64::from(!told.is_empty() || !others.is_empty());
        nameless += u64::from(told.is_empty() && !others.is_empty());
        for span in told {
            let (culprit, answer) = (&span["culprit"], &span["culprit"]["answer"]);
            assert_eq!(span["peer"], callee.address.to_string(), "{span}");
            assert_eq!(culprit["pid"], callee.pid(), "{span}");
            assert_eq!(culprit["request"], format!("GET {path}"), "{span}");
            let other = answers[&place(&answer["conn"], &answer["nth"])];
            assert_eq!(other["http"]["path"], path, "{other}");
            assert_eq!(other["latency_ns"], answer["latency_ns"], "{other}");
            assert_eq!(other["conn"]["local"], span["peer"], "{other}");
            let since_ns = |line: &Value| number(&line["start_unix_ns"]);
            let from_ns = since_ns(request) + number(&span["at_ns"]);
            let to_ns = from_ns + number(&span["dur_ns"]);
            assert!(since_ns(other) < to_ns, "{span} {other}");
            assert!(
                since_ns(other) + number(&other["latency_ns"]) > from_ns,
                "{span} {other}"
            );
        }
    }
    (waited, nameless)
}

#[test]
fn a_request_that_waits_for_another_watched_server_names_the_request_that_answered_it() {
    let Some(_turn) = kernel::turn() else { return };
    let (caller, callee, lines) = observe(
        &[],
        "/forward/timer?ms=100",
        &["--connections", "2", "--requests", "20"],
    );
    assert_eq!(checked(&lines, &caller, &callee, "/timer"), (20, 0));
    let waits = lines
        .requests
        .iter()
        .flat_map(|request| spans(request, "downstream"));
    let long: Vec<_> = waits.filter(|span| number(&span["dur_ns"]) > 75 * MS).collect();
    assert_eq!(long.len(), 20);
    let (hidden, told): (Vec<_>, Vec<_>) = long
        .into_iter()
        .partition(|span| span["culprit"]["answer"]["mostly"] == "unexplained");
    measured::HIDDEN_IN_A_TEST.holds_of(&hidden);
    for span in told {
        assert!(
            number(&span["culprit"]["answer"]["latency_ns"]) > 99 * MS,
            "{span}"
        );
        assert_eq!(span["culprit"]["answer"]["mostly"], "timer", "{span}");
    }
    let mut targets = lines.end["targets"].as_array().unwrap().iter();
    let of_caller = targets.find(|target| target["pid"] == caller.pid()).unwrap();
    let waited_for = &of_caller["at"]["p99"]["waited_for"];
    assert_eq!(waited_for[0]["request"], "GET /timer", "{waited_for}");
    assert_eq!(waited_for[0]["pid"], callee.pid(), "{waited_for}");
}

#[test]
fn of_many_calls_on_a_few_connections_each_names_its_own() {
    let Some(_turn) = kernel::turn() else { return };
    let (caller, callee, lines) = observe(
        &["--downstream-connections", "4"],
        "/forward/ping",
        &["--connections", "16", "--requests", "2000"],
    );
    let (waited, nameless) = checked(&lines, &caller, &callee, "/ping");
    assert!(waited > 1_000, "{waited}");
    measured::CALLS.holds_percent(nameless, waited, None);
}
