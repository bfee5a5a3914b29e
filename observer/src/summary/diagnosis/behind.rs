//! What a finding says that requests waited behind. A call or a kind of request is named only where it has most of the
//! longest waits of the requests: of several that are alike none is to blame more than the others.

use super::{LARGE, MOST, sum_ns, waits_for};
use crate::model::cause::Cause;
use crate::model::report::{AtQuantiles, BandMeans, WaitedFor};

/// What waits have most of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Most<'a> {
    One(&'a str),
    /// It is not known.
    NotKnown,
    /// None of several has most.
    Several,
}

impl<'a> Most<'a> {
    fn of(waits: &[&'a WaitedFor], total_ns: f64, part: fn(&'a WaitedFor) -> Option<&'a str>) -> Self {
        let has_most = |one: Option<&str>| {
            let same = waits.iter().copied().filter(|waited| part(waited) == one);
            sum_ns(same) > MOST * total_ns
        };
        match waits.iter().map(|waited| part(waited)).find(|&one| has_most(one)) {
            Some(Some(one)) => Self::One(one),
            Some(None) => Self::NotKnown,
            None => {
                let mut known = waits.iter().filter_map(|waited| part(waited));
                let first = known.next();
                if known.any(|other| Some(other) != first) {
                    Self::Several
                } else {
                    Self::NotKnown
                }
            }
        }
    }

    /// Whether what this says can be said of `one`.
    fn holds(self, one: Option<&str>) -> bool {
        match self {
            Self::One(most) => one == Some(most),
            Self::NotKnown | Self::Several => true,
        }
    }

    /// What is so here and there.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::NotKnown, _) | (_, Self::NotKnown) => Self::NotKnown,
            _ => Self::Several,
        }
    }

    fn in_words(self, several: &'a str) -> Option<&'a str> {
        match self {
            Self::One(one) => Some(one),
            Self::NotKnown => None,
            Self::Several => Some(several),
        }
    }
}

/// What was waited behind.
struct Behind<'a> {
    call: Most<'a>,
    request: Most<'a>,
}

impl<'a> Behind<'a> {
    /// Of most of the waits, with both together. The others, which are not known, were so long.
    fn of(waits: &[&'a WaitedFor], others_ns: u64) -> Self {
        let total_ns = sum_ns(waits.iter().copied()) + others_ns as f64;
        let call = Most::of(waits, total_ns, |waited| waited.syscall);
        let in_call: Vec<_> = waits
            .iter()
            .copied()
            .filter(|waited| call.holds(waited.syscall))
            .collect();
        let request = Most::of(&in_call, total_ns, |waited| waited.request.as_deref());
        Self { call, request }
    }

    fn holds(&self, waited: &WaitedFor) -> bool {
        self.call.holds(waited.syscall) && self.request.holds(waited.request.as_deref())
    }
}

/// The call and the kind of request behind which was waited at the p99, in words: `behind read for GET /slow`. Nothing
/// where none of the longest waits tells. Where many of the requests at the p50 waited so too, a kind of request must
/// have most of their wait as well: the p99 can be of a single request.
pub(super) fn behind(at: &AtQuantiles, cause: Cause) -> Option<String> {
    let [waits, usual] = [&at.p99, &at.p50].map(|band| waits_for(band, cause).collect::<Vec<_>>());
    let [others_ns, usual_others_ns] = [&at.p99, &at.p50].map(|band| others_ns(band, cause));
    waits.first()?;
    let mut behind = Behind::of(&waits, others_ns);
    let usually: u64 = usual.iter().map(|waited| waited.requests).sum();
    // Of how many requests those are that are not listed is not known.
    let most_are_others =
        usual_others_ns as f64 > MOST * (usual_others_ns as f64 + sum_ns(usual.iter().copied()));
    let is_usual = most_are_others || usually as f64 >= LARGE * at.p50.requests as f64;
    if !usual.is_empty() && is_usual {
        behind.request = behind.request.and(Behind::of(&usual, usual_others_ns).request);
    }
    let are_all = others_ns == 0 && waits.iter().all(|waited| behind.holds(waited));
    let mostly = if are_all { "" } else { "mostly " };
    let call = behind.call.in_words("several system calls");
    let request = behind.request.in_words("requests of several kinds");
    let what = match (call, request) {
        (Some(call), Some(request)) => format!("{call} for {request}"),
        (one, other) => one.or(other)?.to_owned(),
    };
    Some(format!("{mostly}behind {what}"))
}

/// How long the waits were that the band does not list: for a worker, or to be accepted by one.
fn others_ns(band: &BandMeans, cause: Cause) -> u64 {
    band.waited_for_others_ns.get(cause) + band.waited_for_others_ns.get(Cause::AcceptQueue)
}

#[cfg(test)]
mod tests {
    use super::super::tests::behind as waited_behind;
    use super::*;
    use crate::model::report::BandMeans;

