//! Every request is counted, exactly once, and explained.

use serde_json::Value;

use crate::observation::Observation;
use crate::server::{Server, load};
use crate::{kernel, laws, measured};

#[test]
fn every_request_is_counted_and_written_and_nothing_is_lost() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let observation = Observation::of(server.pid(), &[]);
    let sent = load(
        &server.url("/ping"),
        &["--requests", "2000", "--connections", "8"],
    );
    let lines = observation.finish();
    lines.without_loss();
    assert_eq!((sent, lines.count()), (2000, 2000));
    assert_eq!(lines.end["status"]["2xx"], 2000);
    assert_eq!(lines.of_path("/ping").len(), 2000);
    let partial = laws::number(&lines.end["confidence"]["partial"]);
    measured::COUNTED.holds(partial, Some(&lines.end["confidence"]));
    for request in &lines.requests {
        assert_eq!(request["pid"], server.pid());
        assert_eq!(request["comm"], "faulty-server");
        assert_eq!(request["conn"]["local"], server.address.to_string());
        assert_eq!(request["http"]["method"], "GET");
    }
}

#[test]
fn requests_on_connections_from_before_the_attachment_are_counted_too() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let mut connections: Vec<_> = (0..4)
        .map(|_| crate::client::Connection::open(server.address))
        .collect();
    for connection in &mut connections {
        connection.get("/ping");
    }
    let observation = Observation::of(server.pid(), &[]);
    for _ in 0..25 {
        for connection in &mut connections {
            connection.get("/ping");
        }
    }
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), 100);
}

#[test]
fn two_servers_are_watched_at_once_and_a_third_is_not() {
    let Some(_turn) = kernel::turn() else { return };
    let servers = [Server::faulty(&[]), Server::faulty(&[]), Server::faulty(&[])];
    let second = servers[1].pid().to_string();
    let observation = Observation::of(servers[0].pid(), &["--pid", &second]);
    for (server, requests) in servers.iter().zip(["100", "200", "400"]) {
        load(&server.url("/ping"), &["--requests", requests]);
    }
    let lines = observation.finish();
    lines.without_loss();
    let of = |server: &Server| {
        lines
            .requests
            .iter()
            .filter(|request| request["pid"] == server.pid())
            .count()
    };
    assert_eq!([of(&servers[0]), of(&servers[1]), of(&servers[2])], [100, 200, 0]);
}

/// The path of both servers below.
const PATH: &str = "/blocking";

#[test]
fn two_servers_with_one_path_have_their_own_p99_budget_and_diagnosis() {
    let Some(_turn) = kernel::turn() else { return };
    let (quick, slow) = (Server::faulty(&[]), Server::faulty(&["--workers", "1"]));
    let other = slow.pid().to_string();
    let observation = Observation::of(quick.pid(), &["--pid", &other]);
    load(&quick.url("/blocking?ms=1"), &["--requests", "300"]);
    // One worker, which blocks for each of them while the others wait for it.
    load(
        &slow.url("/blocking?ms=30"),
        &["--requests", "60", "--connections", "6"],
    );
    let lines = observation.finish();
    let (end, targets) = (
        &lines.without_loss().end,
        lines.end["targets"].as_array().unwrap(),
    );
    let of = |server: &Server| {
        let target = targets.iter().find(|target| target["pid"] == server.pid());
        target.unwrap_or_else(|| panic!("a target is missing: {targets:?}"))
    };
    let p99 = |figures: &Value| laws::number(&figures["latency_ns"]["p99"]);
    let waited = |figures: &Value| {
        let budget = &figures["at"]["p99"]["budget_ns"];
        budget["worker_blocked"].as_u64().unwrap_or_default()
    };
    for (figures, requests) in [(of(&quick), 300), (of(&slow), 60), (end, 360)] {
        assert_eq!(figures["requests"], requests);
        let path = &figures["paths"][0];
        assert_eq!(
            (path["path"].as_str(), &path["requests"]),
            (Some(PATH), &requests.into())
        );
    }
    assert!(p99(of(&slow)) > 100_000_000, "{}", of(&slow));
    assert!(p99(of(&quick)) < p99(of(&slow)) / 2, "{}", of(&quick));
    assert!(waited(of(&slow)) > 50_000_000, "{}", of(&slow));
    assert!(waited(of(&quick)) < 10_000_000, "{}", of(&quick));
    assert_eq!(of(&slow)["diagnosis"]["kind"], "blocked_workers", "{}", of(&slow));
    assert_ne!(
        of(&quick)["diagnosis"]["kind"],
        "blocked_workers",
        "{}",
        of(&quick)
    );
    for server in [&quick, &slow] {
        let target = of(server);
        assert_eq!(target["comm"], "faulty-server");
        for of_process in ["memory", "workers"] {
            let pids = target[of_process]
                .as_array()
                .unwrap()
                .iter()
                .map(|process| &process["pid"]);
            assert!(pids.eq([&Value::from(server.pid())]), "{target}");
        }
    }
}

#[test]
fn the_tail_of_a_quick_server_is_written_beside_a_slow_one() {
    let Some(_turn) = kernel::turn() else { return };
    let servers = [Server::faulty(&[]), Server::faulty(&[])];
    let second = servers[1].pid().to_string();
    let observation = Observation::of_the_tail(servers[0].pid(), &["--pid", &second]);
    load(
        &servers[1].url("/timer?ms=300"),
        &["--requests", "200", "--connections", "40"],
    );
    load(&servers[0].url("/ping"), &["--requests", "1000"]);
    // Slow for the one, and quick for the other.
    load(&servers[0].url("/timer?ms=100"), &["--requests", "1"]);
    let lines = observation.finish();
    let [slow] = &lines
        .of_path("/timer")
        .into_iter()
        .filter(|line| line["pid"] == servers[0].pid())
        .collect::<Vec<_>>()[..]
    else {
        panic!("it is not written once")
    };
    assert_eq!(slow["why"], "tail", "{slow}");
    assert!(
        laws::number(&slow["latency_ns"]) < laws::number(&lines.end["latency_ns"]["p99"]),
        "{slow}"
    );
}
