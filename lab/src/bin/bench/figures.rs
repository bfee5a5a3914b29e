//! Figures of many rounds: medians of ratios that were taken in pairs.

use std::time::Duration;

use anyhow::Result;
use lab::child::Child;

use super::load::Latency;
use super::proc;

/// One turn of one subject.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) spent: Spent,
    pub(super) latency: Latency,
    /// Resident memory of the subject at the end, bytes.
    pub(super) own_rss_bytes: u64,
}

/// What some requests took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent {
    pub(super) requests: u64,
    pub(super) duration: Duration,
    pub(super) cpu: Cpu,
}

/// CPU time of a server and of a subject.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cpu {
    server_ns: u64,
    own_ns: u64,
}

impl Cpu {
    /// What they take while something lasts, and what comes of it.
    pub(super) fn during<T>(
        server: u32,
        subject: Option<&Child>,
        load: impl FnOnce() -> Result<T>,
    ) -> Result<(Self, T)> {
        let own_ns = || subject.map_or(Ok(0), |child| proc::cpu_ns(child.pid()));
        let (own_before_ns, server_before_ns) = (own_ns()?, proc::cpu_ns(server)?);
        let loaded = load()?;
        let spent = Self {
            server_ns: proc::cpu_ns(server)?.saturating_sub(server_before_ns),
            own_ns: own_ns()?.saturating_sub(own_before_ns),
        };
        Ok((spent, loaded))
    }
}

impl Spent {
    /// CPU time of the server for one request, us.
    pub(super) fn cpu_us(&self) -> f64 {
        self.cpu.server_ns as f64 / 1000.0 / self.requests as f64
    }

    /// Requests per second.
    pub(super) fn rate(&self) -> f64 {
        self.requests as f64 / self.duration.as_secs_f64()
    }

    /// CPU time of the subject for one request, us.
    pub(super) fn own_us(&self) -> f64 {
        self.cpu.own_ns as f64 / 1000.0 / self.requests as f64
    }
}

/// The middle of the values, and the quartiles around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) low: f64,
    pub(super) median: f64,
    pub(super) high: f64,
}

impl Spread {
    /// Of values of which there is at least one.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let place = part * (values.len() - 1) as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Self {
            low: at(0.25),
            median: at(0.5),
            high: at(0.75),
        }
    }
}

/// Ratios of `figure`, round by round.
pub(super) fn ratios<T>(rounds: &[T], to: &[T], figure: impl Fn(&T) -> f64) -> Spread {
    Spread::of(
        rounds
            .iter()
            .zip(to)
            .map(|(one, other)| figure(one) / figure(other)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_values() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]);
        assert_eq!((spread.low, spread.median, spread.high), (1.75, 2.5, 3.25));
        assert_eq!(Spread::of([7.0]).median, 7.0);
    }
}
