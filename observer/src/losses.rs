//! What was lost, and when.

use observer_common::LostReason;

use crate::event;
use crate::newest::Newest;

/// Why something was lost: the names that outputs use.
pub mod reason {
    /// Records that found no room in their ring.
    pub const RING_FULL: &str = "ring_full";
    /// Sockets for which the kernel had no memory to keep their state.
    pub const SOCKET_STATE: &str = "socket_state";
    /// Events for which the kernel did not begin the program that would have recorded them.
    pub const MISSED: &str = "missed";
    /// Records that came when later ones had been given out already.
    pub const LATE: &str = "late";
    /// Records that were lost for a reason that this version does not know, and records that it does not know.
    pub const UNKNOWN: &str = "unknown";
    /// Connections beyond the number that is followed.
    pub const REFUSED_CONNECTIONS: &str = "refused_connections";
    /// Events of threads beyond the number that is followed.
    pub const REFUSED_THREADS: &str = "refused_threads";
    /// Lines for which the queue of an output had no room, because who reads it is slow.
    pub const OUTPUT_FULL: &str = "output_full";
    /// Processes that were to be watched, beyond the number that is.
    pub const REFUSED_PROCESSES: &str = "refused_processes";
    /// Events that are not in the recording, because it is written too slowly or not at all.
    pub const NOT_RECORDED: &str = "not_recorded";
    /// Every reason.
    pub const ALL: [&str; 10] = [
        RING_FULL,
        SOCKET_STATE,
        MISSED,
        LATE,
        UNKNOWN,
        REFUSED_CONNECTIONS,
        REFUSED_THREADS,
        OUTPUT_FULL,
        REFUSED_PROCESSES,
        NOT_RECORDED,
    ];
}

/// The name of a reason that the stream gives.
#[must_use]
pub fn name_of_reason(number: u32) -> &'static str {
    match LostReason::from_u32(number) {
        Some(LostReason::RingFull) => reason::RING_FULL,
        Some(LostReason::SocketState) => reason::SOCKET_STATE,
        Some(LostReason::TooManyTargets) => reason::REFUSED_PROCESSES,
        None => match number {
            event::Lost::LATE => reason::LATE,
            event::Lost::MISSED => reason::MISSED,
            event::Lost::NOT_RECORDED => reason::NOT_RECORDED,
            _ => reason::UNKNOWN,
        },
    }
}

/// Intervals that are remembered. One that touches the one before is joined to it, so these reach back for
/// thousands of drains.
const MAX_INTERVALS: usize = 4096;

/// Intervals in which records were lost, as (from, to), ns.
#[derive(Debug, Default)]
pub struct Losses {
    intervals: Newest<(u64, u64), MAX_INTERVALS>,
    /// Up to here intervals were forgotten, because there were too many: any time before it may have had losses.
    forgotten_until_ns: u64,
}

impl Losses {
    /// Records were lost somewhere from `from_ns` to `to_ns`.
    pub fn add(&mut self, from_ns: u64, to_ns: u64) {
        if let Some(last) = self.intervals.back_mut()
            && from_ns <= last.1
            && to_ns >= last.0
        {
            *last = (last.0.min(from_ns), last.1.max(to_ns));
            return;
        }
        if let Some((_, forgotten_ns)) = self.intervals.push((from_ns, to_ns)) {
            self.forgotten_until_ns = self.forgotten_until_ns.max(forgotten_ns);
        }
    }

    /// Whether records may have been lost between the two times, both included.
    #[must_use]
    pub fn overlap(&self, from_ns: u64, to_ns: u64) -> bool {
        let forgotten = (0, self.forgotten_until_ns);
        self.intervals
            .iter()
            .chain((self.forgotten_until_ns > 0).then_some(&forgotten))
            .any(|&(lost_from_ns, lost_to_ns)| lost_from_ns <= to_ns && lost_to_ns >= from_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_finds_a_loss_gives_its_reason() {
        let of_kernel_half = LostReason::ALL.map(|reason| name_of_reason(reason as u32));
        let expected = [reason::RING_FULL, reason::SOCKET_STATE, reason::REFUSED_PROCESSES];
        assert_eq!(of_kernel_half, expected);
        let found = [
            event::Lost::LATE,
            event::Lost::MISSED,
            event::Lost::NOT_RECORDED,
            event::Lost::MALFORMED,
        ];
        let expected = [
            reason::LATE,
            reason::MISSED,
            reason::NOT_RECORDED,
            reason::UNKNOWN,
        ];
        assert_eq!(found.map(name_of_reason), expected);
    }

    #[test]
    fn losses_that_touch_are_one_and_their_ends_count() {
        let mut losses = Losses::default();
        losses.add(10, 20);
        losses.add(20, 30);
        losses.add(50, 60);
        assert_eq!(losses.intervals.len(), 2);
        for (from_ns, to_ns, lost) in [
            (0, 9, false),
            (0, 10, true),
            (30, 31, true),
            (31, 49, false),
            (0, 99, true),
        ] {
            assert_eq!(losses.overlap(from_ns, to_ns), lost, "{from_ns}..{to_ns}");
        }
    }
    #[test]
    fn what_was_lost_too_long_ago_to_be_told_apart_is_still_lost() {
        let mut losses = Losses::default();
        for interval in 1..=MAX_INTERVALS as u64 + 1 {
            losses.add(interval * 10, interval * 10 + 1);
        }
        assert_eq!(losses.intervals.len(), MAX_INTERVALS);
        assert!(losses.overlap(5, 12) && losses.overlap(1, 5));
        assert!(!losses.overlap(12, 19), "what is remembered is exact");
    }
}
