//! Where the time went: the mean budgets around three quantiles side by side, and what was waited for.
//!
//! A cause has a line where it was charged in any of the three. What was waited for is that of the tail
//! first, and that of the median too where it is something else and a large part of it.

use anstyle::Style;

use super::line::{FAINT, Line, PLAIN, STRONG};
use super::{causes, wait};
use crate::model::cause::Cause;
use crate::model::report::{AtQuantiles, BandMeans, WaitedFor};
use crate::output::words::{self, NOTHING};

const LABEL: usize = 17;
const TIME: usize = 11;
const SHARE: usize = 6;

/// Most things waited for that are listed of one cause.
const LISTED: usize = 2;

/// One part in so many of the latency is large.
const LARGE: u64 = 4;

/// A title, a line for each cause, and their sum.
pub(super) fn lines(at: &AtQuantiles) -> Vec<Line> {
    let bands = [("p50", &at.p50), ("p99", &at.p99), ("p99.9", &at.p999)];
    let mut title = Line::new().left(STRONG, LABEL, "budget");
    for (name, band) in bands {
        title = title.right(
            FAINT,
            TIME + SHARE,
            &format!("{name} (n={})", words::count(band.requests)),
        );
    }
    let mut lines = vec![title];
    for cause in Cause::ALL {
        if bands.iter().any(|(_, band)| band.budget_ns.get(cause) > 0) {
            lines.push(charged(cause, bands.map(|(_, band)| band)));
            lines.extend(waited_for(cause, at));
        }
    }
    lines.push(row(
        STRONG,
        "latency",
        &bands.map(|(_, band)| words::ns(band.latency_ns)),
    ));
    lines.push(row(
        PLAIN,
        "before read",
        &bands.map(|(_, band)| words::ns(band.receive_queue_ns)),
    ));
    lines
}

/// A line in the columns of the budget.
pub(super) fn row(style: Style, label: &str, cells: &[String; 3]) -> Line {
    let mut line = Line::new().left(style, LABEL, &format!("  {label}"));
    for (index, cell) in cells.iter().enumerate() {
        // In place of the share of the column before.
        line = line.right(style, TIME + if index == 0 { 0 } else { SHARE }, cell);
    }
    line
}

fn charged(cause: Cause, bands: [&BandMeans; 3]) -> Line {
    let mut line = Line::new().left(causes::style(cause), LABEL, &format!("  {}", cause.name()));
    // In place of a share that is not there, so that no line ends in blanks.
    let mut gap = 0;
    for band in bands {
        match band.budget_ns.get(cause) {
            0 => {
                line = line.right(FAINT, gap + TIME, NOTHING);
                gap = SHARE;
            }
            ns => {
                let share = words::share(ns, band.latency_ns);
                line = line
                    .right(PLAIN, gap + TIME, &words::ns(ns))
                    .right(FAINT, SHARE, &share);
                gap = 0;
            }
        }
    }
    line
}

fn waited_for(cause: Cause, at: &AtQuantiles) -> Vec<Line> {
    let [p99, p999, p50] = [("p99", &at.p99), ("p99.9", &at.p999), ("p50", &at.p50)]
        .map(|(name, band)| InBand::of(name, band, cause));
    let tail = [&p99, &p999].into_iter().find(|band| !band.waits.is_empty());
    let is_large = at.p50.budget_ns.get(cause) >= at.p50.latency_ns / LARGE;
    let (told, median) = match tail {
        Some(tail) => (tail, Some(&p50).filter(|_| is_large)),
        None => (&p50, None),
    };
    let usual = median.map_or(&[][..], |median| &median.waits);
    let listed = &told.waits[..told.waits.len().min(LISTED)];
    let mut lines: Vec<_> = listed
        .iter()
        .map(|one| told.line(one, usual.iter().find(|usual| usual.words == one.words)))
        .collect();
    let is_listed = |one: &Wait<'_>| listed.iter().any(|listed| listed.words == one.words);
    let mut others = usual.iter().filter(|one| !is_listed(one));
    lines.extend(others.next().map(|most| p50.line(most, None)));
    let there_are_more = told.has_more || median.is_some_and(|median| median.has_more);
    if (there_are_more || told.waits.len() > listed.len() || others.next().is_some())
        && let Some(last) = lines.pop()
    {
        lines.push(last.text(FAINT, ", and others"));
    }
    lines
}

/// What the requests of a band waited for, of one cause.
struct InBand<'a> {
    name: &'static str,
    /// What has words, the most time first.
    waits: Vec<Wait<'a>>,
    /// There is more than the band lists.
    has_more: bool,
}

struct Wait<'a> {
    waited: &'a WaitedFor,
    words: String,
}

impl<'a> InBand<'a> {
    fn of(name: &'static str, band: &'a BandMeans, cause: Cause) -> Self {
        let waits = band.waited_for.iter().filter(|waited| waited.cause == cause);
        let in_words = waits.map(|waited| Wait {
            waited,
            words: wait::of_several(waited),
        });
        Self {
            name,
            waits: in_words.filter(|wait| !wait.words.is_empty()).collect(),
            has_more: band.waited_for_others_ns.get(cause) > 0,
        }
    }

