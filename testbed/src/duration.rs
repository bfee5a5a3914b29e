//! Durations on the command line: numbers with units.

use std::time::Duration;

/// Parses `500ms`, `10s`, `1m30s` or `1.5h`, and no number alone, unlike observer: tests say what they mean. At most a
/// day: these programs always end.
pub fn parse(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() && duration.as_secs() <= 86_400 => Ok(duration),
        _ => Err(format!(
            "`{text}` is not a time such as 500ms, 10s or 1m30s, of a day at most"
        )),
    }
}
