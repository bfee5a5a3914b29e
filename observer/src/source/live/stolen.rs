//! Whether this machine tells what a hypervisor takes of its CPUs.
//!
//! What does so is no hook but a field that the kernel keeps up to date; in the table of signals it stands beside them.

use std::fs;

use observer_common::Offsets;

use super::signals::Outcome;

/// Name of the signal.
const SIGNAL: &str = "stolen";

const FIELD: &str = "field:rq.prev_steal_time_rq";

/// What became of the signal on a kernel with these fields.
pub(super) fn outcome(offsets: &Offsets) -> Outcome {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let statistics = fs::read_to_string("/proc/stat").unwrap_or_default();
    judge(
        offsets.rq_stolen != Offsets::ABSENT,
        is_virtual(&cpu),
        stolen_ticks(&statistics),
    )
}

fn judge(is_accounted: bool, is_virtual: bool, stolen_ticks: Option<u64>) -> Outcome {
    let (hook, note, refused) = if is_accounted {
        let tells_none = is_virtual && stolen_ticks == Some(0);
        let note = "the hypervisor has told of none since the start: it may not tell, and what it takes counts as running";
        (Some(FIELD.to_owned()), tells_none.then_some(note), Vec::new())
    } else {
        let why = "this kernel does not have it (CONFIG_PARAVIRT_TIME_ACCOUNTING, CONFIG_FAIR_GROUP_SCHED)";
        let note = is_virtual.then_some("not accounted: what a hypervisor takes counts as running");
        (None, note, vec![(FIELD.to_owned(), why.to_owned())])
    };
    Outcome {
        signal: SIGNAL,
        hook,
        note,
        refused,
        usable: true,
        option: None,
    }
}

/// Whether these CPUs say that there is a hypervisor.
fn is_virtual(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor"))
}

/// What was taken of all CPUs since the machine began, ticks.
fn stolen_ticks(stat: &str) -> Option<u64> {
    let all = stat.lines().find(|line| line.starts_with("cpu "))?;
    all.split_whitespace().nth(8)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_there_can_be_theft_is_its_absence_worth_a_note() {
        let note = |is_accounted, is_virtual, ticks| judge(is_accounted, is_virtual, ticks).note;
        assert_eq!(note(true, true, Some(7)), None);
        assert_eq!(note(true, false, Some(0)), None);
        assert_eq!(note(false, false, Some(0)), None);
        assert!(note(true, true, Some(0)).is_some());
        assert!(note(false, true, Some(7)).is_some());
    }

    #[test]
    fn what_procfs_says_is_found() {
        let cpuinfo = "processor\t: 0\nflags\t\t: fpu vme hypervisor lahf_lm\n";
        assert!(is_virtual(cpuinfo));
        assert!(!is_virtual("flags\t\t: fpu vme hypervisors\n"));
        assert_eq!(
            stolen_ticks("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 0 0 0 0 0 0 0 5 0 0\n"),
            Some(8)
        );
        assert_eq!(stolen_ticks(""), None);
    }
}
