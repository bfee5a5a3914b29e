//! How long each part of a request was, by the truth: a range, because clocks are read around things and not in
//! them.

use std::collections::{BTreeMap, BTreeSet};

use testbed::truth::{FaultKind, Sent, Served, Stretch};

use super::scenario::Injected;

/// A length between two bounds, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) least_ns: u64,
    pub(super) most_ns: u64,
}

impl Range {
    /// How far a length is from the range; 0 inside.
    pub(super) fn distance_ns(self, ns: u64) -> u64 {
        self.least_ns
            .saturating_sub(ns)
            .max(ns.saturating_sub(self.most_ns))
    }
}

/// All stretches of a run and whose they are, in the order of their beginnings.
pub(super) struct Stretches<'a> {
    stretches: Vec<(&'a Served, &'a Stretch)>,
    longest_ns: u64,
}

/// What is true of an injected part of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Truth {
    pub(super) length: Range,
    /// The tasks that were waited for. None where that is not known, and where there was none.
    pub(super) tasks: BTreeSet<u64>,
}

impl<'a> Stretches<'a> {
    pub(super) fn of(served: &'a [Served]) -> Self {
        let all = served
            .iter()
            .flat_map(|served| served.stretches().map(move |stretch| (served, stretch)));
        let mut stretches: Vec<_> = all.collect();
        stretches.sort_by_key(|(_, stretch)| stretch.from_ns);
        let lengths = stretches
            .iter()
            .map(|(_, stretch)| stretch.to_ns.saturating_sub(stretch.from_ns));
        Self {
            longest_ns: lengths.max().unwrap_or(0),
            stretches,
        }
    }

    /// How long the part of a request was, and for whom it waited in that.
    pub(super) fn part(&self, injected: &Injected, served: &Served, sent: &Sent) -> Truth {
        match injected {
            Injected::Own(kinds) => {
                let mut own = own(kinds, served);
                let locks =
                    |stretch: &&Stretch| stretch.kind == FaultKind::Lock && kinds.contains(&FaultKind::Lock);
                for wait in served.stretches().filter(locks) {
                    // It may have been overtaken: whoever slept with the lock in its hand meanwhile was waited for.
                    own.tasks.extend(blamed(&self.others(
                        &[FaultKind::Sleep],
                        served,
                        wait.from_ns,
                        wait.to_ns,
                    )));
                }
                own
            }
            Injected::OwnAndAround(kinds, at_most_ns) => {
                let before_ns = served.start_ns.saturating_sub(sent.times.send_ns);
                let after_ns = sent.times.answered_ns.saturating_sub(served.end_ns);
                let mut own = own(kinds, served);
                own.length.most_ns += (before_ns + after_ns).min(*at_most_ns);
                own
            }
            Injected::Behind(kinds, workers) => self.behind(kinds, *workers, served, sent),
            Injected::OwnAndBehind(kinds, others, workers) => {
                let mut own = own(kinds, served);
                let behind = self.behind(others, *workers, served, sent);
                let waits = served.stretches().filter(|stretch| kinds.contains(&stretch.kind));
                for wait in waits {
                    let others = self.others(others, served, wait.from_ns, wait.to_ns);
                    // While those had no CPU, it waited for one.
                    own.length.least_ns = own.length.least_ns.saturating_sub(slack_ns(&others));
                    own.tasks.extend(blamed(&others));
                }
                own.tasks.extend(behind.tasks);
                own.length.least_ns += behind.length.least_ns;
                own.length.most_ns += behind.length.most_ns;
                own
            }
            Injected::Withheld => Truth::length(sent.times.withheld_ns, sent.times.withheld_ns),
            Injected::Unaccepted => {
                let Range { least_ns, .. } = self.behind(&[FaultKind::NotAccepting], 1, served, sent).length;
                Truth::length(least_ns, served.start_ns.saturating_sub(sent.times.send_ns))
            }
            Injected::Answering(at_most_ns) => {
                let most_ns = sent.times.answered_ns.saturating_sub(served.end_ns);
                Truth::length(most_ns.saturating_sub(*at_most_ns), most_ns)
            }
            // After its pause the client may still read more slowly than the server can send.
            Injected::Unread => Truth::length(
                sent.times.unread_ns,
                sent.times.answered_ns.saturating_sub(served.end_ns),
            ),
        }
    }

    /// From the arrival to the handler's beginning, at least as long as so many stretches of others went on.
    fn behind(&self, kinds: &[FaultKind], workers: usize, served: &Served, sent: &Sent) -> Truth {
        let others = self.others(kinds, served, sent.times.send_ns, served.start_ns);
        let stretches: Vec<_> = others.iter().map(|(_, stretch)| *stretch).collect();
        // One worker is enough where it is the one that looks for what is ready, or has the task in its slot.
        let most_ns = at_once(&stretches, 1, sent.times.send_ns, served.start_ns);
        // The first byte arrived between the two: sooner is more, later is less.
        let least_ns = at_once(&stretches, workers, sent.times.sent_ns, served.start_ns)
            .saturating_sub(slack_ns(&others));
        Truth {
            length: Range {
                least_ns,
                most_ns: most_ns.min(stretches.iter().map(|stretch| stretch.most_ns).sum()),
            },
            tasks: blamed(&others),
        }
    }

