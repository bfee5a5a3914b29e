//! Which minor version of Go 1 a program was built with, and what differs between them beside the places of things.

use std::ops::Range;

/// What people read of a goroutine that waited, where a program's own code made it.
const SELECT: &str = "suspended: its goroutine last waited in select";
const RECEIVE: &str = "suspended: its goroutine last waited to receive from a channel";
const SEND: &str = "suspended: its goroutine last waited to send to a channel";
const SEMAPHORE: &str = "suspended: its goroutine last waited for a semaphore of Go's runtime";
const SLEEP: &str = "suspended: its goroutine last slept";
const CONDITION: &str = "suspended: its goroutine last waited for a sync.Cond";
const MUTEX: &str = "suspended: its goroutine last waited for a sync.Mutex";
const READ_LOCK: &str = "suspended: its goroutine last waited to read-lock a sync.RWMutex";
const WRITE_LOCK: &str = "suspended: its goroutine last waited to lock a sync.RWMutex";
const GROUP: &str = "suspended: its goroutine last waited for a sync.WaitGroup";
const CYCLE: &str = "suspended: its goroutine last waited for a whole cycle of the garbage collector";
const ASSIST: &str = "suspended: its goroutine last waited to assist the garbage collector";

/// What it is called that a goroutine marks, or waits to, before it may allocate more.
pub(crate) const MARK_ASSIST: &str = "mark assist";

/// A minor version, of those that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u8);

impl Version {
    /// The oldest whose programs were looked at.
    const OLDEST: u8 = 19;

    /// The newest of them.
    pub const NEWEST: Self = Self(27);

