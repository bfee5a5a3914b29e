//! The memory that a request is written with.

use std::fs;

use crate::observation::Observation;
use crate::server::{Server, load};
use crate::{kernel, laws};

/// `VmRSS` of a process, bytes.
fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

#[test]
fn a_request_has_the_resident_memory_of_its_process() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let observation = Observation::of(server.pid(), &[]);
    load(&server.url("/ping"), &["--requests", "50"]);
    let expected = resident_bytes(server.pid());
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), 50);
    let last = lines.requests.last().unwrap();
    // Each CPU, or each thread on older kernels, keeps some dozens of pages to itself. One of the three counters
    // missed or read in another's place is more.
    for when in ["start", "end"] {
        let seen = laws::number(&last["rss"][when]);
        assert!(
            (expected * 2 / 3..expected * 4 / 3).contains(&seen),
            "{seen} at its {when}, and the process has {expected}"
        );
    }
}
