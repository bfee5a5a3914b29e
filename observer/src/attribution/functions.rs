//! Names the functions that threads were seen running in a stretch: the request's own thread, or the culprit's.
//!
//! Only samples within the stretch count. Whole spans are looked at, not the steps that they were made of: a function
//! that is seen here and there would tear them apart again.

use super::Evidence;
use crate::cause::Cause;
use crate::request::Span;

/// Adds what was seen in `span`, whose times count from `arrival_ns`.
pub(super) fn name(evidence: &Evidence<'_>, arrival_ns: u64, span: &mut Span) {
    let from_ns = arrival_ns.saturating_add(span.at_ns);
    let to_ns = from_ns.saturating_add(span.dur_ns);
    let most_seen = |pid, tid| evidence.samples.most_seen(pid, tid, from_ns, to_ns);
    match (&mut span.culprit, span.tid) {
        (Some(culprit), _) if matches!(span.cause, Cause::WorkerBusy | Cause::RunQueue) => {
            culprit.function = most_seen(culprit.pid, culprit.tid);
        }
        (None, Some(tid)) if span.cause == Cause::OnCpu => {
            let pid = evidence.threads.get(tid).map_or(0, |thread| thread.pid);
            span.detail.function = most_seen(pid, tid);
        }
        _ => {}
    }
}
