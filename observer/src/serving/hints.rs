//! What a user is told of a run in which something is missing: which of what is known matters, and in which words.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ended, Listener, Serving, Traffic, Watched};
use crate::model::full::Table;
use crate::model::hint::{Hint, HintKind};
use crate::model::id::Pid;
use crate::model::process::Successor;

pub(super) const WHO_SERVES: &str =
    "give the pid of the process that serves: `sudo ss -ltnp` lists who listens where";

/// Processes, ports or sockets that a sentence names; of more it tells how many.
pub(super) const NAMED: usize = 8;

impl Serving {
    /// What there is to tell, after this traffic.
    pub(crate) fn hints(&self, traffic: Traffic) -> Vec<Hint> {
        let mut hints = Vec::new();
        let without_turns = self.without_turns(traffic).filter(|_| traffic.turns == 0);
        for (&pid, watched) in &self.watched {
            hints.extend(watched.queue_full(pid));
            if let Some(ended) = watched.ended {
                hints.extend(watched.replaced(pid, ended));
                if traffic.turns == 0 && ended.port.is_none() && !ended.left {
                    hints.push(watched.ended_silent(pid));
                }
            } else if watched.leaving.is_none() && watched.looked {
                let children = watched.children(pid, self.follow, traffic);
                if traffic.turns == 0 && children.is_none() {
                    hints.extend(watched.silent(pid, without_turns.is_some()));
                }
                hints.extend(children);
            }
        }
        hints.extend(without_turns);
        hints
    }

    /// So many records found no room in the run, and so many of its requests are incomplete for what was lost.
    pub(crate) fn records_lost(&self, records: u64, incomplete: u64) -> Option<Hint> {
        let pid = *self.watched.keys().next()?;
        let requests = match incomplete {
            1 => "1 request is".to_owned(),
            _ => format!("{incomplete} requests are"),
        };
        (records > 0).then(|| Hint {
            kind: HintKind::RecordsLost,
            pid: Some(pid),
            pids: Vec::new(),
            text: format!(
                "{records} records found no room in their ring: {requests} incomplete, and where an answer was lost \
                 two requests are told as one, which seems to have taken long"
            ),
            remedy: "of a burst a larger ring holds more (`--ring-kib`); where it goes on, observer has too little CPU"
                .to_owned(),
        })
    }

