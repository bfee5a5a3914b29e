//! Which descriptors have a name in the stream, and which have none because their numbers are used again and again:
//! such a name would be that of another file.

use std::collections::BTreeMap;

use super::targets::Change;
use crate::model::full::{Full, Table};
use crate::model::id::Pid;

/// Most descriptors that are known at a time.
const MAX_NAMED: usize = 16_384;

/// How long a name is believed before the descriptor is looked at again, ns.
const AGAIN_NS: u64 = 10_000_000;

/// Descriptors that are looked at again in that time, at most.
const MOST_AGAIN: u32 = 16;

/// How long a descriptor has no name after it was seen to be one file and then another, ns.
const REUSED_NS: u64 = 60_000_000_000;

/// The descriptors of all targets.
#[derive(Debug, Default)]
pub(super) struct NamedFds {
    fds: BTreeMap<(Pid, i32), Fd>,
    /// Since when it is counted how many were looked at again, and how many were, ns.
    again: (u64, u32),
    /// Descriptors that were not named.
    pub(super) full: Full,
}

#[derive(Debug)]
struct Fd {
    looked_ns: u64,
    name: Option<String>,
    is_reused: bool,
}

impl NamedFds {
    /// A thread blocked on a descriptor, which now is what `look` says. Gives the name that it has from now on, an
    /// empty one if it has none any more.
    pub(super) fn blocked_on(
        &mut self,
        at_ns: u64,
        (pid, fd): (Pid, i32),
        look: impl FnOnce() -> Option<String>,
    ) -> Option<String> {
        let Some(known) = self.fds.get_mut(&(pid, fd)) else {
            if self.fds.len() >= MAX_NAMED {
                self.full.count(Table::FdNames, 1);
                return None;
            }
            let name = look();
            let new = Fd {
                looked_ns: at_ns,
                name: name.clone(),
                is_reused: false,
            };
            self.fds.insert((pid, fd), new);
            return name;
        };
        if known.is_reused || at_ns.saturating_sub(known.looked_ns) < AGAIN_NS {
            return None;
        }
        if at_ns.saturating_sub(self.again.0) >= AGAIN_NS {
            self.again = (at_ns, 0);
        }
        self.again.1 += 1;
        if self.again.1 > MOST_AGAIN {
            return None;
        }
        known.looked_ns = at_ns;
        let name = look()?;
        if known.name.as_ref() == Some(&name) {
            return None;
        }
        if known.name.replace(name.clone()).is_none() {
            return Some(name);
        }
        known.is_reused = true;
        Some(String::new())
    }

    /// The descriptors of a process that ended, or became another program, are others now.
    pub(super) fn on_change(&mut self, change: Change) {
        if let Change::Exec { pid } | Change::Gone { pid, .. } = change {
            self.fds.retain(|(of, _), _| *of != pid);
        }
    }

    /// All are named anew, but for those whose numbers are used again.
    pub(super) fn each_second(&mut self, now_ns: u64) {
        self.fds
            .retain(|_, fd| fd.is_reused && now_ns.saturating_sub(fd.looked_ns) < REUSED_NS);
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::SECOND_NS;
    use super::*;

    const FD: (Pid, i32) = (Pid(7), 12);

    #[test]
    fn a_descriptor_that_is_one_file_and_then_another_has_no_name() {
        let mut fds = NamedFds::default();
        let mut at = |at_ns, name: &str| fds.blocked_on(at_ns, FD, || Some(name.to_owned()));
        assert_eq!(at(0, "/a").as_deref(), Some("/a"));
        assert_eq!(at(1, "/b"), None, "it was looked at just before");
        assert_eq!(at(AGAIN_NS, "/a"), None, "it has that name");
        assert_eq!(at(2 * AGAIN_NS, "/b").as_deref(), Some(""));
        assert_eq!(at(9 * AGAIN_NS, "/c"), None);
        fds.each_second(SECOND_NS);
        let mut at = |at_ns, name: &str| fds.blocked_on(at_ns, FD, || Some(name.to_owned()));
        assert_eq!(at(SECOND_NS, "/c"), None);
        fds.each_second(REUSED_NS + SECOND_NS);
        let name = fds.blocked_on(REUSED_NS + SECOND_NS, FD, || Some("/c".to_owned()));
        assert_eq!(name.as_deref(), Some("/c"));
    }

    #[test]
    fn one_that_was_closed_by_then_is_named_later() {
        let mut fds = NamedFds::default();
        assert_eq!(fds.blocked_on(0, FD, || None), None);
        let name = fds.blocked_on(AGAIN_NS, FD, || Some("/a".to_owned()));
        assert_eq!(name.as_deref(), Some("/a"));
    }

    #[test]
    fn few_are_looked_at_again_and_those_without_room_are_counted() {
        let mut fds = NamedFds::default();
        let mut looks = 0;
        for at_ns in [0, AGAIN_NS] {
            for fd in 0..=MAX_NAMED as i32 {
                let _ = fds.blocked_on(at_ns, (Pid(7), fd), || {
                    looks += 1;
                    Some("/a".to_owned())
                });
            }
        }
        assert_eq!(looks, MAX_NAMED + MOST_AGAIN as usize);
        assert_eq!(fds.full.counts().next(), Some((Table::FdNames, 2)));
    }
}
