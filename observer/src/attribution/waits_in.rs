//! Where in its code the goroutine of a request was seen waiting. It says what for; a cause is only a mutex.

use super::Evidence;
use crate::connections::Turn;
use crate::model::cause::Cause;
use crate::model::request::{Span, WaitsIn};

/// Where the goroutine of a request waited in this time, if it was looked at meanwhile. Only where one goroutine has
/// read the request and answered it: that one is the request's. And only of causes for which it waits itself.
pub(super) fn of<'a>(
    evidence: &Evidence<'a>,
    turn: &Turn,
    cause: Cause,
    from_ns: u64,
    to_ns: u64,
) -> Option<&'a WaitsIn> {
    let waits_itself = matches!(
        cause,
        Cause::Unexplained | Cause::Lock | Cause::Timer | Cause::Downstream
    );
    let is_one = turn.read_task == turn.sent_task;
    let goroutine = turn.read_task.id().filter(|_| waits_itself && is_one)?;
    evidence.go.waits_in(turn.pid, goroutine, from_ns, to_ns)
}

/// Says of a span in which a request waited where its goroutine did.
pub(super) fn tell(evidence: &Evidence<'_>, turn: &Turn, span: &mut Span) {
    let from_ns = turn.arrival_ns.saturating_add(span.at_ns);
    let found = of(
        evidence,
        turn,
        span.cause,
        from_ns,
        from_ns.saturating_add(span.dur_ns),
    );
    span.detail.waits_in = found.cloned();
}
