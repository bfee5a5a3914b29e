//! Figures in words: times, sizes, rates and shares as people read them, to three digits.
//!
//! It does not know which figures there are, nor where they stand on a line.

const NS_PER_SECOND: u64 = 1_000_000_000;

/// A time: `1.24 ms`.
pub(super) fn ns(ns: u64) -> String {
    scaled(ns, 1000.0, &["ns", "µs", "ms", "s"])
}

/// A size: `12.3 MiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
}

/// How long a run has lasted: `12.3 s`, `4 min 05 s`, `3 h 12 min`.
pub(super) fn elapsed(ns: u64) -> String {
    let seconds = ns / NS_PER_SECOND;
    match seconds {
        0..60 => format!("{}.{} s", seconds, ns % NS_PER_SECOND / (NS_PER_SECOND / 10)),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// So many in a time, each second: `1,180/s`. Nothing can be said over no time.
pub(super) fn rate(count: u64, over_ns: u64) -> String {
    if over_ns == 0 {
        return NOTHING.to_owned();
    }
    let rate = count as f64 * NS_PER_SECOND as f64 / over_ns as f64;
    let words = if rounds_to_a_whole(rate) {
        self::count(rate.round() as u64)
    } else {
        mean(rate)
    };
    format!("{words}/s")
}

/// A part of a whole: `77%`. What is there and rounds to nothing is `<1%`.
pub(super) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return NOTHING.to_owned();
    }
    let (part, whole) = (u128::from(part), u128::from(whole));
    match (part * 200 + whole) / (whole * 2) {
        0 if part > 0 => "<1%".to_owned(),
        percent => format!("{percent}%"),
    }
}

/// A part of a time that is small as a rule: `0.82%`.
pub(super) fn small_share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return NOTHING.to_owned();
    }
    format!("{}%", digits(part as f64 * 100.0 / whole as f64))
}

/// A count: `12,345`.
pub(super) fn count(count: u64) -> String {
    let plain = count.to_string();
    let mut grouped = String::with_capacity(plain.len() + plain.len() / 3);
    for (index, digit) in plain.chars().enumerate() {
        if index > 0 && (plain.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count of something: `1 request`, `12,345 requests`.
#[must_use]
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", self::count(count), if count == 1 { one } else { many })
}

/// A mean count: `0.02`.
pub(super) fn mean(mean: f64) -> String {
    if mean == 0.0 { "0".to_owned() } else { digits(mean) }
}

/// Stands where there is no figure.
pub(super) const NOTHING: &str = "-";

fn scaled(value: u64, step: f64, units: &[&str]) -> String {
    let mut scaled = value as f64;
    let mut unit = 0;
    // What would be rounded up to the next unit is written in the next unit.
    while unit + 1 < units.len() && scaled.round() >= step {
        scaled /= step;
        unit += 1;
    }
    if unit == 0 {
        format!("{value} {}", units[0])
    } else {
        format!("{} {}", digits(scaled), units[unit])
    }
}

/// Three digits, or all digits of a larger whole number.
fn digits(value: f64) -> String {
    if rounds_to_a_whole(value) {
        format!("{value:.0}")
    } else if value >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn rounds_to_a_whole(value: f64) -> bool {
    value >= 99.95
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_a_unit() {
        let times = [
            0,
            999,
            1_000,
            1_235,
            12_349,
            124_400,
            999_499,
            999_600,
            30_800_000,
            1_999_000_000,
        ];
        let words = times.map(ns);
        assert_eq!(
            words,
            [
                "0 ns", "999 ns", "1.00 µs", "1.24 µs", "12.3 µs", "124 µs", "999 µs", "1.00 ms", "30.8 ms",
                "2.00 s"
            ]
        );
        assert_eq!(ns(3_600_000_000_000), "3600 s");
    }

    #[test]
    fn sizes_are_in_powers_of_two() {
        let sizes = [0, 1023, 1024, 12_914_688, 1_073_741_823, 5 << 40, u64::MAX].map(bytes);
        assert_eq!(
            sizes[..6],
            ["0 B", "1023 B", "1.00 KiB", "12.3 MiB", "1.00 GiB", "5.00 TiB"]
        );
        assert_eq!(sizes[6], "16777216 TiB");
    }

    #[test]
    fn a_long_run_needs_no_fractions() {
        let runs = [
            0,
            950_000_000,
            12_340_000_000,
            245_000_000_000,
            11_520_000_000_000,
        ]
        .map(elapsed);
        assert_eq!(runs, ["0.0 s", "0.9 s", "12.3 s", "4 min 05 s", "3 h 12 min"]);
    }

    #[test]
    fn one_is_not_many() {
        let words = [0, 1, 1_200].map(|count| counted(count, "request", "requests"));
        assert_eq!(words, ["0 requests", "1 request", "1,200 requests"]);
    }

    #[test]
    fn rates_are_for_one_second() {
        assert_eq!(rate(1_180, NS_PER_SECOND), "1,180/s");
        assert_eq!(rate(5, 2 * NS_PER_SECOND), "2.50/s");
        assert_eq!((rate(0, 7), rate(5, 0)), ("0/s".to_owned(), "-".to_owned()));
    }

    #[test]
    fn a_share_that_is_there_is_never_nothing() {
        let shares = [
            (0, 10),
            (1, 1000),
            (1, 200),
            (77, 100),
            (999, 1000),
            (u64::MAX, u64::MAX),
            (0, 0),
        ];
        let words = shares.map(|(part, whole)| share(part, whole));
        assert_eq!(words, ["0%", "<1%", "1%", "77%", "100%", "100%", "-"]);
        assert_eq!(small_share(82, 10_000), "0.82%");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!([0.0, 0.02, 12.34].map(mean), ["0", "0.02", "12.3"]);
    }
}
