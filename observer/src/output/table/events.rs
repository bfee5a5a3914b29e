//! What happened to the watched processes lately.

use std::collections::VecDeque;

use super::line::{Line, PLAIN, STRONG};
use crate::output::{ProcessEvent, ProcessLine, words};

/// Events that are remembered.
const KEPT: usize = 3;

#[derive(Debug, Default)]
pub(super) struct Events {
    last: VecDeque<ProcessLine>,
}

impl Events {
    pub(super) fn add(&mut self, line: &ProcessLine) {
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line.clone());
    }

    /// A line each, the latest last. `started_unix_ns` is when the run began.
    pub(super) fn lines(&self, started_unix_ns: u64) -> Vec<Line> {
        self.last
            .iter()
            .map(|event| {
                let after = words::elapsed(event.unix_ns.saturating_sub(started_unix_ns));
                Line::new()
                    .text(STRONG, "event    ")
                    .text(PLAIN, &format!("after {after}: {}", sentence(event)))
            })
            .collect()
    }
}

fn sentence(line: &ProcessLine) -> String {
    let ProcessLine {
        unix_ns: _,
        event,
        pid,
        comm,
        parent,
        exe,
    } = line;
    let who = comm
        .as_ref()
        .map_or_else(|| format!("pid {pid}"), |comm| format!("{comm} ({pid})"));
    let from = parent.map(|parent| format!(" by {parent}")).unwrap_or_default();
    let to = exe.as_ref().map(|exe| format!(" {exe}")).unwrap_or_default();
    match event {
        ProcessEvent::Start => format!("{who} is watched"),
        ProcessEvent::Fork => format!("{who} was forked{from}"),
        ProcessEvent::Exec => format!("{who} runs another program{to}"),
        ProcessEvent::Exit => format!("{who} ended"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;
    use crate::output::made_up;

    #[test]
    fn only_the_last_events_are_kept() {
        let mut events = Events::default();
        for pid in 1..=5 {
            events.add(&ProcessLine {
                pid,
                ..made_up::process()
            });
        }
        let text = plain(&events.lines(made_up::header().started_unix_ns));
        assert_eq!(text.lines().count(), KEPT);
        assert!(
            text.starts_with("event    after 7.0 s: axum-srv (3) ended\n"),
            "{text}"
        );
    }
}
