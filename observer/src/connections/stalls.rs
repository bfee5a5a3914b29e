//! When the socket of a connection had no room for more of an answer: from a send that found none until the next one
//! that found some. What its threads did meanwhile was not what the answer waited for.

use crate::newest::Newest;

/// Of one turn the newest are remembered, beside those that are forgotten with what threads did then.
const MAX_STALLS: usize = 1024;

/// When a turn's answer found no room, the oldest first. Boxed, because few do, and ten thousand turns can be open.
#[derive(Clone, Debug, Default)]
pub(super) struct Stalls {
    newest: Option<Box<Newest<Stall, MAX_STALLS>>>,
    /// There were more of them.
    has_more: bool,
}

/// From when to when, ns.
#[derive(Clone, Copy, Debug)]
struct Stall {
    from_ns: u64,
    to_ns: u64,
}

impl Stalls {
    /// A send found no room.
    pub(super) fn begins(&mut self, at_ns: u64) {
        if !self.go_on() {
            let stall = Stall {
                from_ns: at_ns,
                to_ns: u64::MAX,
            };
            self.has_more |= self.newest.get_or_insert_default().push(stall).is_some();
        }
    }

    /// A send found room.
    pub(super) fn ends(&mut self, at_ns: u64) {
        if let Some(last) = self.newest.as_mut().and_then(|stalls| stalls.back_mut()) {
            last.to_ns = last.to_ns.min(at_ns);
        }
    }

    /// Whether the last send found no room.
    pub(super) fn go_on(&self) -> bool {
        let last = self.newest.as_ref().and_then(|stalls| stalls.back());
        last.is_some_and(|last| last.to_ns == u64::MAX)
    }

    /// Since when there was no room just before this time, or nobody had looked yet, ns.
    pub(super) fn since(&self, at_ns: u64) -> Option<u64> {
        let stalls = self.newest.as_ref()?;
        let after = stalls.partition_point(|stall| stall.from_ns < at_ns);
        let last = after.checked_sub(1).and_then(|last| stalls.get(last));
        let stall = last.filter(|stall| stall.to_ns >= at_ns)?;
        Some(stall.from_ns)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.newest.is_none()
    }

    /// Whether there were more than are remembered.
    pub(super) const fn has_more(&self) -> bool {
        self.has_more
    }

    /// Forgets those that were over by then, ns.
    pub(super) fn forget_until(&mut self, until_ns: u64) {
        if let Some(stalls) = &mut self.newest {
            stalls.retain(|stall| stall.to_ns > until_ns);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_room_from_a_send_that_finds_none_until_one_that_finds_some() {
        let mut stalls = Stalls::default();
        stalls.ends(5);
        assert!(!stalls.go_on());
        stalls.begins(10);
        stalls.begins(12);
        stalls.ends(20);
        stalls.ends(22);
        stalls.begins(30);
        assert!(stalls.go_on());
        let were_at = |stalls: &Stalls, times: &[u64]| -> Vec<bool> {
            times.iter().map(|&at_ns| stalls.since(at_ns).is_some()).collect()
        };
        assert_eq!(were_at(&stalls, &[5, 10, 11, 20]), [false, false, true, true]);
        assert_eq!(were_at(&stalls, &[21, 22, 30, 31]), [false, false, false, true]);
        stalls.forget_until(20);
        assert_eq!(were_at(&stalls, &[11, 31, 1000]), [false, true, true]);
    }

    #[test]
    fn it_is_known_whether_there_were_more_than_are_remembered() {
        let mut stalls = Stalls::default();
        let found_none = |stalls: &mut Stalls, at_ns| {
            stalls.begins(at_ns);
            stalls.ends(at_ns + 5);
        };
        // What threads did then is forgotten, too.
        found_none(&mut stalls, 10);
        stalls.forget_until(20);
        (3..MAX_STALLS as u64 + 3).for_each(|stall| found_none(&mut stalls, 10 * stall));
        assert!(!stalls.has_more());
        found_none(&mut stalls, 20_000);
        assert!(stalls.has_more());
        stalls.clear();
        assert!(!stalls.has_more());
    }
}
