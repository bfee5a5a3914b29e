//! Who serves, as the source's looks tell it: watched processes, those that they started, and those that took over.
//!
//! It keeps what was looked up and asks nobody. What follows from it for a user is judged in [`hints`].

mod hints;
mod refused;
mod silent;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use self::refused::Refused;
use crate::event;
use crate::model::full::{Full, Table};
use crate::model::hint::{Hint, HintKind};
use crate::model::id::Pid;
use crate::model::privilege::Missing;
use crate::model::process::{ProcessLine, Successor};

/// Processes that are kept at once. Those that ended first make room for others; where none has ended, it is not told
/// of more than these who took over.
const MAX_WATCHED: usize = 1024;

/// Listeners that are kept of a watched process and those that it started, at most.
const MAX_LISTENERS: usize = 1024;

/// Successors that are kept of a process, at most. The source tells fewer.
const MAX_SUCCESSORS: usize = 64;

/// What is known of who serves.
#[derive(Debug, Default)]
pub(crate) struct Serving {
    /// By watched process, of each family the first; those that ended stay.
    watched: BTreeMap<Pid, Watched>,
    /// Those that ended and of which nothing more comes, the first of them first.
    over: VecDeque<Pid>,
    /// Children are watched too, as far as there is room.
    follow: bool,
    /// Of the ports that are to be watched, those on which nobody listened yet.
    unheard: BTreeSet<u16>,
    /// Something was told that was not judged yet.
    has_news: bool,
    /// Hints that were given.
    told: Vec<(HintKind, Option<Pid>)>,
    /// What was not kept.
    pub(crate) full: Full,
}

/// What the run saw of its processes' sockets so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Turns that were answered, whether their end is certain or not.
    pub(crate) turns: u64,
    /// Turns that were not answered until their connection closed.
    pub(crate) unanswered: u64,
    /// Turns that are not answered yet.
    pub(crate) under_way: u64,
    /// Sends that belong to no turn.
    pub(crate) late_sends: u64,
    /// Answers to requests that had come before their connection was first seen.
    pub(crate) begun_before: u64,
    /// Connections that were used while nobody could tell who had opened them.
    pub(crate) unknown_direction: u64,
}

/// One watched process.
#[derive(Debug, Default)]
struct Watched {
    comm: String,
    looked: bool,
    /// It was seen to listen on a TCP port.
    listened: bool,
    /// TCP connections at the last look.
    connections: u32,
    io_uring: bool,
    /// It forked others, and nobody asked for those.
    forked: bool,
    /// What its descriptors are could not be seen, for want of these capabilities.
    unseen: Option<Missing>,
    listeners: Vec<Listener>,
    refused: Refused,
    /// Those of the look that is being told.
    coming: Vec<Listener>,
    /// Its last line, until it is known who took over.
    leaving: Option<ProcessLine>,
    successors: Vec<Successor>,
    /// Those of them that are watched.
    watched_successors: Vec<Pid>,
    ended: Option<Ended>,
}

