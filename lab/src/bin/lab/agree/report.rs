//! What was found, as a table for people and as JSON for programs, and whether it agrees.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// So much apart is as good as nothing: this part of the client's figure, or at least this long.
const PART: u64 = 5;
const LEAST_NS: u64 = 1_000_000;
/// Where only the ticks of the kernel's clock tell when the last byte left.
const TICK_NS: u64 = 5_000_000;

/// The figures of one load.
pub(super) struct Agreement {
    pub(super) server: &'static str,
    pub(super) size: &'static str,
    pub(super) connections: u16,
    /// Requests of the client.
    pub(super) requests: usize,
    /// Those of them that observer did not tell.
    pub(super) missing: usize,
    /// Medians.
    pub(super) client_ns: u64,
    pub(super) observer_ns: u64,
    pub(super) held_ns: u64,
    /// The end of most requests is known to a tick only.
    pub(super) to_a_tick: bool,
}

impl Agreement {
    fn agrees(&self) -> bool {
        let least_ns = if self.to_a_tick { TICK_NS } else { LEAST_NS };
        self.missing == 0
            && self.client_ns.abs_diff(self.observer_ns) <= (self.client_ns / PART).max(least_ns)
    }

    /// Where they do not agree, in words.
    pub(super) fn apart(&self) -> Option<String> {
        (!self.agrees()).then(|| self.line())
    }

    /// A row of the table.
    pub(super) fn line(&self) -> String {
        let ms = |ns: u64| format!("{:.2}", ns as f64 / 1e6);
        format!(
            "{:<13} {:>6} {:>11} {:>8} {:>7} {:>9} {:>11} {:>9}  {}",
            self.server,
            self.size,
            self.connections,
            self.requests,
            self.missing,
            ms(self.client_ns),
            ms(self.observer_ns),
            ms(self.held_ns),
            if self.agrees() { "yes" } else { "NO" }
        )
    }
}

pub(super) fn text(results: &[Agreement]) -> String {
    let mut text = format!(
        "\n{:<13} {:>6} {:>11} {:>8} {:>7} {:>9} {:>11} {:>9}  agree\n",
        "server", "size", "connections", "requests", "missing", "client ms", "observer ms", "held ms"
    );
    for result in results {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", result.line());
    }
    text + "\nMedians of all requests. held: of these, what TCP held after the last send.\n"
}

pub(super) fn json(results: &[Agreement]) -> Value {
    let row = |result: &Agreement| {
        json!({
            "server": result.server,
            "size": result.size,
            "connections": result.connections,
            "requests": result.requests,
            "missing": result.missing,
            "client_p50_ns": result.client_ns,
            "observer_p50_ns": result.observer_ns,
            "held_back_p50_ns": result.held_ns,
            "to_a_tick": result.to_a_tick,
            "agree": result.agrees(),
        })
    };
    json!({"agree": results.iter().map(row).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(client_ns: u64, observer_ns: u64, to_a_tick: bool) -> Agreement {
        Agreement {
            server: "s",
            size: "small",
            connections: 1,
            requests: 1,
            missing: 0,
            client_ns,
            observer_ns,
            held_ns: 0,
            to_a_tick,
        }
    }

    #[test]
    fn a_millisecond_or_a_fifth_apart_agrees_and_more_does_not() {
        assert!(of(1_500_000, 500_000, false).agrees());
        assert!(of(40_000_000, 32_000_000, false).agrees());
        assert!(!of(40_000_000, 31_000_000, false).agrees());
        assert!(!of(4_000_000, 300_000, false).agrees());
        assert!(of(4_000_000, 300_000, true).agrees());
        let missing = Agreement {
            missing: 1,
            ..of(1, 1, false)
        };
        assert!(missing.apart().is_some());
    }
}
