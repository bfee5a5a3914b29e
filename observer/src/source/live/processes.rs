//! Every process of the machine, as procfs shows it, and who started whom.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::id::Pid;

/// A process that has not ended.
pub(super) struct Listed {
    pub(super) pid: Pid,
    pub(super) parent: Pid,
    pub(super) comm: String,
    /// When it was started, in clock ticks since the machine was.
    pub(super) started_ticks: u64,
}

/// All of them, by number.
pub(super) fn all() -> BTreeMap<Pid, Listed> {
    let all = procfs::process::all_processes().into_iter().flatten();
    all.filter_map(|process| {
        let stat = process.ok()?.stat().ok()?;
        let pid = Pid(u32::try_from(stat.pid).ok()?);
        let listed = Listed {
            pid,
            parent: u32::try_from(stat.ppid).map_or(Pid::NONE, Pid),
            comm: stat.comm,
            started_ticks: stat.starttime,
        };
        // A zombie holds nothing any more.
        (stat.state != 'Z' && stat.state != 'X').then_some((pid, listed))
    })
    .collect()
}

/// Those that process `pid` started, and those started by these: parents before their children.
pub(super) fn started_by(pid: Pid, all: &BTreeMap<Pid, Listed>) -> Vec<Pid> {
    let mut started = Vec::new();
    // Numbers are reused while this reads: a circle is possible.
    let mut seen = BTreeSet::from([pid]);
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for child in all.values().filter(|other| other.parent == parent) {
            if seen.insert(child.pid) {
                started.push(child.pid);
                parents.push(child.pid);
            }
        }
    }
    started
}

/// Who started process `pid`, and who started that one, and so on.
pub(super) fn ancestors(pid: Pid, all: &BTreeMap<Pid, Listed>) -> BTreeSet<Pid> {
    let mut ancestors = BTreeSet::new();
    let mut at = pid;
    while let Some(parent) = all.get(&at).map(|other| other.parent)
        && ancestors.insert(parent)
    {
        at = parent;
    }
    ancestors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(parents: &[(u32, u32)]) -> BTreeMap<Pid, Listed> {
        let listed = |&(pid, parent)| {
            let (pid, parent) = (Pid(pid), Pid(parent));
            let listed = Listed {
                pid,
                parent,
                comm: String::new(),
                started_ticks: 0,
            };
            (pid, listed)
        };
        parents.iter().map(listed).collect()
    }

    #[test]
    fn descendants_come_after_their_parents_and_a_circle_ends() {
        let all = table(&[(7, 1), (8, 7), (9, 8), (10, 7), (11, 12), (12, 11)]);
        let started = started_by(Pid(7), &all);
        assert_eq!(
            started.iter().collect::<BTreeSet<_>>(),
            [Pid(8), Pid(9), Pid(10)].iter().collect()
        );
        let place = |pid| started.iter().position(|started| *started == Pid(pid));
        assert!(place(8) < place(9));
        assert_eq!(started_by(Pid(11), &all), [Pid(12)]);
        assert_eq!(ancestors(Pid(9), &all), BTreeSet::from([1, 7, 8].map(Pid)));
        assert_eq!(ancestors(Pid(11), &all), BTreeSet::from([11, 12].map(Pid)));
    }
}
