//! Requests that wait inside the program: in system calls, for timers, for each other.

use testbed::truth::FaultKind;

use super::super::super::scenario::{
    Case, Culprit, Expected, Injected, InjectedPart, KnownFailure, Load, Scenario, Server,
};
use super::super::{WRITES, beside, case, closed, length, one_at_a_time, own, own_cpu, rate, short};

/// The call in which a handler sleeps that does not ask Go for it.
const SLEEPS: &[&str] = &["nanosleep"];
/// Goroutines that run at once.
const PROCS: usize = 2;
/// What another goroutine computes for the request, or for others before.
const COMPUTED: &[&str] = &["on_cpu", "worker_busy"];

pub(super) fn all() -> Vec<Scenario> {
    vec![
        sleep(),
        disk(),
        pipe(),
        timer(),
        timeout(),
        lock(),
        lock_computing(),
        rw_lock(),
        channel(),
    ]
}

fn sleep() -> Scenario {
    Scenario {
        name: "go-sleep-in-a-call",
        about: "The handler sleeps in a system call: a `syscall`. Another thread takes up what else there is, and nobody \
                waits behind it.",
        known: None,
        expected: Expected::Parts(vec![own_sleep()]),
        cases: vec![
            case("2ms", Server::go(1), beside("/blocking?us=2000", 2, 75)),
            short(case("20ms", Server::go(1), beside("/blocking?us=20000", 2, 40))),
        ],
    }
}

fn disk() -> Scenario {
    Scenario {
        name: "go-disk",
        about: "The handler writes a file through to the disk: a `syscall`.",
        known: None,
        expected: Expected::Parts(vec![
            own(&[FaultKind::Disk], &["syscall"]).by(Culprit::syscalls(WRITES)),
        ]),
        cases: vec![
            short(case(
                "8x512KiB",
                Server::go(1),
                one_at_a_time("/blocking-file?kib=512&times=8", 25),
            )),
            case(
                "8x128KiB",
                Server::go(2),
                one_at_a_time("/blocking-file?kib=128&times=8", 50),
            ),
        ],
    }
}

fn pipe() -> Scenario {
    Scenario {
        name: "go-pipe",
        about: "The handler writes a log to a pipe, of which another thread takes what is there too seldom: a `syscall`.",
        known: None,
        expected: Expected::Parts(vec![
            own(&[FaultKind::Pipe], &["syscall"]).by(Culprit::syscalls(&["write"])),
        ]),
        cases: vec![short(case(
            "10ms",
            Server::go(2).with(&["--log-pause", "10ms"]),
            closed("/log?kib=64", 1),
        ))],
    }
}

fn timer() -> Scenario {
    Scenario {
        name: "go-timer",
        about: "The handler calls `time.Sleep`: `timer`.",
        known: None,
        expected: Expected::Parts(vec![own(&[FaultKind::Timer], &["timer"])]),
        cases: sizes(|us| closed(&format!("/timer?us={us}"), 2)),
    }
}

fn timeout() -> Scenario {
    Scenario {
        name: "go-timeout",
        about: "The handler waits in a `select` for what does not come, until its context's time is over: `timer`.",
        known: None,
        expected: Expected::Parts(vec![own(&[FaultKind::Timer], &["timer"])]),
        cases: sizes(|us| closed(&format!("/timeout?us={us}"), 2)),
    }
}

fn lock() -> Scenario {
    Scenario {
        name: "go-lock",
        about: "Four requests at a time for one `sync.Mutex`, with which each sleeps in a system call: `lock`; a \
                `syscall` for the holder.",
        known: Some(KnownFailure::unexplained(
            "no event tells that a goroutine waits for a mutex, nor who had it",
            75,
        )),
        expected: Expected::Parts(vec![
            own_sleep(),
            own(&[FaultKind::Lock], &["lock"])
                .by(Culprit::request("GET /lock"))
                .nameless(),
        ]),
        cases: sizes(|us| closed(&format!("/lock?us={us}"), 4)),
    }
}

fn lock_computing() -> Scenario {
    Scenario {
        name: "go-lock-computing",
        about: "The same where who has the mutex computes: `lock`; `on_cpu` for the holder.",
        known: Some(KnownFailure::unexplained(
            "no event tells that a goroutine waits for a mutex, nor who had it",
            100,
        )),
        expected: Expected::Parts(vec![
            own_cpu(),
            own(&[FaultKind::Lock], &["lock"])
                .by(Culprit::request("GET /lock-burn"))
                .nameless(),
        ]),
        cases: vec![short(case("5ms", Server::go(2), closed("/lock-burn?us=5000", 4)))],
    }
}

fn rw_lock() -> Scenario {
    Scenario {
        name: "go-rw-lock",
        about: "Requests want a `sync.RWMutex` for reading, with which others sleep that have it for writing: `lock`; a \
                `syscall` for those.",
        known: Some(KnownFailure::unexplained(
            "no event tells that a goroutine waits for a lock, nor who had it",
            40,
        )),
        expected: Expected::Parts(vec![
            own_sleep(),
            own(&[FaultKind::Lock], &["lock"])
                .by(Culprit::request("GET /write-lock"))
                .nameless(),
        ]),
        cases: sizes(|us| {
            vec![
                Load::closed("/read-lock", 4),
                Load::rate(&format!("/write-lock?us={us}"), 1, rate(us, 50)),
            ]
        }),
    }
}

fn channel() -> Scenario {
    Scenario {
        name: "go-channel",
        about: "Four requests at a time have one goroutine compute, to which a channel leads: `on_cpu` or \
                `worker_busy`, both for what it computes for them and for those before.",
        known: Some(KnownFailure::unexplained(
            "no event tells that a goroutine waits for another",
            20,
        )),
        expected: Expected::Parts(vec![InjectedPart::new(
            Injected::OwnAndBehind(
                &[FaultKind::ChannelQueue, FaultKind::Cpu],
                &[FaultKind::Cpu],
                PROCS,
            ),
            COMPUTED,
        )]),
        cases: vec![
            case("2ms", Server::go(2), closed("/channel?us=2000", 4)),
            short(case("8ms", Server::go(2), closed("/channel?us=8000", 4))),
        ],
    }
}

fn own_sleep() -> InjectedPart {
    own(&[FaultKind::Sleep], &["syscall"]).by(Culprit::syscalls(SLEEPS))
}

/// Of these lengths, on two procs.
fn sizes(loads: impl Fn(u64) -> Vec<Load>) -> Vec<Case> {
    let cases = [2_000, 20_000].map(|us| Case {
        short: us == 20_000,
        ..case(&length(us), Server::go(2), loads(us))
    });
    cases.into()
}
