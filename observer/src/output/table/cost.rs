//! What the observer itself costs.

use super::line::{Line, PLAIN, STRONG};
use crate::model::report::OwnCost;
use crate::output::words;

/// A line, where the cost was measured. `over_ns` is how long it was.
pub(super) fn line(cost: Option<OwnCost>, over_ns: u64) -> Option<Line> {
    let OwnCost {
        ebpf_ns,
        cpu_ns,
        rss_bytes,
        records,
        probes,
        samples,
        samples_lost,
        ticks_on_others,
        looks,
    } = cost?;
    let of_a_cpu = |ns| format!("{} of a CPU", words::small_share(ns, over_ns));
    let ebpf = ebpf_ns.map_or_else(|| "not known".to_owned(), of_a_cpu);
    let (rss, records) = (words::bytes(rss_bytes), words::rate(records, over_ns));
    let hit = probes.filter(|probes| probes.hits > 0);
    let probes = hit.map_or_else(String::new, |probes| {
        format!(", probes {}", of_a_cpu(probes.estimated_ns))
    });
    let mut text = format!(
        "{}, eBPF {ebpf}{probes}, RSS {rss}, records {records}",
        of_a_cpu(cpu_ns)
    );
    if let Some(samples) = samples {
        text.push_str(&format!(", samples {}", words::rate(samples, over_ns)));
    }
    if let Some(lost) = samples_lost.filter(|lost| *lost > 0) {
        text.push_str(&format!(" (lost {})", words::rate(lost, over_ns)));
    }
    if let Some(ticks) = ticks_on_others.filter(|ticks| *ticks > 0) {
        text.push_str(&format!(", ticks on others {}", words::rate(ticks, over_ns)));
    }
    if let Some(looks) = looks.filter(|looks| looks.count > 0) {
        let each = words::ns(looks.spent_ns / looks.count);
        text.push_str(&format!(
            ", looks {} of {each}",
            words::rate(looks.count, over_ns)
        ));
    }
    Some(Line::new().text(STRONG, "own cost ").text(PLAIN, &text))
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;
    use crate::model::report::{LookCost, ProbeCost};
    use crate::output::made_up;

    #[test]
    fn times_are_told_as_shares_of_a_cpu() {
        let text = plain(&[line(made_up::totals(1).cost, 1_000_000_000).unwrap()]);
        assert_eq!(
            text,
            "own cost 0.82% of a CPU, eBPF 0.31% of a CPU, RSS 14.2 MiB, records 12,300/s, samples 31.0/s\n"
        );
    }

    #[test]
    fn samples_that_were_lost_are_told() {
        let cost = OwnCost {
            samples: Some(190),
            samples_lost: Some(8),
            ticks_on_others: Some(20),
            ..OwnCost::default()
        };
        let text = plain(&[line(Some(cost), 1_000_000_000).unwrap()]);
        assert!(
            text.ends_with("samples 190/s (lost 8.00/s), ticks on others 20.0/s\n"),
            "{text}"
        );
        let text = plain(&[line(Some(OwnCost::default()), 1).unwrap()]);
        assert!(!text.contains("samples"), "none are taken: {text}");
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_not_known() {
        let cost = OwnCost {
            ebpf_ns: None,
            ..OwnCost::default()
        };
        assert!(plain(&[line(Some(cost), 1).unwrap()]).contains("eBPF not known"));
        assert!(line(None, 1).is_none(), "a replay costs nobody anything");
    }

    #[test]
    fn looks_at_goroutines_are_told_with_what_one_takes() {
        let cost = |count| OwnCost {
            looks: Some(LookCost {
                count,
                spent_ns: 12_000 * count,
                ..LookCost::default()
            }),
            ..OwnCost::default()
        };
        let told = |count| plain(&[line(Some(cost(count)), 1_000_000_000).unwrap()]);
        assert!(told(20).ends_with(", looks 20.0/s of 12.0 µs\n"), "{}", told(20));
        assert!(!told(0).contains("looks"));
    }

    #[test]
    fn probes_that_nobody_came_by_are_not_told() {
        let told = |hits| {
            let cost = OwnCost {
                probes: Some(ProbeCost {
                    hits,
                    estimated_ns: 1_000 * hits,
                }),
                ..OwnCost::default()
            };
            plain(&[line(Some(cost), 1_000_000_000).unwrap()]).contains("probes")
        };
        assert!(told(1) && !told(0));
    }
}
