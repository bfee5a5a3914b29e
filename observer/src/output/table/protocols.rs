//! What the figures are of, where that is not HTTP/1, and the turns of other protocols, which are not among them.

use super::line::{FAINT, Line, PLAIN, STRONG};
use crate::model::protocol::Protocol;
use crate::model::report::{ProcessFigures, ProtocolTotals};
use crate::output::words;

/// A line for the leading protocol, if a turn of it is no request, and one for each other.
pub(super) fn lines(run: &ProcessFigures) -> Vec<Line> {
    let leading = run.protocol.filter(|protocol| *protocol != Protocol::Http1);
    let leading = leading.map(|protocol| {
        Line::new()
            .text(STRONG, "protocol ")
            .text(PLAIN, protocol.name())
            .text(FAINT, &format!("  {}", remark(protocol)))
    });
    leading
        .into_iter()
        .chain(run.other_protocols.iter().map(beside))
        .collect()
}

fn beside(totals: &ProtocolTotals) -> Line {
    let ProtocolTotals {
        protocol,
        turns,
        unanswered,
        p50_ns,
        p99_ns,
    } = *totals;
    let of_one = if turns == 1 { "turn" } else { "turns" };
    let mut text = format!("{} {} {of_one}", words::count(turns), protocol.name());
    for (name, time) in [("p50", p50_ns), ("p99", p99_ns)] {
        if let Some(ns) = time {
            text.push_str(&format!(", {name} {}", words::ns(ns)));
        }
    }
    if unanswered > 0 {
        text.push_str(&format!(", {} more not answered", words::count(unanswered)));
    }
    Line::new()
        .text(STRONG, "beside   ")
        .text(PLAIN, &text)
        .text(FAINT, &format!("  {}", remark(protocol)))
}

/// What a turn is.
const fn remark(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http1 => "a turn is a request",
        Protocol::Http2 => "requests share a connection: a turn is none of them",
        Protocol::Tls => "a turn may be a part of a handshake",
        Protocol::Other => "not HTTP: a turn is bytes in, then bytes out",
    }
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;
    use crate::output::made_up;

    #[test]
    fn turns_of_other_protocols_stand_beside_the_requests() {
        assert_eq!(
            plain(&lines(&made_up::figures(1))),
            "beside   4,983 http/2 turns, p50 210 µs, p99 9.80 ms  \
             requests share a connection: a turn is none of them\n"
        );
    }

    #[test]
    fn one_turn_is_one() {
        let mut run = made_up::figures(1);
        run.other_protocols[0].turns = 1;
        let text = plain(&lines(&run));
        assert!(text.starts_with("beside   1 http/2 turn, p50"), "{text}");
    }

    #[test]
    fn figures_that_are_not_of_requests_say_so() {
        let mut run = made_up::figures(1);
        (run.protocol, run.other_protocols) = (Some(Protocol::Tls), Vec::new());
        assert_eq!(
            plain(&lines(&run)),
            "protocol tls  a turn may be a part of a handshake\n"
        );
    }

    #[test]
    fn with_http_1_alone_nothing_is_to_be_said() {
        let mut run = made_up::figures(1);
        run.other_protocols.clear();
        assert_eq!(lines(&run).len(), 0);
        assert_eq!(lines(&ProcessFigures::default()).len(), 0);
    }
}