    /// Stretches of others on the same runtime that were going on between two times.
    fn others(
        &self,
        kinds: &[FaultKind],
        served: &Served,
        from_ns: u64,
        to_ns: u64,
    ) -> Vec<(&'a Served, &'a Stretch)> {
        let before = |limit_ns| {
            self.stretches
                .partition_point(|(_, stretch)| stretch.from_ns < limit_ns)
        };
        let (first, end) = (before(from_ns.saturating_sub(self.longest_ns)), before(to_ns));
        let near = self.stretches.get(first..end).unwrap_or_default().iter();
        near.filter(|(other, stretch)| {
            other.id != served.id
                && other.runtime == served.runtime
                && kinds.contains(&stretch.kind)
                && stretch.to_ns > from_ns
        })
        .copied()
        .collect()
    }
}

impl Truth {
    fn length(least_ns: u64, most_ns: u64) -> Self {
        Self {
            length: Range { least_ns, most_ns },
            tasks: BTreeSet::new(),
        }
    }
}

/// The tasks that did something, and those that they waited for.
fn blamed(stretches: &[(&Served, &Stretch)]) -> BTreeSet<u64> {
    let tasks = stretches.iter().flat_map(|(by, stretch)| [by.task, stretch.task]);
    tasks.flatten().collect()
}

/// How long stretches were going on in which what they are was not done, at most.
fn slack_ns(stretches: &[(&Served, &Stretch)]) -> u64 {
    stretches
        .iter()
        .map(|(_, stretch)| {
            stretch
                .to_ns
                .saturating_sub(stretch.from_ns)
                .saturating_sub(stretch.least_ns)
        })
        .sum()
}

fn own(kinds: &[FaultKind], served: &Served) -> Truth {
    let mut sum = Truth::default();
    for stretch in served.stretches().filter(|stretch| kinds.contains(&stretch.kind)) {
        sum.length.least_ns += stretch.least_ns;
        sum.length.most_ns += stretch.most_ns;
        if stretch.kind.is_for_a_task() {
            sum.tasks.extend(stretch.task);
        }
    }
    sum
}

/// How long between two times at least `count` of the stretches went on.
fn at_once(stretches: &[&Stretch], count: usize, from_ns: u64, to_ns: u64) -> u64 {
    let mut changes: BTreeMap<u64, i64> = BTreeMap::new();
    for stretch in stretches {
        let (begin_ns, end_ns) = (stretch.from_ns.max(from_ns), stretch.to_ns.min(to_ns));
        if begin_ns < end_ns {
            *changes.entry(begin_ns).or_default() += 1;
            *changes.entry(end_ns).or_default() -= 1;
        }
    }
    let (mut total_ns, mut going_on, mut since_ns) = (0, 0, from_ns);
    for (at_ns, change) in changes {
        if usize::try_from(going_on).is_ok_and(|going_on| going_on >= count) {
            total_ns += at_ns - since_ns;
        }
        going_on += change;
        since_ns = at_ns;
    }
    total_ns
}

#[cfg(test)]
mod tests {
    use testbed::truth::Times;

    use super::super::truth::made_up;
    use super::*;

    fn stretch(kind: FaultKind, from_ns: u64, to_ns: u64, least_ns: u64) -> Stretch {
        Stretch {
            kind,
            from_ns,
            to_ns,
            least_ns,
            most_ns: to_ns - from_ns,
            task: None,
        }
    }

    fn sent(id: u64, send_ns: u64, sent_ns: u64) -> Sent {
        Sent {
            id,
            status: 200,
            times: Times {
                send_ns,
                sent_ns,
                answered_ns: 1000,
                ..Times::default()
            },
        }
    }

    fn range(least_ns: u64, most_ns: u64) -> Range {
        Range { least_ns, most_ns }
    }

    #[test]
    fn its_own_stretches_of_the_kinds_are_added_up() {
        let served = made_up(
            1,
            0,
            vec![
                stretch(FaultKind::Sleep, 0, 20, 15),
                stretch(FaultKind::Timer, 20, 30, 10),
                stretch(FaultKind::Cpu, 30, 90, 60),
            ],
        );
        assert_eq!(
            own(&[FaultKind::Sleep, FaultKind::Timer], &served).length,
            range(25, 30)
        );
    }

    #[test]
    fn the_time_around_the_handler_may_belong_to_a_part_too() {
        let served = made_up(1, 100, vec![stretch(FaultKind::OffCpu, 100, 120, 20)]);
        let part = Injected::OwnAndAround(&[FaultKind::OffCpu], 500);
        let all = std::slice::from_ref(&served);
        // The made-up handler ends at once, and the answer is there at 1000.
        assert_eq!(
            Stretches::of(all).part(&part, &served, &sent(1, 60, 70)).length,
            range(20, 20 + 500)
        );
    }

