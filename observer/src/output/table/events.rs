//! What happened to the watched processes lately.

use super::line::{FAINT, Line, PLAIN, STRONG};
use crate::model::process::{ProcessEvent, ProcessLine, Successor};
use crate::newest::Newest;
use crate::output::words;

/// Events that are remembered.
const KEPT: usize = 3;

#[derive(Debug, Default)]
pub(super) struct Events {
    last: Newest<ProcessLine, KEPT>,
    before: u64,
}

impl Events {
    pub(super) fn add(&mut self, line: &ProcessLine) {
        let forgotten = self.last.push(line.clone());
        self.before += u64::from(forgotten.is_some());
    }

    /// A line each, the latest last; the first says how many there were before. The run began at `started_unix_ns`.
    pub(super) fn lines(&self, started_unix_ns: u64) -> Vec<Line> {
        let mut before = (self.before > 0).then(|| words::counted(self.before, "event", "events"));
        self.last
            .iter()
            .map(|event| {
                let after = words::elapsed(event.unix_ns.saturating_sub(started_unix_ns));
                let line = Line::new()
                    .text(STRONG, "event    ")
                    .text(PLAIN, &format!("after {after}: {}", sentence(event)));
                match before.take() {
                    Some(before) => line.text(FAINT, &format!("; {before} before")),
                    None => line,
                }
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
    fn only_the_last_events_are_kept_and_those_before_are_counted() {
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
            text.starts_with("event    after 7.0 s: axum-srv (3) ended; 2 events before\n"),
            "{text}"
        );
        assert_eq!(text.matches("before").count(), 1, "{text}");
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
