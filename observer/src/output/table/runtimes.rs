//! Which runtimes were seen at work in each process.

use std::collections::BTreeMap;

use super::line::{FAINT, Line, PLAIN, STRONG};
use crate::model::id::Pid;
use crate::model::report::GoroutineTotals;
use crate::model::runtime::Flavour;
use crate::model::runtime::RuntimeLine;
use crate::output::words;
use crate::runtime::RuntimeName;

/// Most processes that get a line.
const LISTED: usize = 3;

/// Processes of which it is remembered, at most: the first ones. A server that forks has many in a run.
const REMEMBERED: usize = 1_024;

/// The last line of each process.
#[derive(Debug, Default)]
pub(super) struct RuntimeLines {
    remembered: BTreeMap<Pid, RuntimeLine>,
    /// There were others.
    has_more: bool,
}

impl RuntimeLines {
    pub(super) fn add(&mut self, line: &RuntimeLine) {
        if self.remembered.len() < REMEMBERED || self.remembered.contains_key(&line.pid) {
            self.remembered.insert(line.pid, line.clone());
        } else {
            self.has_more = true;
        }
    }

    /// A line for each process of which something was seen, and how many get none; `counted` has the goroutines of
    /// some, and `name` tells what a process is called.
    pub(super) fn lines<'a>(
        &self,
        counted: &[GoroutineTotals],
        name: impl Fn(Pid) -> Option<&'a str>,
    ) -> Vec<Line> {
        let is_told = |line: &&RuntimeLine| !line.runtimes.is_empty() || is_go(line);
        let mut seen = self.remembered.values().filter(is_told);
        let mut lines: Vec<_> = seen
            .by_ref()
            .take(LISTED)
            .map(|runtime| {
                let counted = counted.iter().find(|totals| totals.pid == runtime.pid);
                line(runtime, counted, name(runtime.pid))
            })
            .collect();
        let more = seen.count() as u64;
        if more > 0 || self.has_more {
            let processes = words::counted(more, "process", "processes");
            let or_more = if self.has_more { ", at least" } else { "" };
            lines.push(Line::new().text(FAINT, &format!("         and {processes} more{or_more}")));
        }
        lines
    }
}

fn is_go(runtime: &RuntimeLine) -> bool {
    RuntimeName::of(&runtime.name) == Some(RuntimeName::Go)
}

fn line(runtime: &RuntimeLine, counted: Option<&GoroutineTotals>, name: Option<&str>) -> Line {
    let pid = runtime.pid;
    let version = runtime.version.as_deref().unwrap_or_default();
    let line = Line::new()
        .text(STRONG, "runtime  ")
        .text(
            PLAIN,
            &name.map_or_else(|| format!("pid {pid}"), |name| format!("{name} ({pid})")),
        )
        .text(FAINT, &format!("  {} {version}  ", runtime.name));
    if is_go(runtime) {
        let line = line.text(PLAIN, &goroutines(runtime));
        return counted.map_or(line.clone(), |counted| line.text(PLAIN, &how_many(counted)));
    }
    let line = line.text(PLAIN, &kinds(runtime).join(", "));
    match runtime.pool_threads {
        None | Some(0) => line,
        Some(1) => line.text(PLAIN, "; blocking pool: 1 thread seen"),
        Some(threads) => line.text(PLAIN, &format!("; blocking pool: {threads} threads seen")),
    }
}

/// Whether the goroutines of a process are known, how many threads run them, and whether its cycles are known.
fn goroutines(runtime: &RuntimeLine) -> String {
    let mut words = if runtime.task_ids {
        let seen = runtime.runtimes.iter().map(|one| one.count).sum();
        format!("{} seen", words::counted(seen, "M", "Ms"))
    } else {
        "goroutines not known".to_owned()
    };
    if let Some(go) = &runtime.go {
        if let Some(max_procs) = go.max_procs {
            words += &format!(", GOMAXPROCS {max_procs}");
        }
        if go.cycles == Some(false) {
            let reason = go.evidence.as_deref().unwrap_or_default();
            words += &format!("; GC not followed: {reason}");
        }
    }
    words
}

/// How many goroutines there are, and how many of them could run and have no thread.
fn how_many(counted: &GoroutineTotals) -> String {
    let GoroutineTotals {
        pid: _,
        count,
        count_max,
        runnable,
        runnable_max,
    } = *counted;
    let at_most = |count| format!("at most {}", words::count(count));
    format!(
        "; {}, {}; {} runnable, {}",
        words::counted(count, "goroutine", "goroutines"),
        at_most(count_max),
        words::count(runnable),
        at_most(runnable_max)
    )
}

