//! Names for people: what descriptors are, what threads are called, who a culprit is.

use std::collections::HashMap;
use std::rc::Rc;

use super::Evidence;
use crate::event;
use crate::request::{Culprit, Detail};
use crate::syscall::{self, Wait};
use crate::threads::{Block, Occupant, Owner};

/// Descriptors whose names are kept.
const MAX_NAMES: usize = 65_536;

/// What descriptors are, by process and number.
#[derive(Debug, Default)]
pub struct Names {
    fds: HashMap<(u32, i32), Rc<str>>,
}

impl Names {
    /// Descriptor `fd` of process `pid` is `name`.
    pub fn fd(&mut self, pid: u32, fd: i32, name: &str) {
        if self.fds.len() >= MAX_NAMES {
            self.fds.clear();
        }
        self.fds.insert((pid, fd), name.into());
    }
}

/// What a blocking call of process `pid` was in and on.
pub(super) fn detail(evidence: &Evidence<'_>, pid: u32, block: &Block) -> Detail {
    let args = [block.arg0, 0, 0, 0];
    let mut detail = Detail { syscall: syscall::name(block.syscall), ..Detail::default() };
    if let Some(fd) = syscall::blocking_fd(block.syscall, &args) {
        if let Some((_, connection)) = evidence.connections.by_fd(pid, fd)
            && evidence.names.fds.get(&(pid, fd)).is_none_or(|name| name.starts_with("socket:"))
        {
            detail.peer = connection.peer;
        } else {
            detail.object = evidence.names.fds.get(&(pid, fd)).cloned();
        }
    }
    if block.wait == Wait::PageFault {
        detail.note = Some("page fault");
    }
    detail
}

/// A thread that ran on the CPU that was waited for.
pub(super) fn occupant(evidence: &Evidence<'_>, occupant: &Occupant) -> Culprit {
    let request = evidence.threads.get(occupant.tid).and_then(|thread| request(evidence, thread.owner()));
    Culprit {
        pid: occupant.pid,
        tid: occupant.tid,
        comm: Some(comm(occupant).into()),
        request: if occupant.tid == 0 { None } else { request },
        syscall: None,
        object: None,
    }
}

/// A thread of a watched process, as a culprit.
pub(super) fn thread(evidence: &Evidence<'_>, tid: u32, owner: Owner) -> Culprit {
    let known = evidence.threads.get(tid);
    Culprit {
        pid: known.map_or(0, |thread| thread.pid),
        tid,
        comm: known.and_then(|thread| thread.comm.clone()),
        request: request(evidence, owner),
        syscall: None,
        object: None,
    }
}

/// A request in words: method and path without query.
fn request(evidence: &Evidence<'_>, owner: Owner) -> Option<Rc<str>> {
    let Owner::Request(id) = owner else { return None };
    let http = evidence.connections.turn(id)?.http()?;
    let path = http.target.split('?').next().unwrap_or_default();
    Some(format!("{} {path}", http.method).into())
}

fn comm(occupant: &Occupant) -> String {
    if occupant.tid == 0 {
        return "idle".to_owned();
    }
    event::text(&occupant.comm)
}