    /// Tables of observer were full in the run.
    pub(crate) fn full_tables(&self, full: &[(&'static str, u64)]) -> Option<Hint> {
        let pid = *self.watched.keys().next()?;
        let missing = |table: Table| {
            let (name, count) = full.iter().find(|(name, _)| *name == table.name())?;
            Some(format!("{} ({name}, {count})", table.tells()?))
        };
        let counts: Vec<String> = Table::ALL.into_iter().filter_map(missing).collect();
        (!counts.is_empty()).then(|| Hint {
            kind: HintKind::FullTables,
            pid: Some(pid),
            pids: Vec::new(),
            text: format!(
                "observer did not keep everything, so this may be missing or less exact: {}",
                counts.join(", ")
            ),
            remedy: "\"Bounds\" in docs/schema.md says of each what is missing".to_owned(),
        })
    }

    /// On these ports nobody listened in the whole run.
    pub(crate) fn unheard(&self) -> Option<Hint> {
        let ports: Vec<String> = self.unheard.iter().map(u16::to_string).collect();
        let (they, is) = match ports.as_slice() {
            [] => return None,
            [_] => ("port", "it was"),
            _ => ("ports", "they were"),
        };
        Some(Hint {
            kind: HintKind::NobodyListened,
            pid: None,
            pids: Vec::new(),
            text: format!(
                "on {they} {} nobody who can be watched was seen to listen while {is} watched",
                joined(&ports)
            ),
            remedy: "`sudo ss -ltnp` lists who listens where; of a server in another network namespace, such as a \
                     container's, give the pid"
                .to_owned(),
        })
    }

    /// There was traffic, and no turn in it.
    fn without_turns(&self, traffic: Traffic) -> Option<Hint> {
        let seen = [
            (traffic.under_way, "what came in has no answer yet"),
            (
                traffic.unanswered,
                "what came in had no answer when its connection closed",
            ),
            (traffic.late_sends, "what was sent answered nothing"),
            (
                traffic.begun_before,
                "what was answered had come before observer attached",
            ),
            (
                traffic.unknown_direction,
                "of a connection nothing tells who opened it",
            ),
        ];
        let parts: Vec<String> = seen
            .into_iter()
            .filter(|&(times, _)| times > 0)
            .map(|(times, what)| format!("{what} ({times})"))
            .collect();
        let pid = *self.watched.keys().next()?;
        (!parts.is_empty()).then(|| Hint {
            kind: HintKind::NoTurns,
            pid: Some(pid),
            pids: Vec::new(),
            text: format!("no request was seen: {}", parts.join(", ")),
            remedy:
                "a request is counted once it is answered; where only one side speaks, observer counts none"
                    .to_owned(),
        })
    }
}

impl Watched {
    /// Its name and number.
    pub(super) fn name(&self, pid: Pid) -> String {
        named(&self.comm, pid)
    }

    /// Others listen where it did.
    fn replaced(&self, pid: Pid, ended: Ended) -> Option<Hint> {
        let port = ended.port?;
        let name = self.name(pid);
        let is_other = |successor: &&Successor| !self.watched_successors.contains(&successor.pid);
        let others: Vec<&Successor> = self.successors.iter().filter(is_other).collect();
        if others.is_empty() && !self.successors.is_empty() {
            return None;
        }
        let Some(first) = others.first() else {
            return Some(Hint {
                kind: HintKind::Successor,
                pid: Some(pid),
                pids: Vec::new(),
                text: format!(
                    "{name} ended, and in {:.1} s no other process was seen to listen on its port {port}",
                    ended.waited_ns as f64 / 1e9
                ),
                remedy: "what serves there later has another pid: `sudo ss -ltnp` lists who listens"
                    .to_owned(),
            });
        };
        let pids: Vec<Pid> = others.iter().map(|successor| successor.pid).collect();
        let Successor {
            comm,
            port,
            same_socket,
            ..
        } = first;
        let verb = if pids.len() == 1 { "listens" } else { "listen" };
        let how = if *same_socket {
            format!("{verb} on the same socket of port {port}")
        } else {
            format!("{verb} on its port {port} now")
        };
        Some(Hint {
            kind: HintKind::Successor,
            pid: Some(pid),
            text: format!("{name} ended, and {} ({comm}) {how}", listed(&pids)),
            remedy: attach(&pids),
            pids,
        })
    }

    /// Processes that it started hold its own listening socket, or, where there was no request, another one.
    fn children(&self, pid: Pid, follow: bool, traffic: Traffic) -> Option<Hint> {
        let silent = traffic.turns == 0;
        let own: BTreeSet<u64> = self.own(pid).map(|listener| listener.inode).collect();
        let others = self.listeners.iter().filter(|listener| {
            let matters = silent || own.contains(&listener.inode);
            listener.pid != pid && !listener.followed && listener.port().is_some() && matters
        });
        let others: Vec<&Listener> = others.collect();
        let first = others.first()?;
        let (port, same_socket) = (first.port()?, own.contains(&first.inode));
        // Of several ports the first is enough to find them.
        let alike = others
            .iter()
            .filter(|other| other.on == first.on && own.contains(&other.inode) == same_socket);
        let alike: BTreeMap<Pid, Pid> = alike.map(|other| (other.pid, other.parent)).collect();
        let pids: Vec<Pid> = alike.keys().copied().collect();
        let (name, numbers) = (self.name(pid), listed(&pids));
        let (who, many) = (kin(pid, &alike), pids.len() > 1);
        let hold = match (same_socket, many) {
            (true, false) => "holds the same socket that listens on port",
            (true, true) => "hold the same socket that listens on port",
            (false, false) => "listens on port",
            (false, true) => "listen on port",
        };
        let (text, watch) = if silent {
            let text = format!("no request of {name} was seen, but {who} {numbers} {hold} {port}");
            (text, pids.clone())
        } else {
            let (answer, they) = if many {
                ("answer", "they")
            } else {
                ("answers", "it")
            };
            let text =
                format!("what {who} {numbers} {answer} is not counted: {they} {hold} {port} as {name}");
            (text, [vec![pid], pids.clone()].concat())
        };
        Some(Hint {
            kind: HintKind::Children,
            pid: Some(pid),
            pids,
            text,
            // Those for whom there was no room may have some by themselves.
            remedy: if follow {
                attach(&watch)
            } else {
                "without --no-follow they are watched too".to_owned()
            },
        })
    }

    /// Its own listeners, and those of the processes that are watched with it.
    pub(super) fn own(&self, pid: Pid) -> impl Iterator<Item = &Listener> {
        let is_own = move |listener: &&Listener| listener.pid == pid || listener.followed;
        self.listeners.iter().filter(is_own)
    }
}

/// What these, each with its parent, are to process `pid`, which started all of them.
pub(super) fn kin(pid: Pid, others: &BTreeMap<Pid, Pid>) -> &'static str {
    let are_children = others.values().all(|parent| *parent == pid);
    match (are_children, others.len() > 1) {
        (true, false) => "its child",
        (true, true) => "its children",
        (false, false) => "its descendant",
        (false, true) => "its descendants",
    }
}

fn named(comm: &str, pid: Pid) -> String {
    format!("{comm} ({pid})")
}

/// The command that watches these processes.
fn attach(pids: &[Pid]) -> String {
    let pids: Vec<String> = pids.iter().map(|pid| format!("--pid {pid}")).collect();
    format!("sudo observer attach {}", pids.join(" "))
}

/// Numbers, in words.
pub(super) fn listed(numbers: &[impl ToString]) -> String {
    let mut words: Vec<String> = numbers.iter().take(NAMED).map(ToString::to_string).collect();
    let more = numbers.len().saturating_sub(NAMED);
    if more > 0 {
        words.push(format!("{more} more"));
    }
    joined(&words)
}

fn joined(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}
