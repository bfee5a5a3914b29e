//! Requests that take seconds, beside a worker whose past fills what is remembered of all threads in less.

use serde_json::Value;

use crate::kernel;
use crate::laws::waited;
use crate::measured::{self, Measured};
use crate::observation::{Lines, Observation};
use crate::server::{Loading, Server, load};
use crate::tasks::prove;

/// Holds how much of the time of all requests of this path has no cause.
fn holds(limit: &Measured, lines: &Lines, path: &str) {
    let requests = lines.without_loss().of_path(path);
    assert!(!requests.is_empty());
    let sum = |of: &dyn Fn(&Value) -> u64| requests.iter().map(|request| of(request)).sum();
    let unexplained_ns = sum(&|request| waited(request, "unexplained"));
    let latency_ns = sum(&|request| request["latency_ns"].as_u64().unwrap());
    let worst = requests
        .iter()
        .max_by_key(|request| waited(request, "unexplained"));
    limit.holds_percent(unexplained_ns, latency_ns, worst.copied());
}

#[test]
fn a_request_of_many_jobs_beside_a_busy_worker() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&["--workers", "1"]);
    let mut observation = Observation::of_the_tail(server.pid(), &[]);
    prove(&server, &mut observation, 4);
    let pings = Loading::start(
        &server.url("/ping"),
        &["--connections", "8", "--rate", "4000", "--duration", "6s"],
    );
    load(&server.url("/pool?ms=15&times=300"), &["--requests", "1"]);
    pings.ended();
    holds(&measured::MANY_JOBS, &observation.finish(), "/pool");
}

#[test]
fn large_files_through_the_blocking_pool() {
    let Some(_turn) = kernel::turn() else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(40 << 20).unwrap();
    let path = file.path().to_str().unwrap();
    let server = Server::faulty(&["--workers", "2", "--framework", "hyper", "--data", path]);
    let mut observation = Observation::of_the_tail(server.pid(), &[]);
    prove(&server, &mut observation, 4);
    let arguments = ["--connections", "8", "--requests", "24"];
    load(&server.url("/file?kib=40960"), &arguments);
    holds(&measured::LARGE_FILES, &observation.finish(), "/file");
}
