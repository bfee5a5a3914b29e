//! Time inside observer's eBPF programs, as the kernel measures it.
//!
//! The kernel measures only while somebody asks, and then reads its clock twice for each run of a program: about
//! 60 ns, as much as a program itself takes. So it is asked for a sample, from one drain of the rings to the next,
//! once a second, and the sample stands for its second. The clock readings are in the figure: it is an upper bound.

use std::os::fd::OwnedFd;

use aya::Ebpf;
use aya::sys::{Stats, enable_stats};

/// The samples since they were last asked for.
#[derive(Debug, Default)]
pub(super) struct ProgramTime {
    sample: Option<TimeSample>,
    sampled_ns: u64,
    ran_ns: u64,
}

/// A sample that is being taken.
#[derive(Debug)]
struct TimeSample {
    since_ns: u64,
    ran_before_ns: u64,
    /// The kernel measures while this is open.
    _asked: OwnedFd,
}

impl ProgramTime {
    /// Begins a sample. Where the kernel does not allow it (it takes CAP_SYS_ADMIN), there is none.
    pub(super) fn begin(&mut self, ebpf: &Ebpf, now_ns: u64) {
        self.sample = enable_stats(Stats::RunTime).ok().and_then(|asked| {
            Some(TimeSample {
                since_ns: now_ns,
                ran_before_ns: ran_ns(ebpf)?,
                _asked: asked,
            })
        });
    }

    /// Ends the sample that was begun.
    pub(super) fn end(&mut self, ebpf: &Ebpf, now_ns: u64) {
        if let Some(sample) = self.sample.take()
            && let Some(ran_ns) = ran_ns(ebpf)
        {
            self.sampled_ns += now_ns.saturating_sub(sample.since_ns);
            self.ran_ns += ran_ns.saturating_sub(sample.ran_before_ns);
        }
    }

    /// What the samples say of an interval of `over_ns`, ns; then they are forgotten.
    pub(super) fn take(&mut self, over_ns: u64) -> Option<u64> {
        let (sampled_ns, ran_ns) = (self.sampled_ns, self.ran_ns);
        (self.sampled_ns, self.ran_ns) = (0, 0);
        let scaled = u128::from(ran_ns) * u128::from(over_ns);
        u64::try_from(scaled.checked_div(sampled_ns.into())?).ok()
    }
}

/// Time in all attached programs while it was measured, since they were loaded, ns. Not known where aya did not
/// load them.
fn ran_ns(ebpf: &Ebpf) -> Option<u64> {
    let loaded = ebpf.programs().filter(|(_, program)| program.fd().is_ok());
    let times: Vec<u64> = loaded
        .map(|(_, program)| u64::try_from(program.info().ok()?.run_time().as_nanos()).ok())
        .collect::<Option<_>>()?;
    (!times.is_empty()).then(|| times.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_stands_for_the_whole_interval_and_without_one_nothing_is_known() {
        let mut time = ProgramTime {
            sampled_ns: 20,
            ran_ns: 3,
            ..ProgramTime::default()
        };
        assert_eq!(time.take(1000), Some(150));
        assert_eq!(time.take(1000), None);
    }
}
