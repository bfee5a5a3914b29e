//! Two observers of one server: neither disturbs the other, nor does the end of one.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::observation::{Lines, Observation};
use crate::server::{Loading, Server, load};
use crate::{kernel, laws, measured};

/// What both must say alike of each request.
fn facts(lines: &Lines) -> BTreeSet<String> {
    let fact = |request: &Value| {
        let fields = ["conn", "http", "bytes_in", "bytes_out"];
        fields.map(|field| request[field].to_string()).concat()
    };
    lines.requests.iter().map(fact).collect()
}

#[test]
fn two_observers_of_one_server_say_the_same() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let [first, second] = [(); 2].map(|()| Observation::of(server.pid(), &[]));
    let sent = load(
        &server.url("/ping"),
        &["--requests", "2000", "--connections", "8"],
    );
    let (first, second) = (first.finish(), second.finish());
    assert_eq!(first.without_loss().count(), sent);
    assert_eq!(second.without_loss().count(), sent);
    let facts = [facts(&first), facts(&second)];
    assert_eq!(facts[0].len() as u64, sent);
    assert_eq!(facts[0], facts[1]);
}

#[test]
fn an_observer_that_is_killed_under_load_disturbs_neither_the_server_nor_another() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let mut killed = Observation::of(server.pid(), &[]);
    let other = Observation::of(server.pid(), &[]);
    let arguments = ["--connections", "8", "--rate", "4000", "--duration", "1500ms"];
    let loading = Loading::start(&server.url("/ping"), &arguments);
    for _ in 0..100 {
        killed.wait_for_line("request", |line| line["type"] == "request");
    }
    killed.kill();
    let (sent, failed) = loading.ended();
    assert_eq!(failed, 0);
    assert!(sent >= 100, "{sent}");
    let lines = other.finish();
    assert_eq!(lines.without_loss().count(), sent);
    let confidence = &lines.end["confidence"];
    let partial = laws::number(&confidence["partial"]);
    measured::BESIDE_A_KILLED_ONE.holds_percent(partial, sent, Some(confidence));
}
