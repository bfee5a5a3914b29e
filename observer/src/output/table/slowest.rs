//! The slowest requests of the run, a line each: how long, which, where the time went, and most of it for what.
//!
//! Of the requests that come by it keeps a few, as the little that a line says. A request that is not among
//! the slowest costs a comparison.

use std::cmp::Reverse;

use super::causes;
use super::line::{self, ALARM, FAINT, Line, PLAIN, STRONG};
use super::strip::Strip;
use super::wait;
use crate::model::cause::Cause;
use crate::model::header::Requests;
use crate::model::id::Pid;
use crate::model::request::{Conn, Http, Request};
use crate::output::escape::{columns, escape};
use crate::output::words;
use crate::summary::without_query;

/// Requests that are kept.
const KEPT: usize = 8;

/// Most columns for which request it is, where lines are short.
const MAX_LABEL: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Slowest {
    kept: Vec<Slow>,
}

#[derive(Debug)]
struct Slow {
    latency_ns: u64,
    complete: bool,
    label: String,
    strip: Strip,
    mostly: String,
}

impl Slowest {
    /// Keeps `request` if it is among the slowest, and names its process where that is given.
    pub(super) fn add(&mut self, request: &Request, with_query: bool, pid: Option<Pid>) {
        let latency_ns = request.figures.latency_ns;
        // Of equal ones the earlier stays.
        let place = self.kept.partition_point(|slow| slow.latency_ns >= latency_ns);
        if place < KEPT {
            self.kept.truncate(KEPT - 1);
            self.kept.insert(place, Slow::new(request, with_query, pid));
        }
    }

    /// A title that says of which requests they are, where these were chosen so, and explains the letters; and a line
    /// for each, where there is room for so many columns.
    pub(super) fn lines(&self, chosen: Requests, room: usize) -> Vec<Line> {
        if self.kept.is_empty() {
            return Vec::new();
        }
        let mut title = Line::new().text(STRONG, "slowest");
        if chosen != Requests::All {
            title = title.text(FAINT, " of those written");
        }
        for cause in Cause::ALL
            .into_iter()
            .filter(|&cause| self.kept.iter().any(|slow| slow.strip.shows(cause)))
        {
            title = title
                .text(PLAIN, "  ")
                .text(causes::style(cause), causes::letter(cause))
                .text(FAINT, &format!(" {}", cause.name()));
        }
        let labels = self.kept.iter().map(|slow| columns(&escape(&slow.label)));
        let most = line::most_of_label(MAX_LABEL, room);
        let width = labels.max().unwrap_or_default().min(most);
        let mut lines = vec![title];
        lines.extend(self.kept.iter().map(|slow| slow.line(width)));
        lines
    }
}

impl Slow {
    fn new(request: &Request, with_query: bool, pid: Option<Pid>) -> Self {
        let figures = &request.figures;
        Self {
            latency_ns: figures.latency_ns,
            complete: figures.complete,
            label: match pid {
                Some(pid) => format!("{pid} {}", label(request, with_query)),
                None => label(request, with_query),
            },
            strip: Strip::new(&request.timeline, figures.latency_ns),
            mostly: largest_cause(request, with_query),
        }
    }

    fn line(&self, label: usize) -> Line {
        let line = Line::new()
            .right(STRONG, 8, &words::ns(self.latency_ns))
            .text(PLAIN, " ")
            .left(PLAIN, label, &self.label)
            .text(PLAIN, " ");
        let line = self.strip.draw(line).text(PLAIN, " ");
        let line = if self.complete {
            line
        } else {
            line.text(ALARM, "incomplete ")
        };
        line.text(PLAIN, &self.mostly)
    }
}

/// Method, path and status; whose connection it was where it was no HTTP.
fn label(request: &Request, with_query: bool) -> String {
    let Conn {
        id,
        local: _,
        peer,
        nth,
    } = request.conn;
    match (&request.http, peer) {
        (
            Some(Http {
                method,
                target,
                target_cut,
            }),
            _,
        ) => {
            let path = if with_query { target } else { without_query(target) };
            let cut = if *target_cut && path.len() == target.len() {
                "…"
            } else {
                ""
            };
            let status = request
                .figures
                .status
                .map(|status| format!(" {status}"))
                .unwrap_or_default();
            format!("{method} {path}{cut}{status}")
        }
        (None, Some(peer)) => format!("{peer} #{nth}"),
        (None, None) => format!("connection {id} #{nth}"),
    }
}

