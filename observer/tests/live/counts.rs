//! Every request is counted, exactly once, and explained.

use crate::observation::Observation;
use crate::server::{Server, load};
use crate::{kernel, laws};

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
    let sure =
        laws::number(&lines.end["confidence"]["inferred"]) + laws::number(&lines.end["confidence"]["exact"]);
    assert!(sure >= 1980, "{}", lines.end["confidence"]);
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
