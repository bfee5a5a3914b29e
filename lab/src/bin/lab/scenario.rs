//! What a scenario is: a server, what it is loaded with, and what observer has to find.
//!
//! Nothing here runs or judges anything.

use testbed::truth::FaultKind;

/// One fault, at several sizes and loads.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// What is injected, and what is expected and why. It is printed, and is the documentation.
    pub(super) about: &'static str,
    /// Why observer fails here today, where that is known: the short form lets it, as far as that is known.
    pub(super) known: Option<KnownFailure>,
    pub(super) expected: Expected,
    pub(super) cases: Vec<Case>,
}

/// A failure that is known.
#[derive(Clone, Copy)]
pub(super) struct KnownFailure {
    pub(super) why: &'static str,
    /// Of a hundred requests so many can have a wrong top cause, at most.
    pub(super) most_wrong: u64,
    /// Of a hundred that are judged so many can be `unexplained` beside these, at most.
    pub(super) most_unexplained: u64,
}

impl KnownFailure {
    /// What nothing that is recorded by default tells, of so many of a hundred judged requests at most.
    pub(super) const fn unexplained(why: &'static str, most_unexplained: u64) -> Self {
        Self {
            why,
            most_wrong: 5,
            most_unexplained,
        }
    }
}

/// What observer has to say.
pub(super) enum Expected {
    /// Of every request that one of these parts makes up most of.
    Parts(Vec<InjectedPart>),
    /// Of every slow request: nobody is to blame, and its time is in these causes. One that stood behind others for
    /// most of its time waited for its worker.
    Nothing(&'static [&'static str]),
}

/// One injected part of a request.
pub(super) struct InjectedPart {
    pub(super) injected: Injected,
    /// Causes that are right. What observer charges to them together is compared with what was injected.
    pub(super) causes: &'static [&'static str],
    pub(super) culprit: Culprit,
    /// Nothing that is recorded tells who is to blame: nobody named is as good as the right one, and nobody else is.
    pub(super) nameless: bool,
}

/// Which of the truth's stretches make up a part.
pub(super) enum Injected {
    /// Those of its own handler.
    Own(&'static [FaultKind]),
    /// Those of its own handler, and perhaps some of the time before and after it, at most so much: parsing is
    /// computing too, and where the CPU is taken away from a handler, it is from what surrounds that, too.
    OwnAndAround(&'static [FaultKind], u64),
    /// Those of others on its runtime, while so many of them at once kept its handler from beginning: as many as there
    /// are workers.
    Behind(&'static [FaultKind], usize),
    /// Those of its own handler, and before that those of others as in [`Self::Behind`].
    OwnAndBehind(&'static [FaultKind], &'static [FaultKind], usize),
    /// It came while the listener was left alone: at least for the rest of that, until its handler began at most.
    Unaccepted,
    /// The client kept a part of the request back.
    Withheld,
    /// The client left the answer lying.
    Unread,
    /// From its handler's end until the client had all of the answer, less what sending takes, at most so much.
    Answering(u64),
}

/// What the longest span of a right cause has to name. What is `None` is not asked for.
#[derive(Default)]
pub(super) struct Culprit {
    /// Method and path of the request that was waited behind.
    pub(super) request: Option<&'static str>,
    /// Name of the thread that was waited behind.
    pub(super) comm: Option<&'static str>,
    /// What that is to its runtime.
    pub(super) role: Option<&'static str>,
    /// One of these system calls.
    pub(super) syscalls: &'static [&'static str],
    /// The address of the peer.
    pub(super) peer: bool,
    /// The file, by the beginning of its path.
    pub(super) object: Option<Object>,
}

/// Files that a server works on.
#[derive(Clone, Copy)]
pub(super) enum Object {
    /// The one that it reads.
    Data,
    /// One in the directory in which it writes.
    Files,
}

/// One run of a scenario.
pub(super) struct Case {
    pub(super) name: String,
    /// Whether it is part of the short form.
    pub(super) short: bool,
    pub(super) server: Server,
    pub(super) loads: Vec<Load>,
    /// Requests that the client sends at once: observer takes them for one.
    pub(super) pipelined: u64,
    /// Observer attaches in the middle of the loads, which go on for twice as long then.
    pub(super) attached_late: bool,
    /// What is asked for before the requests that count.
    pub(super) warm_up: &'static str,
}

/// The server and what surrounds it.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) program: Program,
    pub(super) arguments: Vec<String>,
    /// The one CPU that it may run on, and how many others run there.
    pub(super) beside_hogs: Option<(u16, usize)>,
    /// CPU time that it may have of each period, both in microseconds.
    pub(super) quota_us: Option<(u64, u64)>,
    /// The peer that it asks, with these arguments.
    pub(super) peer: Option<Vec<String>>,
    /// Whether it is told by Go's execution trace, too, what the runtime did.
    pub(super) traced: bool,
}

/// Which of the testbed's servers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// On tokio.
    Faulty,
    /// Of threads and event loops of its own.
    Plain,
    /// In Go, on net/http.
    Go,
}