    #[test]
    fn a_victim_waits_from_its_arrival_until_the_other_is_done() {
        let all = [
            made_up(1, 90, vec![stretch(FaultKind::Sleep, 100, 200, 95)]),
            made_up(2, 210, vec![]),
        ];
        let behind = Injected::Behind(&[FaultKind::Sleep], 1);
        let of = |sent: &Sent| Stretches::of(&all).part(&behind, &all[1], sent).length;
        assert_eq!(of(&sent(2, 140, 150)), range(45, 60));
        assert_eq!(of(&sent(2, 40, 50)), range(95, 100));
        assert_eq!(of(&sent(2, 205, 206)), range(0, 0));
    }

    #[test]
    fn a_request_is_not_its_own_victim_and_other_kinds_do_not_count() {
        let all = [made_up(1, 500, vec![stretch(FaultKind::Sleep, 100, 200, 100)])];
        let part = |kinds| {
            Stretches::of(&all)
                .part(&Injected::Behind(kinds, 1), &all[0], &sent(1, 0, 0))
                .length
        };
        assert_eq!(part(&[FaultKind::Sleep]), range(0, 0));
        let other = made_up(2, 500, vec![]);
        let part = Stretches::of(&all)
            .part(&Injected::Behind(&[FaultKind::Lock], 1), &other, &sent(2, 0, 0))
            .length;
        assert_eq!(part, range(0, 0));
    }

    #[test]
    fn what_another_runtime_does_keeps_nobody() {
        let other = |runtime| {
            let mut other = made_up(1, 90, vec![stretch(FaultKind::Sleep, 100, 200, 100)]);
            other.runtime = Some(runtime);
            other
        };
        let victim = made_up(2, 210, vec![]);
        let behind = Injected::Behind(&[FaultKind::Sleep], 1);
        let of = |other| Stretches::of(&[other]).part(&behind, &victim, &sent(2, 100, 100));
        let length = range(100, 100);
        assert_eq!(of(other(1)).length, length);
        assert_eq!(of(other(1)).tasks, BTreeSet::from([1]));
        assert_eq!(of(other(2)), Truth::default());
    }

    #[test]
    fn a_task_that_was_woken_waits_for_those_that_ran_meanwhile() {
        let all = [
            made_up(0, 0, vec![stretch(FaultKind::Cpu, 100, 200, 100)]),
            made_up(2, 50, vec![stretch(FaultKind::TaskQueue, 150, 200, 50)]),
        ];
        let part = Injected::OwnAndBehind(&[FaultKind::TaskQueue], &[FaultKind::Cpu], 1);
        let truth = Stretches::of(&all).part(&part, &all[1], &sent(2, 40, 40));
        assert_eq!((truth.length, truth.tasks), (range(50, 50), BTreeSet::from([0])));
    }

    #[test]
    fn while_those_that_ran_meanwhile_had_no_cpu_it_did_not_wait_for_them() {
        let all = [
            made_up(0, 0, vec![stretch(FaultKind::Cpu, 100, 200, 70)]),
            made_up(2, 50, vec![stretch(FaultKind::TaskQueue, 150, 200, 50)]),
        ];
        let part = Injected::OwnAndBehind(&[FaultKind::TaskQueue], &[FaultKind::Cpu], 1);
        let truth = Stretches::of(&all).part(&part, &all[1], &sent(2, 40, 40));
        assert_eq!(truth.length, range(20, 50));
    }

    #[test]
    fn who_is_waited_for_is_blamed_and_who_does_it_for_the_request_is_not() {
        let by = |kind, task| Stretch {
            task: Some(task),
            ..stretch(kind, 0, 10, 10)
        };
        let served = made_up(1, 0, vec![by(FaultKind::ChannelQueue, 7), by(FaultKind::Cpu, 8)]);
        let tasks = own(&[FaultKind::ChannelQueue, FaultKind::Cpu], &served).tasks;
        assert_eq!(tasks, BTreeSet::from([7]));
    }

    #[test]
    fn two_workers_are_both_held_only_where_the_stretches_overlap() {
        let first = stretch(FaultKind::Sleep, 0, 100, 100);
        let second = stretch(FaultKind::Lock, 60, 150, 90);
        assert_eq!(at_once(&[&first, &second], 2, 0, 1000), 40);
        assert_eq!(at_once(&[&first, &second], 1, 0, 1000), 150);
        assert_eq!(at_once(&[&first, &second], 2, 80, 90), 10);
    }

    #[test]
    fn the_distance_to_a_range_is_none_inside() {
        assert_eq!(range(10, 20).distance_ns(15), 0);
        assert_eq!(range(10, 20).distance_ns(7), 3);
        assert_eq!(range(10, 20).distance_ns(24), 4);
    }
}