    /// What is told as `go1.26.8`, and where the build information has more to say, behind a blank. The newest that is
    /// known stands for newer ones and for those without a number. `None` for those before the oldest.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let Some(rest) = text.strip_prefix("go1.") else {
            return Some(Self::NEWEST);
        };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let Ok(minor) = rest[..digits].parse::<u32>() else {
            return Some(Self::NEWEST);
        };
        let minor = u8::try_from(minor).unwrap_or(u8::MAX);
        (minor >= Self::OLDEST).then_some(Self(minor).min(Self::NEWEST))
    }

    /// Its number.
    #[must_use]
    pub const fn minor(self) -> u8 {
        self.0
    }

    /// Why a goroutine waited, by the number of its reason. Not told is that it waited for a socket, which has events
    /// of its own.
    pub(super) const fn waited(self, reason: u8) -> Option<&'static str> {
        Some(match (self.0, reason) {
            (..=25, 9) | (26.., 18) => SELECT,
            (..=25, 11) | (26.., 7) => ASSIST,
            (..=19, 23) | (20..=23, 25) | (24, 26) | (25.., 27) => CYCLE,
            (..=25, 14) | (26.., 19) => RECEIVE,
            (..=25, 15) | (26.., 20) => SEND,
            (..=24, 18) | (25, 19) | (26.., 13) => SEMAPHORE,
            (..=24, 19) | (25, 20) | (26.., 14) => SLEEP,
            (..=24, 20) | (25.., 21) => CONDITION,
            (20..=24, 21) | (25.., 22) => MUTEX,
            (20..=24, 22) | (25.., 23) => READ_LOCK,
            (20..=24, 23) | (25.., 24) => WRITE_LOCK,
            (24, 24) | (25.., 25) => GROUP,
            _ => return None,
        })
    }

    /// What it is called that a goroutine waits for with this reason, where that is over when a cycle of garbage
    /// collection has marked.
    pub(super) fn waits_in_mark(self, reason: u8) -> Option<&'static str> {
        match self.waited(reason)? {
            ASSIST => Some(MARK_ASSIST),
            CYCLE => Some("wait for a whole cycle"),
            _ => None,
        }
    }

    /// Numbers of the reasons for which those goroutines wait that mark, of all versions.
    pub(super) const ANY_MARKS: Range<u8> = 24..30;

    /// Whether a goroutine that waits for this reason marks for the garbage collection: it waits for its turn, or it is
    /// at it, in which it is taken for one that waits.
    pub(super) const fn marks(self, reason: u8) -> bool {
        matches!(
            (self.0, reason),
            (..=19, 24) | (20..=23, 26 | 27) | (24, 27 | 28) | (25.., 28 | 29)
        )
    }

    /// Whether a timer can have ended what a goroutine waited for with this reason: none ends a wait for a lock or a
    /// channel.
    pub(super) fn ends_by_timer(self, reason: u8) -> bool {
        matches!(self.waited(reason), None | Some(SLEEP | SELECT))
    }

    /// Whether what a peer answers can have ended what a goroutine waited for with this reason: it ends no sleep, and a
    /// mutex is let go of.
    pub(super) fn ends_by_answer(self, reason: u8) -> bool {
        self.waited(reason) != Some(SLEEP) && !self.is_mutex(reason)
    }

    /// Whether a goroutine waited for a lock with this reason. Before Go 1.20 that is a semaphore.
    pub(super) fn is_lock(self, reason: u8) -> bool {
        matches!(
            self.waited(reason),
            Some(SEMAPHORE | MUTEX | READ_LOCK | WRITE_LOCK)
        )
    }

    /// The same of a mutex, as which nothing else is told.
    pub(super) fn is_mutex(self, reason: u8) -> bool {
        matches!(self.waited(reason), Some(MUTEX | READ_LOCK | WRITE_LOCK))
    }

    /// Whether a goroutine counts as a stop that it goes into a system call, too.
    pub(super) const fn counts_calls(self) -> bool {
        self.0 < 26
    }

    /// The number of the reason of a goroutine that assists while it has its thread, in every version.
    pub(super) const ASSISTS: u8 = 1;

    /// The number of the reason for which a goroutine that is suspended for its stack to be scanned waits, which is no
    /// stop.
    pub(super) const fn preempted(self) -> u8 {
        match self.0 {
            ..=19 => 25,
            20..=23 => 28,
            24 => 29,
            _ => 30,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_other_numbers_in_other_versions() {
        let waited = |text, reason| Version::of(text).unwrap().waited(reason);
        for (version, sleeps, locks) in [("go1.20", 19, 21), ("go1.25", 20, 22), ("go1.26", 14, 22)] {
            assert_eq!(
                (waited(version, sleeps), waited(version, locks)),
                (Some(SLEEP), Some(MUTEX))
            );
            assert_eq!(waited(version, 2), None, "it waited for a socket");
            let by_timer = |reason| Version::of(version).unwrap().ends_by_timer(reason);
            assert!(by_timer(sleeps) && !by_timer(locks));
        }
        assert_eq!(waited("go1.19", 21), None, "it had none for a mutex");
        let in_mark = |text, reason| Version::of(text).unwrap().waits_in_mark(reason);
        for (version, assists, for_cycle) in [("go1.19", 11, 23), ("go1.22", 11, 25), ("go1.26", 7, 27)] {
            assert_eq!(in_mark(version, assists), Some("mark assist"));
            assert_eq!(in_mark(version, for_cycle), Some("wait for a whole cycle"));
            assert_eq!(in_mark(version, 2), None);
        }
    }

    #[test]
    fn reasons_of_those_that_mark_lie_together() {
        for minor in Version::OLDEST..=Version::NEWEST.minor() {
            let marks = (0..=u8::MAX).filter(|&reason| Version(minor).marks(reason));
            let (first, last) = (marks.clone().min().unwrap(), marks.max().unwrap());
            assert!(Version::ANY_MARKS.contains(&first) && Version::ANY_MARKS.contains(&last));
        }
    }

    #[test]
    fn the_minor_version_is_what_counts() {
        let minor = |text| Version::of(text).map(Version::minor);
        assert_eq!(minor("go1.19.8"), Some(19));
        assert_eq!(minor("go1.21rc2"), Some(21));
        assert_eq!(minor("go1.26.8 X:nodwarf5"), Some(26));
        assert_eq!(minor("go1.18.10"), None);
        for newest in [
            "go1.27.4",
            "go1.28",
            "go1.9999999999999",
            "devel go1.28-f3a",
            "go1.",
            "",
            "go2.0",
        ] {
            assert_eq!(Version::of(newest), Some(Version::NEWEST), "{newest}");
        }
    }
}
