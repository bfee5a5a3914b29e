//! A blocking pool that is exhausted is found as such, and one that has room is not.

use serde_json::Value;

use crate::kernel;
use crate::observation::{Lines, Observation};
use crate::server::{Loading, Server, load};

/// Loads a server that has so many threads in its pool with so many requests at a time, twice, that each sleep in it,
/// half of them longer than the others, so that seldom two are done together.
fn sleeps_in_a_pool_of(threads: &str, connections: &str) -> Lines {
    let server = Server::faulty(&["--workers", "1", "--pool-threads", threads]);
    let observation = Observation::of(server.pid(), &[]);
    let arguments = ["--connections", connections, "--duration", "2500ms"];
    let longer = Loading::start(&server.url("/pool?us=23000"), &arguments);
    load(&server.url("/pool?us=15000"), &arguments);
    assert_eq!(longer.ended().1, 0);
    observation.finish()
}

fn pool(lines: &Lines) -> &Value {
    &lines.end["workers"][0]["pool"]
}

fn queued(lines: &Lines) -> (f64, f64) {
    let pool = pool(lines);
    (pool["queued"].as_f64().unwrap(), pool["jobs"].as_f64().unwrap())
}

/// What was found in each window, and in all. The machine can be too slow as well: then that can be a finding.
fn found(lines: &Lines) -> Vec<String> {
    let lines = lines
        .written
        .iter()
        .map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter_map(|line: Value| Some(line["diagnosis"]["kind"].as_str()?.to_owned()))
        .filter(|kind| kind != "cpu_taken")
        .collect()
}

#[test]
fn a_pool_that_is_exhausted_is_the_finding() {
    let Some(_turn) = kernel::turn() else { return };
    let lines = sleeps_in_a_pool_of("2", "5");
    let found = found(&lines);
    assert!(!found.is_empty(), "{}", lines.end);
    assert!(found.iter().all(|kind| kind == "pool_exhausted"), "{found:?}");
    assert_eq!(pool(&lines)["threads"], 2);
    let (queued, jobs) = queued(&lines);
    assert!(jobs >= 100.0 && queued >= 0.9 * jobs, "{}", pool(&lines));
    let waits = lines.end["at"]["p99"]["waited_for"].as_array().unwrap();
    let behind_jobs = |wait: &&Value| wait["pool"] == true && wait["syscall"] == "clock_nanosleep";
    assert!(waits.iter().any(|wait| behind_jobs(&wait)), "{waits:?}");
}

#[test]
fn a_pool_with_room_is_no_finding() {
    let Some(_turn) = kernel::turn() else { return };
    let lines = sleeps_in_a_pool_of("512", "3");
    assert_eq!(found(&lines), [""; 0]);
    let (queued, jobs) = queued(&lines);
    assert!(jobs >= 100.0 && queued <= 0.2 * jobs, "{}", pool(&lines));
}

#[test]
fn a_pool_whose_threads_are_all_busy_is_no_finding_while_no_job_waits() {
    let Some(_turn) = kernel::turn() else { return };
    let lines = sleeps_in_a_pool_of("6", "3");
    assert_eq!(found(&lines), [""; 0]);
    assert_eq!(pool(&lines)["threads"], 6, "{}", pool(&lines));
    assert!(pool(&lines)["busy"].as_f64().unwrap() >= 0.8, "{}", pool(&lines));
}