/// One `load` process.
pub(super) struct Load {
    /// Where the server listens, if not at its first address.
    pub(super) host: Option<&'static str>,
    pub(super) path: String,
    pub(super) arguments: Vec<String>,
}

impl Scenario {
    /// Whether it takes the server in Go.
    pub(super) fn is_go(&self) -> bool {
        self.cases.iter().any(|case| case.server.program == Program::Go)
    }
}

impl Case {
    /// Requests that come one by one, once observer is attached, in the long form only.
    pub(super) fn new(name: &str, server: Server, loads: Vec<Load>) -> Self {
        Self {
            name: name.to_owned(),
            short: false,
            server,
            loads,
            pipelined: 1,
            attached_late: false,
            warm_up: "/ping",
        }
    }

    /// Whether every request is the first of its connection.
    pub(super) fn reconnects(&self) -> bool {
        let mut words = self.loads.iter().flat_map(|load| &load.arguments);
        words.any(|word| word == "--reconnect")
    }
}

impl Expected {
    /// The first causes of the parts.
    pub(super) fn first_causes(&self) -> Vec<&'static str> {
        match self {
            Self::Parts(parts) => parts.iter().map(|part| part.causes[0]).collect(),
            Self::Nothing(_) => Vec::new(),
        }
    }
}

impl InjectedPart {
    pub(super) fn new(injected: Injected, causes: &'static [&'static str]) -> Self {
        Self {
            injected,
            causes,
            culprit: Culprit::default(),
            nameless: false,
        }
    }

    /// With somebody of whom nothing is recorded that tells.
    pub(super) fn nameless(self) -> Self {
        Self {
            nameless: true,
            ..self
        }
    }

    /// With somebody to be named.
    pub(super) fn by(self, culprit: Culprit) -> Self {
        Self { culprit, ..self }
    }
}

impl Culprit {
    pub(super) fn request(request: &'static str) -> Self {
        Self {
            request: Some(request),
            ..Self::default()
        }
    }

    pub(super) fn comm(comm: &'static str) -> Self {
        Self {
            comm: Some(comm),
            ..Self::default()
        }
    }

    pub(super) fn role(role: &'static str) -> Self {
        Self {
            role: Some(role),
            ..Self::default()
        }
    }

    pub(super) fn peer() -> Self {
        Self {
            peer: true,
            ..Self::default()
        }
    }

    pub(super) fn syscalls(syscalls: &'static [&'static str]) -> Self {
        Self {
            syscalls,
            ..Self::default()
        }
    }

    pub(super) fn on(self, object: Object) -> Self {
        Self {
            object: Some(object),
            ..self
        }
    }

    pub(super) fn and_syscalls(self, syscalls: &'static [&'static str]) -> Self {
        Self { syscalls, ..self }
    }
}

impl Server {
    pub(super) fn of(program: Program) -> Self {
        Self {
            program,
            arguments: Vec::new(),
            beside_hogs: None,
            quota_us: None,
            peer: None,
            traced: false,
        }
    }

    /// A server on tokio with so many workers.
    pub(super) fn workers(workers: u16) -> Self {
        Self::of(Program::Faulty).with(&["--workers", &workers.to_string()])
    }

    /// One of threads of its own, of this kind, with so many of them in each pool.
    pub(super) fn plain(kind: &str, threads: u16) -> Self {
        Self::of(Program::Plain).with(&["--kind", kind, "--threads", &threads.to_string()])
    }

    /// One in Go, of which so many goroutines run at once.
    pub(super) fn go(procs: u16) -> Self {
        Self::of(Program::Go).with(&["--procs", &procs.to_string()])
    }

    pub(super) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(owned(arguments));
        self
    }

    /// With a peer that it asks, which is started with these arguments.
    pub(super) fn with_peer(self, arguments: &[&str]) -> Self {
        Self {
            peer: Some(owned(arguments).collect()),
            ..self
        }
    }
}

impl Load {
    /// So many requests a second, from so many connections.
    pub(super) fn rate(path: &str, connections: u16, per_second: u64) -> Self {
        let (connections, rate) = (connections.to_string(), per_second.to_string());
        Self::new(path, &["--connections", &connections, "--rate", &rate])
    }

    /// From so many connections, each as fast as it is answered.
    pub(super) fn closed(path: &str, connections: u16) -> Self {
        Self::new(path, &["--connections", &connections.to_string()])
    }

    pub(super) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(owned(arguments));
        self
    }

    /// At the server's second address.
    pub(super) fn at_second(self) -> Self {
        Self {
            host: Some("127.0.0.2"),
            ..self
        }
    }

    fn new(path: &str, arguments: &[&str]) -> Self {
        let load = Self {
            host: None,
            path: path.to_owned(),
            arguments: Vec::new(),
        };
        load.with(arguments)
    }
}

fn owned(words: &[&str]) -> impl Iterator<Item = String> {
    words.iter().map(|word| (*word).to_owned())
}
