//! What threads are to their program, told by what they do.

use serde_json::Value;

use crate::observation::Observation;
use crate::server::{Server, load};
use crate::{kernel, serving};

/// The threads of a process that have this role, as they were at the end.
fn with_role<'a>(end: &'a Value, role: &str) -> Vec<&'a Value> {
    let roles = end["workers"][0]["by_role"]["roles"].as_array();
    let roles = roles.unwrap_or_else(|| panic!("no roles: {}", end["workers"]));
    roles.iter().filter(|told| told["role"] == role).collect()
}

fn sum(roles: &[&Value], field: &str) -> u64 {
    roles.iter().map(|role| role[field].as_u64().unwrap()).sum()
}

#[test]
fn a_loop_and_the_pool_that_it_feeds_are_told_by_what_they_do() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    // What it answers was mostly given to it by the loop.
    for (program, answers) in [("pool", "kept"), ("fed", "taken")] {
        let server = serving::server(&[program]);
        let observation = Observation::counting(server.pid());
        let arguments = ["--connections", "6", "--rate", "150", "--duration", "2500ms"];
        load(&server.url("/ping"), &arguments);
        let lines = observation.finish();
        let (loops, pools) = (with_role(&lines.end, "event_loop"), with_role(&lines.end, "pool"));
        let told = &lines.end["workers"][0]["by_role"];
        assert_eq!(sum(&loops, "count"), 1, "{program}: {told}");
        // Of one that seldom waits for something to do there is too little to tell; it was one of four at most.
        assert!((2..=4).contains(&sum(&pools, "count")), "{program}: {told}");
        // Not the first thread: that waits for its standard input.
        let its_tid = &loops[0]["threads"][0]["tid"];
        assert_ne!(*its_tid, server.pid(), "{told}");
        assert!(
            loops[0]["threads"][0]["evidence"]["event_waits"].as_u64() >= Some(4),
            "{told}"
        );
        let fed_by_loop = |fed: &Value| fed["tid"] == *its_tid && fed["role"] == "event_loop";
        let is_fed = |pool: &&Value| pool["fed_by"].as_array().unwrap().iter().any(fed_by_loop);
        assert!(pools.iter().any(is_fed), "{told}");
        let evidence = &pools[0]["threads"][0]["evidence"];
        let (given, answers) = (&evidence["given"], evidence[answers].as_u64());
        assert!(answers.is_some(), "{program}: {evidence}");
        assert!(
            given.as_u64().map(|given| given * 2) >= answers,
            "{program}: {evidence}"
        );
        // The first thread waits for the end of its standard input.
        assert!(told["no_role"].as_u64() <= Some(3), "{told}");
    }
}

#[test]
fn who_accepts_and_a_thread_for_each_connection_are_told_by_what_they_do() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let server = serving::server(&["interpreter"]);
    let observation = Observation::counting(server.pid());
    one_accepts_and_others_keep_connections(&server, observation);
}

#[test]
fn who_accepts_is_told_also_of_a_server_that_begins_to_listen_later() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let port = serving::free_port().to_string();
    let observation = Observation::with(&["--requests", "none", "--port", &port]);
    let server = serving::server(&["interpreter", &port]);
    one_accepts_and_others_keep_connections(&server, observation);
}

/// Connects one after the other, so that each new connection wakes who accepts.
fn one_accepts_and_others_keep_connections(server: &Server, observation: Observation) {
    for _ in 0..12 {
        load(&server.url("/ping"), &["--connections", "1", "--requests", "3"]);
    }
    let lines = observation.finish();
    let told = &lines.end["workers"][0]["by_role"];
    let (acceptors, keepers) = (
        with_role(&lines.end, "acceptor"),
        with_role(&lines.end, "connection"),
    );
    assert_eq!(sum(&acceptors, "count"), 1, "{told}");
    assert!(
        acceptors[0]["threads"][0]["evidence"]["accept_waits"].as_u64() >= Some(4),
        "{told}"
    );
    assert_eq!(sum(&keepers, "count") + sum(&keepers, "ended"), 12, "{told}");
}

#[test]
fn of_a_pool_whose_threads_sleep_it_is_told_how_many_are_at_work() {
    const REQUESTS: f64 = 100.0;
    /// As long as `GET /hold` sleeps at least, ns.
    const SLEEP_NS: f64 = 50e6;
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let server = serving::server(&["fed"]);
    let observation = Observation::counting(server.pid());
    let arguments = ["--connections", "6", "--requests", &REQUESTS.to_string()];
    load(&server.url("/hold"), &arguments);
    let lines = observation.finish();
    let pools = with_role(&lines.end, "pool");
    let at_work: f64 = pools.iter().map(|pool| pool["at_work"].as_f64().unwrap()).sum();
    let slept = REQUESTS * SLEEP_NS / lines.end["duration_ns"].as_f64().unwrap();
    // No more than four threads are in the pool.
    assert!(
        (0.9 * slept..=4.0).contains(&at_work),
        "{slept}: {}",
        lines.end["workers"]
    );
}
