//! When there is something to tell a user beside the figures.

use super::Pipeline;
use crate::model::hint::Hint;
use crate::serving::Traffic;

/// A run that saw nothing for so long says what it did see, ns.
const SILENCE_NS: u64 = 2_000_000_000;

/// By so much the look at the processes can come before the end of the silence, ns.
const SLACK_NS: u64 = 200_000_000;

impl Pipeline {
    /// Takes the hints that came up since the last time. Each comes once in a run.
    pub fn take_hints(&mut self) -> Vec<Hint> {
        std::mem::take(&mut self.new_hints)
    }

    /// Judges what was looked up, once after each look.
    pub(super) fn find_hints(&mut self) {
        if self.is_time_for_hints() && self.serving.take_news() {
            let hints = self.hints();
            self.new_hints.extend(self.serving.tell(&hints));
        }
    }

    /// What is to be told in a window that ends now.
    pub(super) fn hints_of_window(&self) -> Vec<Hint> {
        if self.is_time_for_hints() {
            self.hints()
        } else {
            Vec::new()
        }
    }

    fn is_time_for_hints(&self) -> bool {
        self.now_ns >= self.started_ns.saturating_add(SILENCE_NS - SLACK_NS)
    }

    /// All that is to be told by now.
    pub(super) fn hints(&self) -> Vec<Hint> {
        let (answered, unanswered) = self.summary.turns_seen();
        // It takes a while to look at all connections, and tells nothing new where there were turns.
        let (open_answered, under_way) = match answered {
            0 => self.connections.open_turns(),
            _ => (0, 0),
        };
        let (seen, counts) = (self.summary.seen(), self.connections.counts.sum());
        self.serving.hints(Traffic {
            turns: answered + open_answered,
            unanswered: unanswered + counts.unanswered.iter().sum::<u64>(),
            under_way,
            late_sends: seen.late_sends + counts.late_sends,
            begun_before: seen.begun_before + counts.begun_before,
            unknown_direction: seen.unknown_direction + counts.unknown_direction,
        })
    }
}