/// A socket that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listener {
    /// Who holds it: the watched process, or one that it started.
    pid: Pid,
    /// It is one that it started, and is watched too.
    followed: bool,
    parent: Pid,
    comm: String,
    inode: u64,
    on: ListensAt,
}

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ListensAt {
    Port(u16),
    Path(String),
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ended {
    /// A port on which it listened.
    port: Option<u16>,
    /// Some that it started are still watched.
    left: bool,
    waited_ns: u64,
}

impl Serving {
    /// Nothing is known of these processes yet. Their children are watched with them, or are not.
    pub(crate) fn new(targets: impl Iterator<Item = (Pid, String)>, follow: bool) -> Self {
        let watched = |(pid, comm)| {
            let watched = Watched {
                comm,
                ..Watched::default()
            };
            (pid, watched)
        };
        Self {
            watched: targets.map(watched).collect(),
            follow,
            ..Self::default()
        }
    }

    /// Whoever listens on these ports is to be watched.
    pub(crate) fn awaiting(self, ports: &[u16]) -> Self {
        Self {
            unheard: ports.iter().copied().collect(),
            ..self
        }
    }

    /// A watched process listens on this port.
    pub(crate) fn heard(&mut self, port: u16) {
        self.unheard.remove(&port);
    }

    /// Another process is watched from now on, the first of its family. It may have the number of one that ended: gives
    /// the last line of that one, if it was not known yet who took over.
    pub(crate) fn watch(&mut self, pid: Pid, comm: &str) -> Option<ProcessLine> {
        let last = self.watched.get_mut(&pid).and_then(Watched::last_line);
        self.forget(pid);
        if self.watched.len() == MAX_WATCHED {
            self.full.count(Table::Serving, 1);
            let Some(&first) = self.over.front() else {
                return last;
            };
            self.forget(first);
        }
        // Whoever is watched later than from the start has begun to listen on a port of `--port`.
        let watched = Watched {
            comm: comm.to_owned(),
            listened: true,
            ..Watched::default()
        };
        self.watched.insert(pid, watched);
        last
    }

    /// Forgets a process, and which hints were given of it.
    fn forget(&mut self, pid: Pid) {
        if self.watched.remove(&pid).is_some() {
            self.over.retain(|over| *over != pid);
            self.told.retain(|(_, of)| *of != Some(pid));
        }
    }

    /// A listener of the look that is being told.
    pub(crate) fn listener(&mut self, event: &event::Listener) {
        if let Ok(port) = u16::try_from(event.port) {
            self.heard(port);
        }
        let Some(watched) = self.watched.get_mut(&Pid(event.watched)) else {
            return;
        };
        let on = match u16::try_from(event.port) {
            Ok(0) => ListensAt::Path(event::text(&event.path)),
            Ok(port) => ListensAt::Port(port),
            Err(_) => return,
        };
        if watched.coming.len() < MAX_LISTENERS {
            watched.coming.push(Listener {
                pid: event.pid(),
                followed: event.followed != 0,
                parent: Pid(event.parent),
                comm: event::text(&event.comm),
                inode: event.inode,
                on,
            });
        } else {
            self.full.count(Table::Serving, 1);
        }
    }

    /// A look was told.
    pub(crate) fn looked(&mut self, event: &event::Looked) {
        if let Some(watched) = self.watched.get_mut(&event.pid()) {
            watched.listeners = std::mem::take(&mut watched.coming);
            watched.looked = true;
            let listens = watched.own(event.pid()).any(|listener| listener.port().is_some());
            watched.listened |= listens;
            watched.connections = event.connections;
            watched.io_uring = event.flags & event::Looked::IO_URING != 0;
            watched.unseen = event.missing();
            watched.comm = event::text(&event.comm);
            self.has_news = true;
        }
    }

    /// A watched process forked another, which is not watched.
    pub(crate) fn forked(&mut self, pid: Pid) {
        // With its children one is not watched for want of room only, and that is counted.
        if let Some(watched) = self.watched.get_mut(&pid)
            && !self.follow
        {
            watched.forked = true;
        }
    }

    /// A process ended, and this is to be written of it once it is known who took over. Gives it back where that is not
    /// looked for.
    pub(crate) fn leaves(&mut self, line: ProcessLine) -> Option<ProcessLine> {
        match self.watched.get_mut(&line.pid) {
            Some(watched) if watched.ended.is_none() => {
                watched.leaving = Some(line);
                None
            }
            _ => Some(line),
        }
    }

    /// One that took over.
    pub(crate) fn successor(&mut self, event: &event::Successor) {
        let (Some(watched), Ok(port)) = (self.watched.get_mut(&event.pid()), u16::try_from(event.port))
        else {
            return;
        };
        if watched.successors.len() < MAX_SUCCESSORS {
            watched.successors.push(Successor {
                pid: Pid(event.pid),
                comm: event::text(&event.comm),
                port,
                same_socket: event.same_socket != 0,
            });
            if event.watched != 0 {
                watched.watched_successors.push(Pid(event.pid));
            }
        } else {
            self.full.count(Table::Serving, 1);
        }
    }

    /// Who took over is known. Gives the last line of the process.
    pub(crate) fn ended(&mut self, event: &event::Ended) -> Option<ProcessLine> {
        let watched = self.watched.get_mut(&event.pid())?;
        let line = watched.last_line()?;
        watched.ended = Some(Ended {
            port: u16::try_from(event.port).ok().filter(|port| *port != 0),
            left: event.left > 0,
            waited_ns: event.waited_ns,
        });
        self.over.push_back(event.pid());
        self.has_news = true;
        Some(line)
    }

    /// The last lines of processes of which that will not be known: the stream breaks off.
    pub(crate) fn left(&mut self) -> Vec<ProcessLine> {
        self.watched.values_mut().filter_map(Watched::last_line).collect()
    }

    /// Whether there is something to judge that was told since the last time.
    pub(crate) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// Those of `hints` that were not given before.
    pub(crate) fn tell(&mut self, hints: &[Hint]) -> Vec<Hint> {
        let new = hints.iter().filter(|hint| {
            let key = (hint.kind, hint.pid);
            let is_new = !self.told.contains(&key);
            if is_new {
                self.told.push(key);
            }
            is_new
        });
        new.cloned().collect()
    }
}

impl Watched {
    fn last_line(&mut self) -> Option<ProcessLine> {
        let line = self.leaving.take()?;
        Some(ProcessLine {
            successors: self.successors.clone(),
            ..line
        })
    }
}

impl Listener {
    fn path(&self) -> Option<&str> {
        match &self.on {
            ListensAt::Path(path) => Some(if path.is_empty() { "without a name" } else { path }),
            ListensAt::Port(_) => None,
        }
    }

    const fn port(&self) -> Option<u16> {
        match self.on {
            ListensAt::Port(port) => Some(port),
            ListensAt::Path(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