    /// A wait of this band, with the same of the median where that is to be told, too.
    fn line(&self, Wait { waited, words }: &Wait<'_>, at_p50: Option<&Wait<'_>>) -> Line {
        let requests = words::counted(waited.requests, "request", "requests");
        let more = at_p50.map(|Wait { waited, .. }| {
            let (requests, mean) = (words::count(waited.requests), words::ns(waited.mean_ns));
            format!(", {requests} at p50 for {mean}")
        });
        Line::new()
            .text(PLAIN, &format!("    {} {words}", words::ns(waited.mean_ns)))
            .text(
                FAINT,
                &format!(" ({requests} at {}{})", self.name, more.unwrap_or_default()),
            )
    }
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;
    use crate::output::made_up;

    #[test]
    fn causes_stand_above_their_sum() {
        let text = plain(&lines(&made_up::figures(1).at.unwrap()));
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(
            rows[0],
            "budget                 p50 (n=120)       p99 (n=13)      p99.9 (n=1)"
        );
        assert_eq!(
            rows[1],
            "  run_queue           310 µs   25%    4.10 ms   10%    4.10 ms   10%"
        );
        assert_eq!(
            rows[3],
            "  worker_blocked           -          30.8 ms   77%    31.7 ms   77%"
        );
        assert_eq!(
            rows[6],
            "  latency            1.24 ms          40.1 ms          41.0 ms"
        );
    }

    #[test]
    fn a_cause_is_followed_by_what_was_waited_for_in_the_tail() {
        let text = plain(&lines(&made_up::figures(1).at.unwrap()));
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(rows[2], "    4.10 ms behind hog (77) (3 requests at p99)");
        assert_eq!(
            rows[4],
            "    30.8 ms behind axum-srv (4120) in clock_nanosleep for GET /blocking (12 requests at p99)"
        );
    }

    fn rows_of(at: &AtQuantiles) -> Vec<String> {
        plain(&lines(at)).lines().map(str::to_owned).collect()
    }

    /// Where the median waits for workers, too, behind these.
    fn with_blocked_median(behind: &[&str]) -> AtQuantiles {
        let mut at = made_up::figures(1).at.unwrap();
        at.p50.budget_ns.charge(Cause::WorkerBlocked, 930_000);
        at.p50.latency_ns += 930_000;
        let waits = behind.iter().map(|request| WaitedFor {
            requests: 70,
            mean_ns: 900_000,
            request: Some((*request).to_owned()),
            ..at.p99.waited_for[0].clone()
        });
        at.p50.waited_for = waits.collect();
        at
    }

    #[test]
    fn what_the_median_waits_for_is_told_where_it_is_a_large_part_of_it() {
        let mut at = with_blocked_median(&["GET /other", "GET /blocking"]);
        let rows = rows_of(&at);
        assert!(
            rows[4].ends_with(" for GET /blocking (12 requests at p99, 70 at p50 for 900 µs)"),
            "{rows:?}"
        );
        assert_eq!(
            rows[5],
            "    900 µs behind axum-srv (4120) in clock_nanosleep for GET /other (70 requests at p50)"
        );
        assert!(rows[6].starts_with("  on_cpu "), "{rows:?}");
        at.p50.latency_ns *= 4;
        assert!(
            rows_of(&at)[5].starts_with("  on_cpu "),
            "a small part is none of the median's story"
        );
    }

    #[test]
    fn where_the_median_waits_for_the_same_it_is_told_once() {
        let rows = rows_of(&with_blocked_median(&["GET /blocking"]));
        assert!(
            rows[4].ends_with(" for GET /blocking (12 requests at p99, 70 at p50 for 900 µs)"),
            "{rows:?}"
        );
        assert!(rows[5].starts_with("  on_cpu "), "{rows:?}");
    }

    #[test]
    fn that_there_is_more_than_is_listed_is_said() {
        let mut at = made_up::figures(1).at.unwrap();
        let first = at.p99.waited_for[0].clone();
        at.p99.waited_for = ["GET /a", "GET /b", "GET /c"]
            .map(|request| WaitedFor {
                request: Some(request.to_owned()),
                ..first.clone()
            })
            .to_vec();
        let rows = rows_of(&at);
        assert!(rows[3].ends_with(" for GET /a (12 requests at p99)"), "{rows:?}");
        assert!(
            rows[4].ends_with(" for GET /b (12 requests at p99), and others"),
            "{rows:?}"
        );
        at.p99.waited_for.pop();
        assert!(!rows_of(&at)[4].ends_with(", and others"));
        at.p99.waited_for_others_ns.charge(first.cause, 1);
        assert!(rows_of(&at)[4].ends_with(", and others"));
    }

    #[test]
    fn a_cause_that_was_never_charged_has_no_line() {
        let text = plain(&lines(&made_up::figures(1).at.unwrap()));
        assert!(!text.contains("throttled") && !text.contains("lock "), "{text}");
    }
}
