//! What the workers did, and what is wrong where that is clear.

use super::line::{FAINT, Line, PLAIN, STRONG};
use super::roles;
use crate::model::id::Pid;
use crate::model::report::{
    LongestTask, ProcessFigures, ProcessRoles, ProcessWorkers, Role, RoleTotals, WorkerTotals,
};
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
            let says_nothing = process.threads.is_empty() && roles.is_none();
            let workers = (!says_nothing).then(|| line(process, name(process.pid)));
            workers.into_iter().chain(roles)
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
    let who = name.map_or_else(
        || format!("pid {}", process.pid),
        |name| format!("{name} ({})", process.pid),
    );
    let line = Line::new().text(STRONG, "workers  ").text(PLAIN, &who);
    let by_connection = process.by_role.as_ref().and_then(for_connections);
    if by_connection.is_some_and(|role| role.ended > 0 && role.ended >= process.count) {
        // The few that are there at the end of a window tell nothing of the others, and none is free for another's.
        return line.text(PLAIN, "  threads that come and go with connections");
    }
    if process.threads.is_empty() {
        return line.text(PLAIN, "  none known");
    }
    // What keeps a thread that has one connection is mostly the wait for its next request.
    let waits_for_next = by_connection.is_some();
    let mut line = line
        .text(PLAIN, &format!("  {}", shares(process, !waits_for_next)))
        .text(
            FAINT,
            &format!(
                "; none free for waiting requests {}",
                words::ns(process.none_free_ns)
            ),
        );
    if let Some(pool) = process.pool {
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
    let kept = process
        .threads
        .iter()
        .filter_map(|worker| worker.longest.as_ref());
    let longest = kept.max_by_key(|longest| longest.dur_ns);
    if let Some(longest) = longest.filter(|_| !waits_for_next) {
        line = line.text(PLAIN, &format!("; longest {}", longest_task(longest)));
    }
    line
}

/// How busy each worker was and, where that is asked for, how long it was blocked.
fn shares(process: &ProcessWorkers, with_blocked: bool) -> String {
    let listed = process.threads.iter().take(WORKERS_LISTED);
    let of_each = |share: fn(&WorkerTotals) -> f64| {
        let mut shares: Vec<_> = listed.clone().map(|worker| percent(share(worker))).collect();
        if process.count > WORKERS_LISTED as u64 {
            shares.push("…".to_owned());
        }
        shares.join(", ")
    };
    let busy = format!("{} busy {}", process.count, of_each(|worker| worker.busy));
    if with_blocked && listed.clone().any(|worker| worker.blocked >= 0.005) {
        format!("{busy}; blocked {}", of_each(|worker| worker.blocked))
    } else {
        busy
    }
}

/// The threads that have one connection at a time.
fn for_connections(by_role: &ProcessRoles) -> Option<&RoleTotals> {
    by_role.roles.iter().find(|role| role.role == Role::Connection)
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
    fn of_threads_that_come_and_go_those_that_are_left_are_not_told_for_all() {
        let mut run = made_up::figures(1);
        let process = &mut run.workers[0];
        let by_role = made_up::by_role();
        let told = format!("\n{}", plain(&[roles::line(&by_role).unwrap()]));
        process.by_role = Some(by_role);
        (process.pool, process.count) = (None, 80);
        let first_lines = |run: &ProcessFigures| plain(&lines(run, |_| None)[..2]);
        let come_and_go = format!("workers  pid 4120  threads that come and go with connections{told}");
        assert_eq!(first_lines(&run), come_and_go);
        run.workers[0].count = 81;
        assert!(first_lines(&run).starts_with("workers  pid 4120  81 busy "));
        run.workers[0].threads.clear();
        assert!(first_lines(&run).starts_with("workers  pid 4120  none known\n"));
        run.workers[0].by_role = None;
        assert!(!plain(&lines(&run, |_| None)).contains("workers  "));
    }

    #[test]
    fn the_wait_for_the_next_request_is_not_told_as_what_kept_a_thread() {
        let mut run = made_up::figures(1);
        let process = &mut run.workers[0];
        process.by_role = Some(made_up::by_role());
        (process.pool, process.count) = (None, 100);
        process.threads.truncate(1);
        let text = plain(&lines(&run, |_| None)[..1]);
        assert_eq!(
            text,
            "workers  pid 4120  100 busy 61 %, …; none free for waiting requests 310 ms\n"
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
