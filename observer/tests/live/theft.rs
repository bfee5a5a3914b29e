//! What the hypervisor takes of a server's CPU, held against what the kernel counts of it.
//!
//! Theft cannot be made from within a virtual machine. Where there is none while this runs, it says so, and only that
//! nothing is made up has been tested.

use std::fs;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use crate::kernel;
use crate::laws::waited;
use crate::observation::Observation;
use crate::server::{Server, load_on_cpu};

const CPU: u16 = 0;
const MS: u64 = 1_000_000;

/// What `/proc/stat` counts in.
const TICK_NS: u64 = 10 * MS;

/// Once so much was taken of the CPU, the server has had its share of it.
const ENOUGH_NS: u64 = 200 * MS;

/// That is waited for so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the kernel has counted so far.
#[derive(Clone, Copy)]
struct Counted {
    /// The hypervisor took of the CPU.
    stolen_ns: u64,
    /// Interrupts had it; 0 where the kernel does not count that.
    interrupted_ns: u64,
    /// The threads of the server ran, without what was stolen.
    ran_ns: u64,
}

impl Counted {
    fn of(pid: u32) -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap();
        let name = format!("cpu{CPU}");
        let cpu = stat.lines().map(str::split_whitespace);
        let cpu = cpu.map(Vec::from_iter).find(|words| words[0] == name).unwrap();
        let ns = |field: usize| cpu[field].parse::<u64>().unwrap() * TICK_NS;
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let ran = threads.map(|thread| {
            let counted = fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
            let ran_ns = counted.split_whitespace().next().unwrap();
            ran_ns.parse::<u64>().unwrap()
        });
        Self {
            stolen_ns: ns(8),
            interrupted_ns: ns(6) + ns(7),
            ran_ns: ran.sum(),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            stolen_ns: self.stolen_ns - before.stolen_ns,
            interrupted_ns: self.interrupted_ns - before.interrupted_ns,
            ran_ns: self.ran_ns - before.ran_ns,
        }
    }
}

#[test]
fn what_the_hypervisor_takes_is_stolen_and_not_computing() {
    let Some(_turn) = kernel::turn() else { return };
    if std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() < 2) {
        return kernel::skip("two CPUs, one of them for the load");
    }
    if !kernel::has_program("taskset") {
        return;
    }
    let server = Server::faulty_on_cpu(CPU, &["--workers", "1"]);
    let observation = Observation::of(server.pid(), &[]);
    let (before, begun) = (Counted::of(server.pid()), Instant::now());
    let counted = loop {
        let arguments = ["--connections", "1", "--requests", "10"];
        load_on_cpu(CPU + 1, &server.url("/burn?us=20000"), &arguments);
        let counted = Counted::of(server.pid()).since(before);
        if counted.stolen_ns >= ENOUGH_NS || begun.elapsed() >= PATIENCE {
            break counted;
        }
    };
    let lines = observation.finish();
    lines.without_loss();
    let total = |cause| {
        lines
            .requests
            .iter()
            .map(|request| waited(request, cause))
            .sum::<u64>()
    };
    let (computed_ns, stolen_ns) = (total("on_cpu") + total("worker_busy"), total("stolen"));
    assert!(
        stolen_ns <= counted.stolen_ns + 2 * TICK_NS,
        "{stolen_ns} ns are charged, and {} ns were taken of the CPU",
        counted.stolen_ns
    );
    // What is not proved to be stolen counts as computing: some of what is taken where a request begins or ends.
    let most_ns = counted.ran_ns + counted.ran_ns / 500 + 3 * MS + counted.interrupted_ns;
    assert!(
        computed_ns <= most_ns,
        "{computed_ns} ns of computing are charged, and the server's threads ran for {} ns",
        counted.ran_ns
    );
    if counted.stolen_ns < ENOUGH_NS {
        // There is nobody else to tell.
        let _ = writeln!(
            io::stderr(),
            "only {} ms were stolen in {PATIENCE:?}: that it would be seen was not tested",
            counted.stolen_ns / MS
        );
    }
}
