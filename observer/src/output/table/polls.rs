//! How long polls of runtime tasks took and how long their tasks were queued, where polls are recorded.

use super::line::{FAINT, Line, PLAIN, STRONG};
use crate::model::report::{LongPoll, PollTotals};
use crate::output::words;

/// Longest polls that are listed.
const LISTED: usize = 3;

/// Lines for polls that were recorded in a time of this length, if any were: without symbols of its program none can.
pub(super) fn lines(polls: Option<&PollTotals>, over_ns: u64) -> Vec<Line> {
    let Some(polls) = polls.filter(|polls| polls.polls > 0) else {
        return Vec::new();
    };
    let time = |ns: Option<u64>| ns.map_or_else(|| "-".to_owned(), words::ns);
    let figures = format!(
        "{}, p50 {}, p99 {}, max {}; queued before p50 {}, p99 {}, max {}",
        words::rate(polls.polls, over_ns),
        time(polls.p50_ns),
        time(polls.p99_ns),
        time(polls.max_ns),
        time(polls.queue_p50_ns),
        time(polls.queue_p99_ns),
        time(polls.queue_max_ns)
    );
    let mut lines = vec![Line::new().text(STRONG, "polls    ").text(PLAIN, &figures)];
    if polls.long > 0 {
        let longest: Vec<String> = polls.longest.iter().take(LISTED).map(poll).collect();
        lines.push(
            Line::new()
                .text(PLAIN, &format!("         {} over 1 ms", words::count(polls.long)))
                .text(FAINT, &format!("; longest {}", longest.join(", "))),
        );
    }
    lines
}

fn poll(poll: &LongPoll) -> String {
    let mut words = words::ns(poll.dur_ns);
    if let Some(task) = poll.task {
        words += &format!(" task {task}");
    }
    if let Some(request) = &poll.request {
        words += &format!(" for {request}");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;
    use crate::model::id::{Pid, TaskId, Tid};

    #[test]
    fn the_longest_polls_are_told_with_whose_they_were() {
        let poll = |task, request: Option<&str>| LongPoll {
            pid: Pid(1),
            tid: Tid(2),
            task,
            start_unix_ns: 3,
            dur_ns: 30_800_120,
            request: request.map(str::to_owned),
        };
        let polls = PollTotals {
            polls: 2450,
            unqueued: 12,
            long: 2,
            p50_ns: Some(51_455),
            p99_ns: Some(842_751),
            max_ns: Some(30_800_120),
            queue_p50_ns: Some(23_039),
            queue_p99_ns: Some(2_967_476),
            queue_max_ns: Some(30_100_210),
            longest: vec![poll(Some(TaskId(31)), Some("GET /blocking")), poll(None, None)],
        };
        assert_eq!(
            plain(&lines(Some(&polls), 1_000_000_000)),
            "polls    2,450/s, p50 51.5 µs, p99 843 µs, max 30.8 ms; queued before p50 23.0 µs, p99 2.97 ms, max 30.1 ms\n         \
             2 over 1 ms; longest 30.8 ms task 31 for GET /blocking, 30.8 ms\n"
        );
    }

    #[test]
    fn nothing_is_told_where_no_polls_are_recorded_and_no_figures_where_all_were_jobs() {
        assert!(lines(None, 1).is_empty());
        let none = PollTotals::default();
        assert!(lines(Some(&none), 1).is_empty());
        let jobs = PollTotals {
            polls: 3,
            unqueued: 3,
            ..none
        };
        let text = plain(&lines(Some(&jobs), 1_000_000_000));
        assert!(text.contains("p50 -, p99 -, max -;"), "{text}");
    }
}
