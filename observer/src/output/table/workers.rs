//! What the workers did, and what is wrong where that is clear.

use super::line::{FAINT, Line, PLAIN, STRONG};
use super::roles;
use crate::model::id::Pid;
use crate::model::report::{LongestTask, ProcessFigures, ProcessWorkers, WorkerTotals};
use crate::output::words;

/// Most processes that get a line.
const PROCESSES_LISTED: usize = 3;

/// Workers that are listed of a process, at most.
const WORKERS_LISTED: usize = 4;

/// A line for each process, and one for what its threads are to it; `name` tells what a process is called.
pub(super) fn lines<'a>(run: &ProcessFigures, name: impl Fn(Pid) -> Option<&'a str>) -> Vec<Line> {
    let mut lines: Vec<_> = run
        .workers
        .iter()
        .take(PROCESSES_LISTED)
        .flat_map(|process| {
            let roles = process.by_role.as_ref().and_then(roles::line);
            std::iter::once(line(process, name(process.pid))).chain(roles)
        })
        .collect();
    let more = run.workers.len().saturating_sub(PROCESSES_LISTED) as u64;
    if more > 0 {
        let processes = words::counted(more, "process", "processes");
        lines.push(Line::new().text(FAINT, &format!("         and {processes} more")));
    }
    if let Some(diagnosis) = &run.diagnosis {
        lines.push(
            Line::new()
                .text(STRONG, "finding  ")
                .text(PLAIN, &diagnosis.text)
                .wrapping(),
        );
    }
    lines
}

fn line(process: &ProcessWorkers, name: Option<&str>) -> Line {
    let ProcessWorkers {
        pid,
        count,
        none_free_ns,
        threads,
        idlest: _,
        pool,
        by_role: _,
    } = process;
    let listed = threads.iter().take(WORKERS_LISTED);
    let of_each = |share: fn(&WorkerTotals) -> f64| {
        let mut shares: Vec<_> = listed.clone().map(|worker| percent(share(worker))).collect();
        if *count > WORKERS_LISTED as u64 {
            shares.push("…".to_owned());
        }
        shares.join(", ")
    };
    let busy = of_each(|worker| worker.busy);
    let blocked = if listed.clone().any(|worker| worker.blocked >= 0.005) {
        format!("; blocked {}", of_each(|worker| worker.blocked))
    } else {
        String::new()
    };
    let mut line = Line::new()
        .text(STRONG, "workers  ")
        .text(
            PLAIN,
            &name.map_or_else(|| format!("pid {pid}"), |name| format!("{name} ({pid})")),
        )
        .text(PLAIN, &format!("  {count} busy {busy}{blocked}"))
        .text(
            FAINT,
            &format!("; none free for waiting requests {}", words::ns(*none_free_ns)),
        );
    if let Some(pool) = pool {
        let jobs = if pool.jobs == 1 { "job" } else { "jobs" };
        let of_jobs = format!("{} of {} {jobs} queued", pool.queued, pool.jobs);
        line = line.text(
            PLAIN,
            &format!(
                "; pool {} busy {} or more, {of_jobs}",
                pool.threads,
                percent(pool.busy)
            ),
        );
    }
    let longest = threads
        .iter()
        .filter_map(|worker: &WorkerTotals| worker.longest.as_ref())
        .max_by_key(|longest| longest.dur_ns);
    if let Some(longest) = longest {
        line = line.text(PLAIN, &format!("; longest {}", longest_task(longest)));
    }
    line
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

fn longest_task(longest: &LongestTask) -> String {
    let LongestTask {
        dur_ns,
        task,
        request,
        syscall,
    } = longest;
    let mut words = words::ns(*dur_ns);
    if let Some(task) = task {
        words += &format!(" task {task}");
    }
    if let Some(syscall) = syscall {
        words += &format!(" in {syscall}");
    }
    if let Some(request) = request {
        words += &format!(" for {request}");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;
    use crate::output::made_up;

    #[test]
    fn the_longest_task_is_told_with_what_it_did() {
        let run = made_up::figures(1);
        let text = plain(&lines(&run, |pid| (pid == Pid(4120)).then_some("axum-srv")));
        assert_eq!(
            text,
            "workers  axum-srv (4120)  2 busy 61 %, 12 %; blocked 30 %, 30 %; none free for waiting requests 310 ms; \
             pool 3 busy 25 % or more, 2 of 400 jobs queued; longest 30.8 ms task 31 in clock_nanosleep for GET /blocking\n\
             finding  workers were blocked: 77 % of the latency at the p99 was waiting behind clock_nanosleep\n"
        );
    }

    #[test]
    fn processes_that_get_no_line_are_counted() {
        let mut run = made_up::figures(1);
        run.workers = vec![run.workers[0].clone(); PROCESSES_LISTED + 2];
        let text = plain(&lines(&run, |_| None));
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(rows[PROCESSES_LISTED], "         and 2 processes more");
        assert!(rows[PROCESSES_LISTED + 1].starts_with("finding"), "{text}");
    }

    #[test]
    fn one_job_is_one() {
        let mut run = made_up::figures(1);
        let pool = run.workers[0].pool.as_mut().unwrap();
        (pool.jobs, pool.queued) = (1, 0);
        let text = plain(&lines(&run, |_| None));
        assert!(text.contains("or more, 0 of 1 job queued;"), "{text}");
    }
}