    /// So many requests, of which these waited for a worker, each for as long: behind which call, for what, how many.
    fn band(requests: u64, waits: &[(&'static str, &str, u64)]) -> BandMeans {
        let one = |&(call, request, requests): &(_, &str, _)| WaitedFor {
            requests,
            mean_ns: 40,
            syscall: Some(call),
            request: Some(request.to_owned()),
            ..waited_behind(Cause::WorkerBlocked, 7, "srv")
        };
        BandMeans {
            requests,
            waited_for: waits.iter().map(one).collect(),
            ..BandMeans::default()
        }
    }

    fn told(p99: BandMeans, p50: BandMeans) -> String {
        let at = AtQuantiles {
            p50,
            p99,
            ..AtQuantiles::default()
        };
        behind(&at, Cause::WorkerBlocked).unwrap()
    }

    #[test]
    fn of_many_things_that_are_not_listed_none_has_most() {
        let mut p99 = band(100, &[("read", "GET /big", 5), ("fsync", "POST /item/1", 1)]);
        p99.waited_for_others_ns.charge(Cause::WorkerBlocked, 94 * 40);
        assert_eq!(
            told(p99, BandMeans::default()),
            "mostly behind several system calls for requests of several kinds"
        );
        let mut p99 = band(100, &[("read", "GET /big", 60)]);
        p99.waited_for_others_ns.charge(Cause::WorkerBlocked, 40 * 40);
        assert_eq!(
            told(p99.clone(), BandMeans::default()),
            "mostly behind read for GET /big"
        );
        // Of those at the p50 it is not known how many waited for what is not listed.
        for (others_ns, words) in [
            (2 * 40, "mostly behind read"),
            (1, "mostly behind read for GET /big"),
        ] {
            let mut p50 = band(100, &[("read", "GET /big", 1)]);
            p50.waited_for_others_ns.charge(Cause::WorkerBlocked, others_ns);
            assert_eq!(told(p99.clone(), p50), words);
        }
    }

    #[test]
    fn where_it_is_not_known_who_was_in_no_call_nothing_is_said() {
        let mut p99 = band(3, &[("", "GET /a", 2), ("", "", 2)]);
        for waited in &mut p99.waited_for {
            (waited.cause, waited.syscall) = (Cause::WorkerBusy, None);
        }
        p99.waited_for[1].request = None;
        let at = AtQuantiles {
            p99,
            ..AtQuantiles::default()
        };
        assert_eq!(behind(&at, Cause::WorkerBusy), None);
    }

    #[test]
    fn who_waits_to_be_accepted_waits_behind_the_same() {
        let mut p99 = band(3, &[("read", "GET /a", 2), ("read", "GET /a", 1)]);
        p99.waited_for[1].cause = Cause::AcceptQueue;
        assert_eq!(told(p99, BandMeans::default()), "behind read for GET /a");
    }

    #[test]
    fn of_several_alike_none_is_blamed() {
        for (waits, words) in [
            (
                &[
                    ("read", "GET /a", 3),
                    ("read", "GET /b", 2),
                    ("read", "GET /c", 2),
                ][..],
                "behind read for requests of several kinds",
            ),
            (
                &[("read", "GET /a", 4), ("read", "GET /b", 2)],
                "mostly behind read for GET /a",
            ),
            (
                &[
                    ("read", "GET /a", 3),
                    ("fsync", "GET /a", 3),
                    ("write", "GET /a", 3),
                ],
                "behind several system calls for GET /a",
            ),
            (
                &[("read", "GET /a", 4), ("fsync", "GET /b", 3)],
                "mostly behind read for GET /a",
            ),
            // Of the call most, and of the request, but not of both.
            (
                &[
                    ("read", "GET /a", 1),
                    ("read", "GET /b", 2),
                    ("fsync", "GET /a", 2),
                ],
                "mostly behind read for requests of several kinds",
            ),
            (
                &[("read", "GET /a", 1), ("fsync", "GET /b", 1)],
                "behind several system calls for requests of several kinds",
            ),
        ] {
            assert_eq!(told(band(9, waits), BandMeans::default()), words);
        }
    }

    #[test]
    fn what_is_not_known_is_not_taken_for_another_kind() {
        let mut p99 = band(2, &[("read", "GET /a", 1), ("read", "", 1)]);
        p99.waited_for[1].request = None;
        assert_eq!(told(p99, BandMeans::default()), "behind read");
    }

    #[test]
    fn whom_one_request_waited_for_is_not_blamed_where_the_usual_ones_waited_for_others() {
        let told = |usual: &[_]| told(band(1, &[("read", "GET /a", 1)]), band(20, usual));
        let alike = [
            ("read", "GET /b", 3),
            ("read", "GET /a", 3),
            ("read", "GET /c", 3),
        ];
        assert_eq!(told(&alike), "behind read for requests of several kinds");
        let the_same = [("read", "GET /a", 9), ("read", "GET /b", 1)];
        assert_eq!(told(&the_same), "behind read for GET /a");
        let few = [("read", "GET /b", 1)];
        assert_eq!(told(&few), "behind read for GET /a");
    }
}
