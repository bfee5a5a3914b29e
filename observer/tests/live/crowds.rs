//! Many at once: connections, threads. Everything is counted, and observer stays small.

use std::fs;

use crate::observation::{Lines, Observation};
use crate::server::{Server, finished, load, testbed, with_files};
use crate::{kernel, laws};

/// What observer may take, bytes. Sixteen MiB of it are the rings of two CPUs, which are mapped twice.
const SMALL: u64 = 64 << 20;

fn is_small(lines: &Lines) {
    let rss_bytes = laws::number(&lines.end["cost"]["rss_bytes"]);
    println!("observer took {rss_bytes} bytes, {SMALL} at most");
    assert!(rss_bytes > 0 && rss_bytes < SMALL);
}

#[test]
fn ten_thousand_connections_are_followed_at_once() {
    const FILES: u32 = 11_000;
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::start(&mut with_files(FILES, &testbed("faulty-server")));
    let observation = Observation::counting(server.pid());
    let sent = finished(with_files(FILES, &testbed("load")).args([
        "--url",
        &server.url("/ping"),
        "--connections",
        "10000",
        "--requests",
        "12000",
        "--rate",
        "3000",
    ]));
    // The connections take turns: each had a request.
    let lines = observation.finish();
    assert_eq!((sent, lines.without_loss().count()), (12_000, 12_000));
    is_small(&lines);
}

#[test]
fn a_thousand_threads_are_followed_at_once() {
    let Some(_turn) = kernel::turn() else { return };
    // As many workers, and as many threads of the blocking pool again.
    let server = Server::faulty(&["--workers", "512"]);
    let observation = Observation::counting(server.pid());
    let crowd = load(
        &server.url("/pool?ms=200"),
        &["--connections", "512", "--requests", "2048"],
    );
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let threads = status.lines().find_map(|line| line.strip_prefix("Threads:"));
    assert!(
        threads.unwrap().trim().parse::<u32>().unwrap() > 1_000,
        "{threads:?}"
    );
    let afterwards = load(
        &server.url("/ping"),
        &["--connections", "64", "--requests", "2000"],
    );
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), crowd + afterwards);
    assert_eq!(crowd, 2048);
    is_small(&lines);
}
