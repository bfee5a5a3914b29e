//! Names the functions that threads were seen running in an interval: the request's own thread, or the culprit's.
//!
//! Only samples within it count. Whole spans are named, not the steps that they were made of: a function
//! that is seen here and there would tear them apart again.

use super::Evidence;
use crate::model::cause::Cause;
use crate::model::id::Pid;
use crate::model::request::{Culprit, Span};

/// Adds what was seen in `span`, whose times count from `arrival_ns`; gives how much time that stands for, ns.
pub(super) fn name(evidence: &Evidence<'_>, arrival_ns: u64, span: &mut Span) -> u64 {
    let from_ns = arrival_ns.saturating_add(span.at_ns);
    let to_ns = from_ns.saturating_add(span.dur_ns);
    let most_seen = |pid, tid| evidence.samples.most_seen(pid, tid, from_ns, to_ns);
    // Who has what goroutines wait for can be on no thread, and then the samples of its thread are another's.
    let is_of_no_thread = |culprit: &Culprit| {
        let runtime = evidence.threads.runtime(culprit.pid);
        culprit.task.is_some() && runtime.tasks_move_between_threads()
    };
    let (seen, name) = match (&mut span.culprit, span.tid) {
        (Some(culprit), _) if span.cause == Cause::Lock && is_of_no_thread(culprit) => return 0,
        (Some(culprit), _)
            if matches!(
                span.cause,
                Cause::AcceptQueue | Cause::WorkerBusy | Cause::RunQueue | Cause::Lock
            ) =>
        {
            (most_seen(culprit.pid, culprit.tid), &mut culprit.function)
        }
        (None, Some(tid)) if span.cause == Cause::OnCpu => {
            let pid = evidence.threads.get(tid).map_or(Pid::NONE, |thread| thread.pid);
            (most_seen(pid, tid), &mut span.detail.function)
        }
        _ => return 0,
    };
    let seen_ns = seen.as_ref().map_or(0, |seen| seen.stands_for_ns);
    *name = seen.map(|seen| seen.function);
    seen_ns
}
