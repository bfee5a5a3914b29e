//! All that is known of a run: what the server and the client wrote about each request, and what observer said of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;
use testbed::lines;
#[cfg(test)]
use testbed::truth::Stretch;
use testbed::truth::{Sent, Served, id};

/// What observer notes of time in which a thread went on that was not seen to get a CPU.
const NOT_SEEN: &str = "what the thread did was not seen";

/// A request as observer explains it.
#[derive(Clone, Debug)]
pub(super) struct Explained {
    pub(super) id: Option<u64>,
    pub(super) latency_ns: u64,
    pub(super) budget_ns: BTreeMap<String, u64>,
    /// The line, for the spans and for people.
    pub(super) line: Value,
}

/// All that is known of one run.
#[derive(Debug, Default)]
pub(super) struct Observed {
    pub(super) served: Vec<Served>,
    /// Requests without an id that were answered, before those that count.
    pub(super) warm_up: u64,
    pub(super) sent: Vec<Sent>,
    pub(super) explained: Vec<Explained>,
    /// Events that observer says it lost.
    pub(super) lost: u64,
}

impl Explained {
    /// Reads a request line.
    pub(super) fn parse(line: Value) -> Option<Self> {
        let path = line["http"]["path"].as_str().unwrap_or_default();
        Some(Self {
            id: path.split_once('?').and_then(|(_, query)| id(query)),
            latency_ns: line["latency_ns"].as_u64()?,
            budget_ns: serde_json::from_value(line["budget_ns"].clone()).ok()?,
            line,
        })
    }

    /// Whether it is the first of its connection.
    pub(super) fn is_first(&self) -> bool {
        self.line["conn"]["nth"] == 1
    }

    /// How sure observer is.
    pub(super) fn confidence(&self) -> &str {
        self.line["confidence"].as_str().unwrap_or_default()
    }

    /// The cause with the most time.
    pub(super) fn top_cause(&self) -> &str {
        let top = self.budget_ns.iter().max_by_key(|(_, ns)| **ns);
        top.map_or("nothing", |(cause, _)| cause)
    }

    /// What is remarked of the longest stretch of the cause with the most time.
    pub(super) fn longest_note(&self) -> Option<&str> {
        let cause = self.top_cause();
        let spans = self.line["timeline"].as_array().into_iter().flatten();
        let longest = spans
            .filter(|span| span["cause"] == cause)
            .max_by_key(|span| span["dur_ns"].as_u64())?;
        longest["note"].as_str()
    }

    /// Whether most of its time is that of a thread which went on without having been seen to get a CPU. There are
    /// machines whose own agent is hidden: while a thread of it has a CPU, nothing tells what happens there.
    pub(super) fn is_hidden(&self) -> bool {
        let spans = self.line["timeline"].as_array().into_iter().flatten();
        let hidden = spans.filter(|span| span["note"] == NOT_SEEN);
        let hidden_ns: u64 = hidden.filter_map(|span| span["dur_ns"].as_u64()).sum();
        hidden_ns * 2 > self.latency_ns
    }
}

impl Observed {
    /// Leaves out the requests that were sent before this time, whatever observer says of them.
    fn leave_out_before(&mut self, at_ns: u64) {
        let before = self.sent.extract_if(.., |sent| sent.times.send_ns < at_ns);
        let before: BTreeSet<u64> = before.map(|sent| sent.id).collect();
        self.explained
            .retain(|explained| explained.id.is_none_or(|id| !before.contains(&id)));
    }
}

/// Reads what a run left behind: the server's file, each load's, and observer's.
pub(super) fn read(
    server: &Path,
    warm_up: u64,
    loads: &[impl AsRef<Path>],
    observer: &Path,
) -> Result<Observed> {
    Ok(Observed {
        served: lines::read(server)?,
        warm_up,
        ..of_client(loads, observer)?
    })
}

/// The same, of a server that writes nothing.
pub(super) fn of_client(loads: &[impl AsRef<Path>], observer: &Path) -> Result<Observed> {
    let mut observed = Observed::default();
    for load in loads {
        observed.sent.extend(lines::read::<Sent>(load.as_ref())?);
    }
    let (mut ended, mut attached_ns) = (false, 0);
    for line in lines::read::<Value>(observer)? {
        match line["type"].as_str() {
            Some("header") => {
                let time = |name: &str| line[name].as_u64().unwrap_or_default();
                attached_ns = time("started_unix_ns").saturating_sub(time("unix_offset_ns"));
            }
            Some("request") => {
                let explained = Explained::parse(line);
                observed
                    .explained
                    .push(explained.context("a request line lacks its latency or budget")?);
            }
            Some("end") => {
                ended = true;
                observed.lost = lost(&line);
            }
            _ => {}
        }
    }
    observed.leave_out_before(attached_ns);
    anyhow::ensure!(
        ended,
        "{} has no `end` line: observer did not finish",
        observer.display()
    );
    Ok(observed)
}

/// Events that observer says in its last line it lost.
pub(super) fn lost(end: &Value) -> u64 {
    let counts = end["lost"].as_object().into_iter().flatten();
    counts.filter_map(|(_, count)| count.as_u64()).sum()
}

/// Whether observer has found out which tasks the server's threads are in, by what it has written so far.
pub(super) fn knows_tasks(observer: &Path) -> Result<bool> {
    let written =
        fs::read_to_string(observer).with_context(|| format!("cannot read {}", observer.display()))?;
    let whole = written.rsplit_once('\n').map_or("", |(lines, _)| lines);
    Ok(whole.lines().any(|line| {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        line["type"] == "runtime" && line["task_ids"] == true
    }))
}

/// A request whose handler begins then, and ends at once.
#[cfg(test)]
pub(super) fn made_up(id: u64, start_ns: u64, injected: Vec<Stretch>) -> Served {
    let mut served = Served {
        id,
        task: Some(id),
        runtime: Some(1),
        start_ns,
        end_ns: start_ns,
        ..Served::default()
    };
    injected.into_iter().for_each(|stretch| served.add(stretch));
    served
}

#[cfg(test)]
mod tests {
    use testbed::truth::Times;

    use super::*;

    #[test]
    fn requests_from_before_the_attach_are_left_out() {
        let sent = |id, send_ns| Sent {
            id,
            status: 200,
            times: Times {
                send_ns,
                ..Times::default()
            },
        };
        let explained = |id| {
            let line = format!(r#"{{"latency_ns":5,"budget_ns":{{}},"http":{{"path":"/x?id={id}"}}}}"#);
            Explained::parse(serde_json::from_str(&line).unwrap()).unwrap()
        };
        let mut observed = Observed {
            sent: vec![sent(1, 10), sent(2, 20)],
            explained: vec![explained(1), explained(2), explained(3)],
            ..Observed::default()
        };
        observed.leave_out_before(20);
        assert!(observed.sent.iter().map(|sent| sent.id).eq([2]));
        assert!(
            observed
                .explained
                .iter()
                .map(|line| line.id)
                .eq([Some(2), Some(3)])
        );
    }

    #[test]
    fn the_top_cause_is_the_largest() {
        let line = r#"{"latency_ns":5,"budget_ns":{"on_cpu":1,"lock":4},"http":{"path":"/x?id=1"}}"#;
        let explained = Explained::parse(serde_json::from_str(line).unwrap()).unwrap();
        assert_eq!((explained.top_cause(), explained.id), ("lock", Some(1)));
    }
}
