//! Which runtimes each watched process has, as it becomes known: the kind of each, its workers, the threads of blocking
//! pools.
//!
//! It is judged by what threads do, so a thread is known when it was seen at work. Each time that more is known than
//! was reported before, there is a line.

use std::collections::BTreeMap;

use super::workers::{Roles, RuntimeWorkers};
use crate::model::id::Pid;
use crate::model::runtime::{RuntimeAtWork, RuntimeLine, RuntimeThread};

/// Threads of a runtime that are listed.
const LISTED: usize = 64;

/// The processes whose records tell the ids of tasks.
#[derive(Debug, Default)]
pub(crate) struct Reported(BTreeMap<Pid, Report>);

#[derive(Debug)]
struct Report {
    /// Its first line.
    line: RuntimeLine,
    /// What its last line says.
    roles: Roles,
}

impl Reported {
    /// Takes note of what was found out about a process.
    pub(crate) fn found(&mut self, line: &RuntimeLine) {
        self.0.remove(&line.pid);
        if line.task_ids {
            let report = Report {
                line: line.clone(),
                roles: Roles::default(),
            };
            self.0.insert(line.pid, report);
        }
    }

    /// A process became another program, or ended.
    pub(crate) fn forget(&mut self, pid: Pid) {
        self.0.remove(&pid);
    }

    /// Whether nothing can become known.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lines about the processes of which more is known now than was reported, by process.
    pub(crate) fn news(&mut self, unix_ns: u64, roles: &BTreeMap<Pid, Roles>) -> Vec<RuntimeLine> {
        let mut lines = Vec::new();
        for (pid, report) in &mut self.0 {
            let Some(now) = roles.get(pid).filter(|now| is_more(now, &report.roles)) else {
                continue;
            };
            report.roles = now.clone();
            lines.push(RuntimeLine {
                unix_ns,
                runtimes: now.runtimes.iter().map(at_work).collect(),
                pool_threads: report.line.pool_threads.map(|_| now.pool),
                ..report.line.clone()
            });
        }
        lines
    }
}

fn is_more(now: &Roles, reported: &Roles) -> bool {
    let is_news = |runtime: &RuntimeWorkers| {
        let same = |before: &&RuntimeWorkers| before.events_fd == runtime.events_fd;
        reported.runtimes.iter().find(same).is_none_or(|before| {
            before.flavour != runtime.flavour
                || runtime
                    .threads
                    .keys()
                    .any(|tid| !before.threads.contains_key(tid))
        })
    };
    now.pool > reported.pool || now.runtimes.iter().any(is_news)
}

fn at_work(runtime: &RuntimeWorkers) -> RuntimeAtWork {
    let RuntimeWorkers {
        events_fd,
        flavour,
        by_handle,
        in_tasks,
        threads,
    } = runtime;
    let count = threads.len() as u64;
    let who = match count {
        1 => "1 thread".to_owned(),
        _ => format!("{count} threads"),
    };
    let how = match in_tasks {
        0 => "outside of any task",
        1 if count == 1 => "always in the same task",
        _ if *in_tasks == count => "each always in the same task",
        _ => "some in a task and some outside of any",
    };
    let handle = match count {
        _ if !by_handle => "",
        1 => "; its handle is to a runtime of this kind",
        _ => "; their handles are to a runtime of this kind",
    };
    RuntimeAtWork {
        flavour: *flavour,
        count,
        threads: threads
            .iter()
            .take(LISTED)
            .map(|(&tid, comm)| RuntimeThread {
                tid,
                comm: comm.as_deref().map(str::to_owned),
            })
            .collect(),
        evidence: format!(
            "{who} looked for events on descriptor {events_fd} {how} and ran others in between{handle}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::Tid;
    use crate::model::runtime::Flavour;

    const PID: Pid = Pid(7);

    fn proved(pool_threads: Option<u64>) -> RuntimeLine {
        RuntimeLine {
            unix_ns: 1,
            pid: PID,
            name: "tokio".to_owned(),
            version: None,
            task_ids: true,
            evidence: "word 6".to_owned(),
            runtimes: Vec::new(),
            pool_threads,
            go: None,
        }
    }

    fn roles(tids: &[u32], pool: u64) -> BTreeMap<Pid, Roles> {
        let workers = RuntimeWorkers {
            events_fd: 4,
            flavour: Some(Flavour::MultiThread),
            by_handle: true,
            in_tasks: tids.len() as u64,
            threads: tids
                .iter()
                .map(|&tid| (Tid(tid), Some("worker".into())))
                .collect(),
        };
        let runtimes = vec![workers];
        BTreeMap::from([(PID, Roles { runtimes, pool })])
    }

    #[test]
    fn a_line_comes_each_time_that_more_is_known_and_only_then() {
        let mut runtimes = Reported::default();
        assert_eq!(runtimes.news(2, &roles(&[8], 0)), []);
        runtimes.found(&proved(Some(0)));
        let mut news = |tids: &[u32], pool| {
            let line = runtimes.news(2, &roles(tids, pool)).pop()?;
            Some((line.runtimes[0].count, line.pool_threads))
        };
        assert_eq!(news(&[8], 0), Some((1, Some(0))));
        assert_eq!(news(&[8], 0), None);
        assert_eq!(news(&[8, 9], 0), Some((2, Some(0))));
        assert_eq!(news(&[8, 9], 3), Some((2, Some(3))));
        // Those that went to sleep or ended are no news.
        assert_eq!(news(&[9], 1), None);
        assert_eq!(news(&[9, 10], 1), Some((2, Some(1))));

        runtimes.forget(PID);
        assert_eq!(runtimes.news(3, &roles(&[8, 9, 10], 9)), []);
    }

    #[test]
    fn threads_of_the_pool_are_counted_only_where_they_can_be_told() {
        let mut runtimes = Reported::default();
        runtimes.found(&proved(None));
        let line = runtimes.news(2, &roles(&[8], 0)).pop().unwrap();
        assert_eq!(line.pool_threads, None);
        assert_eq!(
            line.runtimes[0].evidence,
            "1 thread looked for events on descriptor 4 always in the same task and ran others in between; its \
             handle is to a runtime of this kind"
        );
    }
}
