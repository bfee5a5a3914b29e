//! Where in its code the goroutine of a request was seen waiting. It says what for, and changes no cause.

use super::Evidence;
use crate::connections::Turn;
use crate::model::cause::Cause;
use crate::model::request::Span;

/// Says of a span in which a request waited where its goroutine did, if it was looked at meanwhile. Only where one
/// goroutine has read the request and answered it: that one is the request's.
pub(super) fn tell(evidence: &Evidence<'_>, turn: &Turn, span: &mut Span) {
    let waits = matches!(
        span.cause,
        Cause::Unexplained | Cause::Lock | Cause::Timer | Cause::Downstream
    );
    let goroutine = turn.read_task.id().filter(|_| turn.read_task == turn.sent_task);
    if let Some(goroutine) = goroutine.filter(|_| waits) {
        let from_ns = turn.arrival_ns.saturating_add(span.at_ns);
        let to_ns = from_ns.saturating_add(span.dur_ns);
        let found = evidence.go.waits_in(turn.pid, goroutine, from_ns, to_ns);
        span.detail.waits_in = found.cloned();
    }
}
