//! The heading: what is observed, for how long by now, and what this kernel makes less exact.

use super::line::{FAINT, Line, PLAIN, STRONG};
use crate::model::header::Header;
use crate::output::words;

/// The part of the heading that stays the same for a run.
#[derive(Debug, Default)]
pub(super) struct Heading {
    program: String,
    versions: String,
    targets: String,
    inexact: String,
    /// Nobody is watched yet.
    waits: bool,
}

impl Heading {
    pub(super) fn new(header: &Header) -> Self {
        let processes = header.targets.iter();
        let processes = processes.map(|target| format!("{} ({})", target.comm, target.pid));
        let ports = header.options.ports.iter().map(|port| format!("port {port}"));
        let targets: Vec<_> = processes.chain(ports).collect();
        let inexact: Vec<_> = header
            .signals
            .iter()
            .filter(|signal| signal.hook.is_none() || signal.note.is_some())
            .map(|signal| {
                format!(
                    "{}: {}",
                    signal.signal,
                    signal.note.as_deref().unwrap_or("no hook")
                )
            })
            .collect();
        let replay = if header.replay { " replay" } else { "" };
        Self {
            program: format!("observer {}", header.observer_version),
            versions: format!("{replay}, kernel {} {}, ", header.kernel, header.machine),
            targets: targets.join(", "),
            inexact: inexact.join("; "),
            waits: header.targets.is_empty(),
        }
    }

    /// Somebody is watched by now.
    pub(super) const fn somebody_came(&mut self) {
        self.waits = false;
    }

    pub(super) fn lines(&self, elapsed_ns: u64) -> Vec<Line> {
        let line = Line::new()
            .text(STRONG, &self.program)
            .text(FAINT, &self.versions)
            .text(PLAIN, &words::elapsed(elapsed_ns))
            .text(FAINT, ", ")
            .text(STRONG, &self.targets);
        let waits = if self.waits {
            ", where nobody who can be watched listens yet"
        } else {
            ""
        };
        let mut lines = vec![line.text(FAINT, waits)];
        if !self.inexact.is_empty() {
            lines.push(
                Line::new()
                    .text(FAINT, "less exact here  ")
                    .text(FAINT, &self.inexact),
            );
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;
    use crate::output::made_up;

    #[test]
    fn whoever_is_waited_for_is_named_by_the_port() {
        let mut header = made_up::header();
        (header.targets, header.options.ports) = (Vec::new(), vec![8080, 8081]);
        let mut heading = Heading::new(&header);
        let ends_with = |heading: &Heading, end| {
            let text = plain(&heading.lines(0));
            assert!(text.ends_with(end), "{text}");
        };
        ends_with(
            &heading,
            ", port 8080, port 8081, where nobody who can be watched listens yet\n",
        );
        heading.somebody_came();
        ends_with(&heading, ", port 8080, port 8081\n");
    }

    #[test]
    fn it_says_what_is_observed_and_for_how_long() {
        let text = plain(&Heading::new(&made_up::header()).lines(12_000_000_000));
        assert!(text.contains("axum-srv (4120)"), "{text}");
        assert!(text.contains("12.0 s"), "{text}");
        assert_eq!(
            text.lines().count(),
            1,
            "a kernel that allows everything is not worth a line"
        );
    }

    #[test]
    fn a_signal_without_its_best_hook_is_named() {
        let mut header = made_up::header();
        header.signals[0].note = Some("an upper bound".to_owned());
        let text = plain(&Heading::new(&header).lines(0));
        assert!(text.contains("accept: an upper bound"), "{text}");
    }
}
