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
    let mut processes = run
        .workers
        .iter()
        .map(|process| of_process(process, name(process.pid)))
        .filter(|lines| !lines.is_empty());
    let mut lines: Vec<_> = processes.by_ref().take(PROCESSES_LISTED).flatten().collect();
    let more = processes.count() as u64;
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

/// Nothing of one that served by threads that ended at once, and too few of them to tell what they were.
fn of_process(process: &ProcessWorkers, name: Option<&str>) -> Vec<Line> {
    let roles = process.by_role.as_ref().and_then(roles::line);
    let says_nothing = process.threads.is_empty() && roles.is_none();
    let workers = (!says_nothing).then(|| line(process, name));
    workers.into_iter().chain(roles).collect()
}

fn line(process: &ProcessWorkers, name: Option<&str>) -> Line {
    let who = name.map_or_else(
        || format!("pid {}", process.pid),
        |name| format!("{name} ({})", process.pid),
    );
    let line = Line::new().text(STRONG, "workers  ").text(PLAIN, &who);
    let by_connection = process.by_role.as_ref().and_then(for_connections);
    if by_connection.is_some_and(|role| role.ended > role.count) {
        // Those that are left tell nothing of the others, and none is free for another's.
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

/// The threads that have one connection at a time, unless event loops have as much to do: then what those wait for
/// counts.
fn for_connections(by_role: &ProcessRoles) -> Option<&RoleTotals> {
    let find = |wanted| by_role.roles.iter().find(|role| role.role == wanted);
    let loops = find(Role::EventLoop);
    find(Role::Connection).filter(|own| loops.is_none_or(|loops| own.at_work > loops.at_work))
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

    /// With threads for one connection at a time, of which so many are there and so many ended.
    fn with_connections(count: u64, ended: u64) -> ProcessFigures {
        let mut run = made_up::figures(1);
        let mut by_role = made_up::by_role();
        for role in &mut by_role.roles {
            if role.role == Role::Connection {
                (role.count, role.ended) = (count, ended);
            }
        }
        let process = &mut run.workers[0];
        (process.pool, process.count, process.by_role) = (None, 100, Some(by_role));
        run
    }

    fn first_line(run: &ProcessFigures) -> String {
        plain(&lines(run, |_| None)[..1])
    }

    #[test]
    fn of_threads_that_come_and_go_those_that_are_left_are_not_told_for_all() {
        // Seen at the end of a window or not.
        for (count, ended) in [(0, 1), (3, 4), (3, 97), (50, 2_000)] {
            let line = first_line(&with_connections(count, ended));
            assert_eq!(
                line,
                "workers  pid 4120  threads that come and go with connections\n"
            );
        }
        let run = with_connections(3, 97);
        let roles = run.workers[0].by_role.as_ref().and_then(roles::line).unwrap();
        assert_eq!(plain(&lines(&run, |_| None)[1..2]), plain(&[roles]));
        let mut run = with_connections(50, 50);
        assert!(first_line(&run).starts_with("workers  pid 4120  100 busy "));
        run.workers[0].threads.clear();
        assert_eq!(first_line(&run), "workers  pid 4120  none known\n");
    }

    #[test]
    fn the_wait_for_the_next_request_is_not_told_as_what_kept_a_thread() {
        assert_eq!(
            first_line(&with_connections(100, 0)),
            "workers  pid 4120  100 busy 61 %, 12 %, …; none free for waiting requests 310 ms\n"
        );
    }

    #[test]
    fn threads_for_a_connection_do_not_hide_an_event_loop_that_has_more_to_do() {
        for (count, ended) in [(0, 4), (2, 1)] {
            let mut run = with_connections(count, ended);
            let by_role = run.workers[0].by_role.as_mut().unwrap();
            for role in &mut by_role.roles {
                if role.role == Role::EventLoop {
                    role.at_work = 1.3;
                }
            }
            let line = first_line(&run);
            assert!(line.contains("; blocked 30 %, 30 %, …; none free"), "{line}");
            assert!(line.contains("; longest 30.8 ms task 31 "), "{line}");
        }
    }

    #[test]
    fn a_process_that_says_nothing_takes_no_place() {
        let mut run = made_up::figures(1);
        let process = run.workers[0].clone();
        run.workers = vec![process; PROCESSES_LISTED + 1];
        let silent = &mut run.workers[0];
        silent.threads.clear();
        (silent.count, silent.pool, silent.by_role) = (0, None, None);
        let text = plain(&lines(&run, |_| None));
        assert_eq!(text.matches("workers  ").count(), PROCESSES_LISTED, "{text}");
        assert!(!text.contains(" more\n"), "{text}");
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
