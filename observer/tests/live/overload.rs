//! More records than the rings hold: what is lost is counted, and never taken for something that was seen.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::observation::Observation;
use crate::server::{Loading, Server, load};
use crate::{kernel, laws, measured};

#[test]
fn what_small_rings_lose_is_counted_and_marks_the_requests_that_it_concerns() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let mut observation = Observation::of(server.pid(), &["--ring-kib", "64"]);
    let arguments = ["--connections", "16", "--duration", "2s"];
    let loading = Loading::start(&server.url("/ping"), &arguments);
    observation.wait_for_line("request", |line| line["type"] == "request");
    // However fast this machine is: an observer that does not run drains nothing.
    observation.signal(libc::SIGSTOP);
    thread::sleep(Duration::from_millis(300));
    observation.signal(libc::SIGCONT);
    let (sent, failed) = loading.ended();
    assert_eq!(failed, 0, "the server does not notice");
    // What is behind is done with when a second has gone by without anything.
    observation.wait_for_line("quiet second", |line| {
        line["type"] == "window" && line["requests"] == 0 && line["cost"]["records"].as_u64() < Some(100)
    });
    assert_eq!(load(&server.url("/timer?ms=2"), &["--requests", "100"]), 100);
    let lines = observation.finish();

    let lost = laws::number(&lines.end["lost"]["ring_full"]);
    let pings = lines.count() - lines.of_path("/timer").len() as u64;
    assert!(lost > 0, "{}", lines.end);
    assert!(pings < sent, "{pings} of {sent} requests without their records");
    // A request that is missing has lost a record at least.
    assert!(
        sent - pings <= lost,
        "{pings} of {sent} requests, and {lost} records lost"
    );
    for request in &lines.requests {
        assert!(
            request["complete"] == true || request["confidence"] == "partial",
            "{request}"
        );
    }
    assert!(laws::number(&lines.end["incomplete"]) > 0, "{}", lines.end);
    // In the quiet time, where nothing was lost, everything is as ever.
    let quiet = lines.of_path("/timer");
    assert_eq!(quiet.len(), 100);
    let is_incomplete = |request: &&Value| request["complete"] == false;
    let incomplete: Vec<_> = quiet.into_iter().filter(is_incomplete).collect();
    measured::AFTER_A_LOSS.holds_of(&incomplete);
}
