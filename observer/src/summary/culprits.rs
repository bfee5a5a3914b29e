//! What the longest waits of requests waited for.
//!
//! Each different thing waited for gets a small number ([`numbered`]), so that the sums by latency bucket stay small
//! ([`waits`]). Both the numbers and the sums of a bucket are bounded; what finds no room is counted and not listed,
//! and nothing is listed for another.

mod numbered;
mod waits;

pub(super) use numbered::Culprits;
pub(super) use waits::{BandWaits, Waits};

#[cfg(test)]
mod tests {
    use super::numbered::MAX_TOLD_APART;
    use super::waits::MAX_IN_BUCKET;
    use super::*;
    use crate::model::cause::Cause;
    use crate::model::full::{Full, Table};
    use crate::model::id::{Pid, Tid};
    use crate::model::report::WaitedFor;
    use crate::model::request::{Culprit, Detail, LongestWait};

    fn behind(comm: &str, dur_ns: u64) -> LongestWait {
        LongestWait {
            cause: Cause::RunQueue,
            dur_ns,
            detail: Detail::default(),
            culprit: Some(Culprit {
                pid: Pid(7),
                tid: Tid(7),
                comm: Some(comm.into()),
                task: None,
                request: None,
                role: None,
                syscall: None,
                object: None,
                function: None,
                answer: None,
            }),
            function_seen_ns: 0,
            behind_pool: false,
        }
    }

    fn listed(known: &Culprits, waits: &Waits) -> Vec<WaitedFor> {
        let mut band = BandWaits::default();
        band.add(0, waits, 1, 1);
        band.listed(&[known], 1).0
    }

    #[test]
    fn the_culprit_of_most_time_comes_first() {
        let (mut known, mut waits) = (Culprits::default(), Waits::default());
        for (comm, ns) in [("cron", 100), ("hog", 900), ("hog", 1_100), ("cron", 300)] {
            let number = known.number(&behind(comm, ns), &Full::default()).unwrap();
            waits.record(number, ns, &Full::default());
        }
        let listed = listed(&known, &waits);
        let found: Vec<_> = listed
            .iter()
            .map(|wait| (wait.comm.as_deref().unwrap(), wait.requests, wait.mean_ns))
            .collect();
        assert_eq!(found, [("hog", 2, 1_000), ("cron", 2, 200)]);
    }

    #[test]
    fn a_culprit_has_the_function_that_it_was_seen_running_most() {
        let (mut known, mut waits) = (Culprits::default(), Waits::default());
        for (function, seen_ns) in [
            (None, 0),
            (Some("app::write"), 2),
            (Some("app::sort"), 5),
            (Some("app::write"), 2),
            (None, 0),
        ] {
            let mut wait = behind("server", 100);
            wait.culprit.as_mut().unwrap().function = function.map(Into::into);
            wait.function_seen_ns = seen_ns;
            waits.record(
                known.number(&wait, &Full::default()).unwrap(),
                100,
                &Full::default(),
            );
        }
        let listed = listed(&known, &waits);
        assert_eq!(listed.len(), 1, "it is one culprit, whatever it did");
        assert_eq!(
            (listed[0].requests, listed[0].function.as_deref()),
            (5, Some("app::sort"))
        );
    }

    #[test]
    fn what_two_targets_waited_for_is_one_thing_with_the_function_of_both() {
        let mut known = [Culprits::default(), Culprits::default()];
        let mut together = BandWaits::default();
        // The second one knows something else first, so its numbers are others.
        known[1].number(&behind("cron", 1), &Full::default());
        for (source, function, seen_ns) in [(0, "app::sort", 5), (1, "app::write", 3), (1, "app::sort", 1)] {
            let mut wait = behind("hog", 100);
            wait.culprit.as_mut().unwrap().function = Some(function.into());
            wait.function_seen_ns = seen_ns;
            let mut waits = Waits::default();
            waits.record(
                known[source].number(&wait, &Full::default()).unwrap(),
                100,
                &Full::default(),
            );
            together.add(source, &waits, 1, 1);
        }
        let listed = together.listed(&[&known[0], &known[1]], 1).0;
        assert_eq!(listed.len(), 1, "{listed:?}");
        assert_eq!(
            (
                listed[0].requests,
                listed[0].mean_ns,
                listed[0].function.as_deref()
            ),
            (3, 100, Some("app::sort"))
        );
    }

    #[test]
    fn of_many_targets_together_nothing_is_left_out_however_much_each_waited_for() {
        let full = Full::default();
        let mut known: Vec<Culprits> = (0..3).map(|_| Culprits::default()).collect();
        let mut together = BandWaits::default();
        for (source, known) in known.iter_mut().enumerate() {
            for n in 0..MAX_TOLD_APART {
                // The last of the last one is what was waited for longest.
                let mut bucket = Waits::default();
                let number = known.number(&behind(&format!("{source} {n}"), 1), &full).unwrap();
                bucket.record(number, (source * MAX_TOLD_APART + n) as u64, &full);
                together.add(source, &bucket, 1, 1);
            }
        }
        let (listed, others_ns) = together.listed(&known.iter().collect::<Vec<_>>(), 1);
        let all_ns: u64 = (0..3 * MAX_TOLD_APART as u64).sum();
        let listed_ns: u64 = listed.iter().map(|wait| wait.requests * wait.mean_ns).sum();
        assert_eq!(others_ns.get(Cause::RunQueue), all_ns - listed_ns);
        assert_eq!(listed[0].comm.as_deref(), Some("2 1023"));
        assert_eq!(full, Full::default());
    }

    #[test]
    fn strangers_cannot_make_it_grow() {
        let (mut known, mut waits) = (Culprits::default(), Waits::default());
        let full = Full::default();
        for n in 0..5_000 {
            if let Some(number) = known.number(&behind(&n.to_string(), 1), &full) {
                waits.record(number, 1, &full);
            }
        }
        let not_listed = 5_000 - MAX_IN_BUCKET as u64;
        assert_eq!(
            full.take().counts().collect::<Vec<_>>(),
            [(Table::Culprits, not_listed)]
        );
        let mut run = Waits::default();
        run.add(&waits, Some, &full);
        assert_eq!(full, Full::default());
        let mut another = Waits::default();
        (0..3).for_each(|_| another.record(MAX_IN_BUCKET as u16, 1, &full));
        run.add(&another, Some, &full);
        assert_eq!(full.counts().collect::<Vec<_>>(), [(Table::Culprits, 3)]);
        assert_eq!(listed(&known, &waits).len(), 5);
    }
}
