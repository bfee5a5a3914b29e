//! Whether threads of a pool take up what loops have read in the order in which it was read: then each of them does one
//! request after the other, and what it waits for before it answers one, it waits for in the job of that one.
//!
//! Which request a thread takes up is only seen when it answers it. Where it answered another one in the middle of a
//! job, such as that of a client who waits for news, that one was read long before others that were taken up sooner.

use super::{FREE_NS, Tid};
use crate::newest::Newest;

/// Answers that are remembered of the threads of a process, the newest.
const MAX_TURNS: usize = 64;

/// So often a request must have been taken up before others that were waiting, too.
const ENOUGH: usize = 16;

/// The newest requests that threads of pools have answered.
#[derive(Debug, Default)]
pub(super) struct Turns(Newest<Turn, MAX_TURNS>);

/// A request that a thread of a pool answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// The thread.
    pub(super) tid: Tid,
    /// When it was read, ns.
    pub(super) read_ns: u64,
    /// Since when the thread can have been at it, ns: when it began to answer the one before, or last had nothing to
    /// do.
    pub(super) begun_ns: u64,
}

impl Turn {
    /// Whether this one was taken up while the other was waiting for a thread. Which of two came first that began at
    /// about the same time is not known.
    fn is_before(&self, other: &Self) -> bool {
        self.begun_ns.saturating_add(FREE_NS) < other.begun_ns && other.read_ns < self.begun_ns
    }
}

impl Turns {
    pub(super) fn push(&mut self, turn: Turn) {
        self.0.push(turn);
    }

    /// Whether these threads take up what was read first.
    pub(super) fn are_in_order(&self, of: &[Tid]) -> bool {
        let mut chosen = 0;
        let turns: Vec<&Turn> = self.0.iter().filter(|turn| of.contains(&turn.tid)).collect();
        for turn in &turns {
            let mut waiting = turns.iter().filter(|other| turn.is_before(other)).peekable();
            chosen += usize::from(waiting.peek().is_some());
            if waiting.any(|other| other.read_ns < turn.read_ns) {
                return false;
            }
        }
        chosen >= ENOUGH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: [Tid; 2] = [Tid(1), Tid(2)];
    const JOB_NS: u64 = 10 * FREE_NS;

    /// Two threads in turn, each of which takes up one of these requests every 10 ms: the number of its reading.
    fn taken(order: impl Iterator<Item = u64>) -> Turns {
        let mut turns = Turns::default();
        for (nth, number) in order.enumerate() {
            turns.push(Turn {
                tid: POOL[nth % 2],
                read_ns: number * FREE_NS,
                begun_ns: (nth as u64 + 10) * JOB_NS,
            });
        }
        turns
    }

    #[test]
    fn what_was_read_first_is_taken_up_first() {
        let few = ENOUGH as u64;
        assert!(
            !taken(0..few).are_in_order(&POOL),
            "the last was chosen before none"
        );
        assert!(taken(0..=few).are_in_order(&POOL));
        assert!(
            !taken(0..=few).are_in_order(&POOL[..1]),
            "of one thread there are few"
        );
    }

    #[test]
    fn one_that_others_were_taken_up_before_which_came_later_shows_that_there_is_no_order() {
        let few = ENOUGH as u64;
        let late = (1..=few).chain([0]).chain(few + 1..2 * few);
        assert!(!taken(late).are_in_order(&POOL));
        assert!(
            !taken((0..=few).rev()).are_in_order(&POOL),
            "the last comes first"
        );
    }

    #[test]
    fn of_those_that_did_not_wait_nothing_is_told() {
        let mut turns = Turns::default();
        for nth in 0..2 * ENOUGH as u64 {
            turns.push(Turn {
                tid: POOL[0],
                read_ns: nth * JOB_NS,
                begun_ns: nth * JOB_NS + 1,
            });
        }
        assert!(!turns.are_in_order(&POOL));
    }
}
