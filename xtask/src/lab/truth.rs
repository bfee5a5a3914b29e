//! What the server and the client wrote about each request, and what observer said of it, as they stand in files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What a stretch was, as `faulty-server` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Computing.
    Cpu,
    /// Ready to compute, without a CPU.
    OffCpu,
    /// On a CPU that a hypervisor had.
    Stolen,
    /// A sleep in the kernel.
    Sleep,
    /// A sleep of the runtime's.
    Timer,
    /// A wait for a mutex of the standard library.
    Lock,
    /// A wait for a mutex of the runtime.
    AsyncLock,
    /// A wait for the disk in a call for it.
    Disk,
    /// A wait for the disk in a page fault.
    Fault,
    /// A wait for a thread of the blocking pool.
    PoolQueue,
    /// A wait for a task that takes one job after the other from a channel.
    ChannelQueue,
    /// From a task's wakeup until it was polled.
    TaskQueue,
    /// A wait for a connection to the peer.
    ConnectionQueue,
    /// A wait for the peer.
    Peer,
    /// The listener was left alone.
    NotAccepting,
}

/// One injected fault, which took between `least_ns` and `most_ns` of its time.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Stretch {
    pub(super) kind: Kind,
    pub(super) from_ns: u64,
    pub(super) to_ns: u64,
    pub(super) least_ns: u64,
    pub(super) most_ns: u64,
    /// The task whose work it was; of a wait, the one that was waited for. Where known.
    pub(super) task: Option<u64>,
}

/// A request as its handler saw it, or with id 0 the work of a task that no request waits for.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Served {
    pub(super) id: u64,
    /// The task that served it.
    pub(super) task: Option<u64>,
    /// The runtime of that task.
    pub(super) runtime: Option<u64>,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    injected: Vec<Option<Stretch>>,
}

/// A request as the client saw it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Sent {
    pub(super) id: u64,
    pub(super) send_ns: u64,
    pub(super) sent_ns: u64,
    pub(super) answered_ns: u64,
    pub(super) withheld_ns: u64,
    pub(super) unread_ns: u64,
}

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

impl Kind {
    /// Whether it is a wait for another task.
    pub(super) fn is_for_a_task(self) -> bool {
        matches!(
            self,
            Self::Lock | Self::AsyncLock | Self::ChannelQueue | Self::TaskQueue
        )
    }
}

impl Served {
    pub(super) fn stretches(&self) -> impl Iterator<Item = &Stretch> {
        self.injected.iter().flatten()
    }

    #[cfg(test)]
    pub(super) fn made_up(id: u64, start_ns: u64, injected: Vec<Stretch>) -> Self {
        Self {
            id,
            task: Some(id),
            runtime: Some(1),
            start_ns,
            end_ns: start_ns,
            injected: injected.into_iter().map(Some).collect(),
        }
    }
}

impl Explained {
    /// Reads a request line.
    pub(super) fn parse(line: Value) -> Option<Self> {
        let path = line["http"]["path"].as_str().unwrap_or_default();
        Some(Self {
            id: id(path),
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
}

impl Observed {
    /// Leaves out the requests that were sent before this time, whatever observer says of them.
    fn leave_out_before(&mut self, at_ns: u64) {
        let before = self.sent.extract_if(.., |sent| sent.send_ns < at_ns);
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
        served: lines(server)?,
        warm_up,
        ..of_client(loads, observer)?
    })
}

/// The same, of a server that writes nothing.
pub(super) fn of_client(loads: &[impl AsRef<Path>], observer: &Path) -> Result<Observed> {
    let mut observed = Observed::default();
    for load in loads {
        observed.sent.extend(lines::<Sent>(load.as_ref())?);
    }
    let (mut ended, mut attached_ns) = (false, 0);
    for line in lines::<Value>(observer)? {
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
                let lost = line["lost"].as_object();
                observed.lost = lost.map_or(0, |lost| lost.values().filter_map(Value::as_u64).sum());
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

/// One object from each line of a file.
pub(super) fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let parsed = BufReader::new(file)
        .lines()
        .map(|line| Ok(serde_json::from_str(&line?)?));
    parsed
        .collect::<Result<_>>()
        .with_context(|| format!("{} is not what it should be", path.display()))
}

/// The client's number in a path.
fn id(path: &str) -> Option<u64> {
    let (_, query) = path.split_once('?')?;
    let mut fields = query.split('&').filter_map(|field| field.strip_prefix("id="));
    fields.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_a_field_of_the_query() {
        assert_eq!(id("/ping?id=7"), Some(7));
        assert_eq!(id("/burn?us=3&id=12&x=1"), Some(12));
        assert_eq!(id("/ping"), None);
        assert_eq!(id("/ping?grid=7"), None);
    }

    #[test]
    fn requests_from_before_the_attach_are_left_out() {
        let sent = |id, send_ns| -> Sent {
            let text = format!(
                r#"{{"id":{id},"send_ns":{send_ns},"sent_ns":0,"answered_ns":0,"withheld_ns":0,"unread_ns":0}}"#
            );
            serde_json::from_str(&text).unwrap()
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
