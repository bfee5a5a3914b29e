//! What happened to the watched processes lately.

use super::line::{Line, PLAIN, STRONG};
use crate::model::process::{ProcessEvent, ProcessLine, Successor};
use crate::newest::Newest;
use crate::output::words;

/// Events that are remembered.
const KEPT: usize = 3;

#[derive(Debug, Default)]
pub(super) struct Events {
    last: Newest<ProcessLine, KEPT>,
}

impl Events {
    pub(super) fn add(&mut self, line: &ProcessLine) {
        self.last.push(line.clone());
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
        watched,
        exe,
        successors,
    } = line;
    let who = comm
        .as_ref()
        .map_or_else(|| format!("pid {pid}"), |comm| format!("{comm} ({pid})"));
    let from = parent.map(|parent| format!(" by {parent}")).unwrap_or_default();
    let to = exe.as_ref().map(|exe| format!(" {exe}")).unwrap_or_default();
    match event {
        ProcessEvent::Start => format!("{who} is watched"),
        ProcessEvent::Fork if *watched == Some(true) => format!("{who} was forked{from} and is watched"),
        ProcessEvent::Fork => format!("{who} was forked{from}"),
        ProcessEvent::Exec => format!("{who} runs another program{to}"),
        ProcessEvent::Exit => format!("{who} ended{}", taken_over(successors)),
    }
}

/// Who listens where it did.
fn taken_over(by: &[Successor]) -> String {
    let names: Vec<String> = by
        .iter()
        .map(|successor| format!("{} ({})", successor.comm, successor.pid))
        .collect();
    match by.first() {
        Some(first) => format!("; on port {} now {}", first.port, names.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;
    use crate::model::id::Pid;
    use crate::output::made_up;

    #[test]
    fn only_the_last_events_are_kept() {
        let mut events = Events::default();
        for pid in 1..=5 {
            events.add(&ProcessLine {
                pid: Pid(pid),
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

    #[test]
    fn who_took_over_is_named() {
        let mut line = made_up::process();
        line.successors = vec![Successor {
            pid: Pid(4131),
            comm: "axum-srv".to_owned(),
            port: 8080,
            same_socket: true,
        }];
        assert_eq!(
            sentence(&line),
            "axum-srv (4120) ended; on port 8080 now axum-srv (4131)"
        );
    }
}