/// The largest cause, and of that the longest interval with what is known of it.
fn largest_cause(request: &Request, with_query: bool) -> String {
    let charged = request.figures.budget.charged();
    // Of equal ones the first; so with the intervals.
    let Some((cause, total_ns)) = charged.max_by_key(|&(cause, ns)| (ns, Reverse(cause))) else {
        return String::new();
    };
    let total = words::ns(total_ns);
    let mut words = format!("{} {total}", cause.name());
    let intervals = request.timeline.iter().rev().filter(|span| span.cause == cause);
    if let Some(longest) = intervals.max_by_key(|span| span.dur_ns) {
        let (part, what) = (
            words::ns(longest.dur_ns),
            wait::of_span(longest, request.figures.pid, with_query),
        );
        match (what.is_empty(), part == total) {
            (true, _) => {}
            (false, true) => words.push_str(&format!(" {what}")),
            (false, false) => words.push_str(&format!(", {part} {what}")),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;
    use crate::model::cause::Budget;
    use crate::model::request::Span;
    use crate::output::made_up;

    fn of(latencies_ms: impl IntoIterator<Item = u64>) -> Slowest {
        let mut slowest = Slowest::default();
        for ms in latencies_ms {
            let mut request = made_up::blocked(ms);
            request.figures.latency_ns = ms * 1_000_000;
            slowest.add(&request, false, None);
        }
        slowest
    }

    #[test]
    fn the_slowest_come_first_and_are_few() {
        let slowest = of((0..100).map(|n| n * 37 % 100));
        let kept: Vec<_> = slowest
            .kept
            .iter()
            .map(|slow| slow.latency_ns / 1_000_000)
            .collect();
        assert_eq!(kept, [99, 98, 97, 96, 95, 94, 93, 92]);
    }

    #[test]
    fn a_line_tells_which_request_it_was_and_what_it_waited_for() {
        let mut slowest = Slowest::default();
        slowest.add(&made_up::blocked(1), false, None);
        let text = plain(&slowest.lines(Requests::All, 80));
        let line = text.lines().nth(1).unwrap();
        assert_eq!(
            line,
            " 40.1 ms GET /work 200 BBBBBBBBBQ## \
             worker_blocked 30.8 ms behind task 31 in clock_nanosleep for GET /blocking"
        );
        assert!(
            text.starts_with("slowest  Q run_queue  B worker_blocked  # on_cpu\n"),
            "{text}"
        );
    }

    #[test]
    fn where_not_all_requests_come_by_the_title_says_of_which_these_are() {
        let mut slowest = Slowest::default();
        slowest.add(&made_up::blocked(1), false, None);
        let text = plain(&slowest.lines(Requests::Tail, 80));
        assert!(
            text.starts_with("slowest of those written  Q run_queue  B worker_blocked  # on_cpu\n"),
            "{text}"
        );
    }

    #[test]
    fn a_request_with_losses_in_its_window_says_so() {
        let mut request = made_up::blocked(1);
        request.figures.complete = false;
        let mut slowest = Slowest::default();
        slowest.add(&request, false, None);
        assert!(plain(&slowest.lines(Requests::All, 80)).contains("# incomplete worker_blocked"));
    }

    #[test]
    fn a_long_path_is_cut_where_the_room_ends_and_nowhere_else() {
        let mut request = made_up::blocked(1);
        let path = format!("/{}", "x".repeat(99));
        request.http.as_mut().unwrap().target = path.as_str().into();
        let mut slowest = Slowest::default();
        slowest.add(&request, false, None);
        let line = |room| plain(&slowest.lines(Requests::All, room)[1..]);
        assert!(line(80).starts_with(&format!(" 40.1 ms GET {}… BBB", &path[..27])));
        assert!(line(200).starts_with(&format!(" 40.1 ms GET {}… BBB", &path[..45])));
        assert!(line(usize::MAX).starts_with(&format!(" 40.1 ms GET {path} 200 BBB")));
    }

    #[test]
    fn query_strings_are_dropped_unless_asked_for() {
        let mut request = made_up::blocked(1);
        request.http.as_mut().unwrap().target = "/work?token=secret".into();
        assert_eq!(label(&request, false), "GET /work 200");
        assert_eq!(label(&request, true), "GET /work?token=secret 200");
    }

    #[test]
    fn of_a_wait_in_many_intervals_the_longest_is_shown() {
        let mut request = made_up::blocked(1);
        let (first, again) = (&request.timeline[1], 9_000_000);
        request.timeline.push(Span {
            dur_ns: again,
            culprit: None,
            ..first.clone()
        });
        request.figures.budget.charge(Cause::RunQueue, 40_000_000);
        assert_eq!(largest_cause(&request, false), "run_queue 44.1 ms");
        request.timeline[1].dur_ns = again + 1;
        assert_eq!(
            largest_cause(&request, false),
            "run_queue 44.1 ms, 9.00 ms behind tid 77 (hog)"
        );
    }

    #[test]
    fn of_a_request_that_only_ran_that_is_said() {
        let mut request = made_up::blocked(1);
        request.figures.budget = Budget::default();
        request.figures.budget.charge(Cause::OnCpu, 1);
        assert_eq!(largest_cause(&request, false), "on_cpu 1 ns");
    }

    #[test]
    fn without_http_a_request_is_known_by_its_peer() {
        let mut request = made_up::blocked(3);
        request.http = None;
        assert_eq!(label(&request, false), "127.0.0.1:51212 #3");
        request.conn.peer = None;
        assert_eq!(label(&request, false), "connection 17 #3");
    }
}
