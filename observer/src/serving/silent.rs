//! What a user is told of a process of which no request was seen: where it listens, or who else of its family, and what
//! it does instead.

use std::collections::{BTreeMap, BTreeSet};

use super::hints::{NAMED, WHO_SERVES, kin, listed};
use super::{Listener, Watched};
use crate::model::hint::{Hint, HintKind};
use crate::model::id::Pid;
use crate::model::privilege::Missing;

/// Who of a family listens.
struct Who {
    words: String,
    is_one: bool,
}

impl Watched {
    /// It ended, and there was no request.
    pub(super) fn ended_silent(&self, pid: Pid) -> Hint {
        if self.listened {
            let why = match self.who_listens(pid) {
                Some(Who { words, .. }) => format!("{words} listened, and they ended"),
                None => "it listened, and ended".to_owned(),
            };
            let remedy = "send it requests while it is watched";
            self.hint(HintKind::NoTraffic, pid, &why, remedy)
        } else if let Some(missing) = self.unseen {
            self.unseen(pid, missing)
        } else {
            let why = "it listened on no TCP port, and ended";
            self.hint(HintKind::NotListening, pid, why, WHO_SERVES)
        }
    }

    /// There was no request: what it does instead, as far as that is known. `is_used` tells that there was traffic.
    pub(super) fn silent(&self, pid: Pid, is_used: bool) -> Vec<Hint> {
        let mut hints = Vec::new();
        // Those that share one hold it each.
        let paths: BTreeSet<&str> = self.own(pid).filter_map(Listener::path).collect();
        if !paths.is_empty() {
            let sockets = if paths.len() == 1 { "socket" } else { "sockets" };
            let more = paths.len().saturating_sub(NAMED);
            let named: Vec<&str> = paths.into_iter().take(NAMED).collect();
            let mut paths = named.join(", ");
            if more > 0 {
                paths.push_str(&format!(" and {more} more"));
            }
            let ports: Vec<u16> = self.ports(pid).into_iter().collect();
            let of_port = if ports.is_empty() {
                String::new()
            } else {
                format!("port {}, to which none came, and ", listed(&ports))
            };
            let listens = self.listens(pid);
            let why =
                format!("{listens} on {of_port}the Unix {sockets} {paths}, which observer does not follow");
            let remedy = if ports.is_empty() {
                "attach to the process in front of it, which takes its clients' TCP connections"
            } else {
                "send it requests there, or attach to the process in front of the socket"
            };
            hints.push(self.hint(HintKind::UnixSocket, pid, &why, remedy));
        }
        if self.io_uring {
            let why = "it has an io_uring, and what goes through that is not seen";
            let remedy = "let it use its sockets by system calls while it is observed";
            hints.push(self.hint(HintKind::IoUring, pid, why, remedy));
        }
        if hints.is_empty() && !is_used {
            hints.push(self.unused(pid));
        }
        hints
    }

    /// Where it listens is not known.
    fn unseen(&self, pid: Pid, missing: Missing) -> Hint {
        let why = "on which ports it listens is not known, because its descriptors cannot be seen";
        let (why, remedy) = if missing.any() {
            (
                format!("{why} without {missing}"),
                format!("run observer as root, or with {missing} too"),
            )
        } else {
            (
                why.to_owned(),
                "run observer as root, outside of a container".to_owned(),
            )
        };
        self.hint(HintKind::Unseen, pid, &why, &remedy)
    }

    /// Nobody asks it, or not where it is seen.
    fn unused(&self, pid: Pid) -> Hint {
        if self.forked {
            let why = "what it forked meanwhile is not watched";
            return self.hint(
                HintKind::Children,
                pid,
                why,
                "without --no-follow it is watched too",
            );
        }
        let ports = self.ports(pid);
        if let Some(missing) = self.unseen.filter(|_| ports.is_empty()) {
            return self.unseen(pid, missing);
        }
        let connections = match self.connections {
            0 => "no TCP connection".to_owned(),
            1 => "one TCP connection, on which no request came".to_owned(),
            many => format!("{many} TCP connections, on which no request came"),
        };
        if ports.is_empty() {
            let why = format!("it listens on no TCP port and has {connections}");
            return self.hint(HintKind::NotListening, pid, &why, WHO_SERVES);
        }
        let ports: Vec<u16> = ports.into_iter().collect();
        let (listens, ports) = (self.listens(pid), listed(&ports));
        // Whose they are is not told apart.
        let have = match self.who_listens(pid) {
            Some(_) => ", and they have",
            None => " and has",
        };
        let why = format!("{listens} on port {ports}{have} {connections}");
        let remedy = "send it requests, or see with `sudo ss -ltnp` who else listens where they go";
        self.hint(HintKind::NoTraffic, pid, &why, remedy)
    }

    /// That it listens, or who does of those that it started.
    fn listens(&self, pid: Pid) -> String {
        match self.who_listens(pid) {
            Some(Who { words, is_one: true }) => format!("{words} listens"),
            Some(Who { words, .. }) => format!("{words} listen"),
            None => "it listens".to_owned(),
        }
    }

    /// Who listens, where it does not itself on all of its family's sockets.
    fn who_listens(&self, pid: Pid) -> Option<Who> {
        let (itself, others): (Vec<&Listener>, Vec<&Listener>) =
            self.own(pid).partition(|listener| listener.pid == pid);
        let held: BTreeSet<u64> = itself.iter().map(|listener| listener.inode).collect();
        let others = others.iter().filter(|listener| !held.contains(&listener.inode));
        let others: BTreeMap<Pid, Pid> = others.map(|other| (other.pid, other.parent)).collect();
        let pids: Vec<Pid> = others.keys().copied().collect();
        let names = || format!("{} {}", kin(pid, &others), listed(&pids));
        match (others.len(), held.is_empty()) {
            (0, _) => None,
            (many, true) => Some(Who {
                words: names(),
                is_one: many == 1,
            }),
            (_, false) => Some(Who {
                words: format!("it and {}", names()),
                is_one: false,
            }),
        }
    }

    /// The TCP ports on which it listens.
    fn ports(&self, pid: Pid) -> BTreeSet<u16> {
        self.own(pid).filter_map(Listener::port).collect()
    }

    /// There was no request, and this is why.
    fn hint(&self, kind: HintKind, pid: Pid, why: &str, remedy: &str) -> Hint {
        Hint {
            kind,
            pid: Some(pid),
            pids: Vec::new(),
            text: format!("no request of {} was seen: {why}", self.name(pid)),
            remedy: remedy.to_owned(),
        }
    }
}