/// Those with several threads one by one, the others by their number.
fn kinds(runtime: &RuntimeLine) -> Vec<String> {
    let of = |flavour| runtime.runtimes.iter().filter(move |one| one.flavour == flavour);
    let mut kinds: Vec<_> = of(Some(Flavour::MultiThread))
        .map(|one| match one.count {
            1 => "multi-thread, 1 worker seen".to_owned(),
            count => format!("multi-thread, {count} workers seen"),
        })
        .collect();
    for (flavour, what) in [
        (Some(Flavour::CurrentThread), "current-thread"),
        (None, "of unknown kind"),
    ] {
        match of(flavour).count() {
            0 => {}
            1 => kinds.push(what.to_owned()),
            count => kinds.push(format!("{count} × {what}")),
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::super::{is_in_page_on_go, plain};
    use super::*;
    use crate::model::runtime::{GoProcess, RuntimeAtWork};

    fn shown(runtimes: &[(Option<Flavour>, u64)], pool_threads: Option<u64>) -> String {
        let mut all = RuntimeLines::default();
        all.add(&RuntimeLine {
            unix_ns: 1,
            pid: Pid(7),
            name: "tokio".to_owned(),
            version: Some("1.48.0".to_owned()),
            task_ids: true,
            evidence: String::new(),
            runtimes: runtimes
                .iter()
                .map(|&(flavour, count)| RuntimeAtWork {
                    flavour,
                    count,
                    threads: Vec::new(),
                    evidence: String::new(),
                })
                .collect(),
            pool_threads,
            go: None,
        });
        plain(&all.lines(&[], |pid| (pid == Pid(7)).then_some("srv")))
    }

    #[test]
    fn processes_that_get_no_line_are_counted() {
        let line = |pid| RuntimeLine {
            unix_ns: 1,
            pid: Pid(pid),
            name: "tokio".to_owned(),
            version: None,
            task_ids: true,
            evidence: String::new(),
            runtimes: vec![RuntimeAtWork {
                flavour: None,
                count: 1,
                threads: Vec::new(),
                evidence: String::new(),
            }],
            pool_threads: None,
            go: None,
        };
        let mut all = RuntimeLines::default();
        let last = |all: &RuntimeLines| plain(&all.lines(&[], |_| None)).lines().last().map(str::to_owned);
        (0..=LISTED as u32).for_each(|pid| all.add(&line(pid)));
        assert_eq!(last(&all).as_deref(), Some("         and 1 process more"));
        (0..=REMEMBERED as u32).for_each(|pid| all.add(&line(pid)));
        assert_eq!(
            last(&all).as_deref(),
            Some("         and 1,021 processes more, at least")
        );
    }

    #[test]
    fn of_go_it_is_told_how_many_threads_run_goroutines_and_how_many_may() {
        let shown = |task_ids, cycles| {
            let mut all = RuntimeLines::default();
            all.add(&RuntimeLine {
                unix_ns: 1,
                pid: Pid(7),
                name: "go".to_owned(),
                version: Some("go1.26.8".to_owned()),
                task_ids,
                evidence: String::new(),
                runtimes: vec![RuntimeAtWork {
                    flavour: None,
                    count: 5,
                    threads: Vec::new(),
                    evidence: String::new(),
                }],
                pool_threads: None,
                go: Some(GoProcess {
                    max_procs: Some(4).filter(|_| cycles),
                    cycles: Some(cycles),
                    evidence: Some("no symbols".to_owned()),
                    ..GoProcess::default()
                }),
            });
            let counted = GoroutineTotals {
                pid: Pid(7),
                count: 1_204,
                count_max: 1_300,
                runnable: 0,
                runnable_max: 18,
            };
            let counted = [counted];
            plain(&all.lines(if cycles { &counted } else { &[] }, |_| Some("srv")))
        };
        assert!(is_in_page_on_go(&shown(true, true)));
        assert_eq!(
            shown(true, true),
            "runtime  srv (7)  go go1.26.8  5 Ms seen, GOMAXPROCS 4; 1,204 goroutines, at most 1,300; 0 runnable, at most 18\n"
        );
        assert_eq!(
            shown(false, false),
            "runtime  srv (7)  go go1.26.8  goroutines not known; GC not followed: no symbols\n"
        );
    }

    #[test]
    fn each_kind_of_runtime_is_shown_with_what_was_seen_of_it() {
        let (multi, current) = (Some(Flavour::MultiThread), Some(Flavour::CurrentThread));
        assert_eq!(
            shown(&[(multi, 2)], Some(3)),
            "runtime  srv (7)  tokio 1.48.0  multi-thread, 2 workers seen; blocking pool: 3 threads seen\n"
        );
        assert_eq!(
            shown(&[(current, 1), (current, 1), (multi, 1), (None, 2)], None),
            "runtime  srv (7)  tokio 1.48.0  multi-thread, 1 worker seen, 2 × current-thread, of unknown kind\n"
        );
        assert_eq!(shown(&[], Some(0)), "", "nothing was seen yet");
    }
}
