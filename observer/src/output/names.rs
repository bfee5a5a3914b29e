//! What processes are called: a request, and what is counted of a process, has its number only.

use std::collections::BTreeMap;

use crate::model::header::Header;
use crate::model::id::Pid;
use crate::model::process::{ProcessEvent, ProcessLine};

/// Names that are remembered. There are as many processes at once as are watched, which is fewer, and those that ended.
const MAX_NAMES: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct ProcessNames {
    names: BTreeMap<Pid, ProcessName>,
    /// Those that may make room, by the order in which they came to that.
    may_go: BTreeMap<u64, Pid>,
    next: u64,
    /// Some made room, or found none.
    was_full: bool,
    /// Requests that found no name since then.
    nameless_in_window: u64,
    nameless_in_run: u64,
}

#[derive(Debug)]
struct ProcessName {
    comm: String,
    /// Its place among those that may make room: its process ended, and few requests are still to come.
    may_go: Option<u64>,
}

impl ProcessNames {
    /// Those that are watched from the start.
    pub(super) fn begin(&mut self, header: &Header) {
        for target in &header.targets {
            self.add(target.pid, &target.comm);
        }
    }

    /// What happened to a process tells what it is called, and whether more of it can come.
    pub(super) fn learn(&mut self, line: &ProcessLine) {
        if let Some(comm) = &line.comm {
            self.add(line.pid, comm);
        }
        // Of one that is not watched there are no requests.
        if line.event == ProcessEvent::Exit || line.watched == Some(false) {
            self.may_go(line.pid);
        }
    }

    /// Process `pid` is called so from now on. Where there is no room, the one that ended first makes some.
    fn add(&mut self, pid: Pid, comm: &str) {
        if self.names.len() >= MAX_NAMES && !self.names.contains_key(&pid) {
            self.was_full = true;
            let Some((_, ended)) = self.may_go.pop_first() else {
                return;
            };
            self.names.remove(&ended);
        }
        let name = ProcessName {
            comm: comm.to_owned(),
            may_go: None,
        };
        let before = self.names.insert(pid, name);
        if let Some(place) = before.and_then(|before| before.may_go) {
            self.may_go.remove(&place);
        }
    }

    /// The name of process `pid` may make room: it ended.
    fn may_go(&mut self, pid: Pid) {
        if let Some(name) = self.names.get_mut(&pid)
            && name.may_go.is_none()
        {
            name.may_go = Some(self.next);
            self.may_go.insert(self.next, pid);
            self.next += 1;
        }
    }

    /// The name of a request's process. Counts where it may be one that made room.
    pub(super) fn of(&mut self, pid: Pid) -> Option<&str> {
        if self.was_full && !self.names.contains_key(&pid) {
            self.nameless_in_window += 1;
            self.nameless_in_run += 1;
        }
        self.known(pid)
    }

    /// The name of a process, where it is known.
    pub(super) fn known(&self, pid: Pid) -> Option<&str> {
        self.names.get(&pid).map(|name| name.comm.as_str())
    }

    /// Requests that found no name since the last call, though there may have been one.
    pub(super) fn nameless_in_window(&mut self) -> u64 {
        std::mem::take(&mut self.nameless_in_window)
    }

    /// The same, of the whole run.
    pub(super) const fn nameless_in_run(&self) -> u64 {
        self.nameless_in_run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ended_makes_room_and_who_lives_keeps_its_name() {
        let mut names = ProcessNames::default();
        names.add(Pid(1), "master");
        for pid in 2..=3 * MAX_NAMES as u32 {
            names.add(Pid(pid), "child");
            names.may_go(Pid(pid));
        }
        assert_eq!(names.of(Pid(1)), Some("master"));
        assert_eq!(names.nameless_in_run(), 0);
        assert_eq!(names.of(Pid(2)), None);
        assert_eq!((names.nameless_in_window(), names.nameless_in_run()), (1, 1));
        assert_eq!((names.nameless_in_window(), names.nameless_in_run()), (0, 1));
        assert_eq!(names.names.len(), MAX_NAMES);
        // The last that ended are still known: their requests may come yet.
        assert_eq!(names.of(Pid(3 * MAX_NAMES as u32)), Some("child"));
    }

    #[test]
    fn a_name_that_nobody_gave_is_not_missed() {
        let mut names = ProcessNames::default();
        names.add(Pid(1), "server");
        assert_eq!(names.of(Pid(2)), None);
        assert_eq!(names.nameless_in_run(), 0);
    }

    #[test]
    fn where_nobody_ended_a_name_finds_no_room_and_that_is_counted() {
        let mut names = ProcessNames::default();
        for pid in 0..=MAX_NAMES as u32 {
            names.add(Pid(pid), "server");
        }
        assert_eq!(names.of(Pid(0)), Some("server"));
        assert_eq!(names.of(Pid(MAX_NAMES as u32)), None);
        assert_eq!(names.nameless_in_run(), 1);
    }
}
