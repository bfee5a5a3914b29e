//! Durations on the command line, written as `observer` itself reads them.

use std::time::Duration;

/// Parses `500ms`, `10s`, `5m` or `1h`; a bare number is seconds. At most a day: these programs always end.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let milliseconds = number.parse().ok().and_then(|n: u64| n.checked_mul(unit_ms));
    match milliseconds {
        Some(milliseconds @ 1..=86_400_000) => Ok(Duration::from_millis(milliseconds)),
        _ => Err(format!(
            "`{text}` is not a time such as 500ms, 10s or 5m, of a day at most"
        )),
    }
}
