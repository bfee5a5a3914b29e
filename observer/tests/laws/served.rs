//! What is said of requests, compared with for whom the machine's threads really worked ([`super::machine::Works`]).

use observer::attribution::notes;
use observer::model::cause::Cause;
use observer::model::request::{Request, Span};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::machine::{Served, Work, Works};

/// What was compared with it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Compared {
    /// What requests ran, of which the machine says that it was theirs, ns.
    pub(crate) own_ns: u64,
    /// Spans with the request that a worker was busy with or blocked for, of which it says for whom it really was.
    pub(crate) named: u64,
}

impl Works {
    /// Nothing in which a thread worked for another request is this one's own, and whose request a worker is said to
    /// have been at, it was at. What it did for this one may be told as a worker's that is named for nobody: where the
    /// thread is next seen elsewhere, no record says when it left.
    pub(crate) fn support(&self, request: &Request) -> Result<Compared, TestCaseError> {
        let mut compared = Compared::default();
        if !request.figures.complete {
            return Ok(compared);
        }
        let own = Served {
            conn: request.conn.id.0,
            nth: request.conn.nth,
        };
        for span in request.timeline.iter().filter(|span| !is_summed_up(span)) {
            let from_ns = request.figures.arrival_ns + span.at_ns;
            for (work, shared_ns) in self.of_thread(span, from_ns) {
                let is_own = work.request == own;
                let wrong = match span.cause {
                    Cause::OnCpu => {
                        compared.own_ns += shared_ns;
                        !is_own
                    }
                    Cause::WorkerBusy | Cause::WorkerBlocked => {
                        let named = span
                            .culprit
                            .as_ref()
                            .and_then(|culprit| culprit.request.as_deref());
                        compared.named += u64::from(named.is_some());
                        let really = self.names.get(&work.request).map(String::as_str);
                        named.is_some() && named != really
                    }
                    _ => false,
                };
                prop_assert!(!wrong, "really {work:?}\nsaid {span:?}\nof {request:?}");
            }
        }
        Ok(compared)
    }

    /// What the thread of a span that begins at `from_ns` worked meanwhile, and for how long, ns.
    fn of_thread(&self, span: &Span, from_ns: u64) -> impl Iterator<Item = (&Work, u64)> {
        let to_ns = from_ns + span.dur_ns;
        let tid = span.tid.map(|tid| tid.0);
        self.works.iter().filter_map(move |work| {
            let shared_ns = work.to_ns.min(to_ns).saturating_sub(work.from_ns.max(from_ns));
            (Some(work.tid) == tid && shared_ns > 0).then_some((work, shared_ns))
        })
    }
}

/// Whether of a span only its length is known, and not when in the spans around it it was.
fn is_summed_up(span: &Span) -> bool {
    span.detail.note == Some(notes::SUMMED_UP)
}
