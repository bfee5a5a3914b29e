//! What becomes of the figures of processes that ended, and of their places.

use super::*;
use crate::model::full::Table;

#[test]
fn targets_that_ended_make_room_for_those_that_come_and_stay_in_the_totals() {
    let mut summary = Summary::default();
    for pid in 1..=200 {
        summary.target(Pid(pid), Some("server"));
        let waited = figures(pid, Protocol::Http1, Cause::RunQueue, 1_000);
        for path in ["/slow", "/other"] {
            summary.request(&waited, Some(path), Some(&behind_hog()));
        }
        summary.ended(Pid(pid));
        let window = summary.close_window(0, 1);
        // Of the one that is there now everything is its own.
        let now = window.totals.targets.iter().find(|target| target.pid == Pid(pid));
        assert_eq!(
            now.map(|now| (now.processes, now.figures.requests)),
            Some((1, 2)),
            "{pid}"
        );
        assert_eq!(window.totals.figures.requests, 2);
    }
    let totals = summary.end(0, 1).totals;
    assert_eq!((totals.targets.len(), totals.figures.requests), (64, 400));
    assert_eq!(totals.targets_other, 400 - 2 * 64);
    let paths: Vec<_> = totals.figures.paths.iter().map(|path| path.requests).collect();
    assert_eq!(paths, [200, 200]);
    let band = &totals.figures.at.as_ref().unwrap().p50;
    let [hog] = &band.waited_for[..] else {
        panic!("{:?}", band.waited_for)
    };
    assert_eq!((hog.comm.as_deref(), hog.requests), (Some("hog"), band.requests));
    assert_eq!(totals.full, []);
}

#[test]
fn a_process_with_the_number_of_one_that_ended_has_none_of_its_figures() {
    let mut summary = Summary::default();
    for requests in [3, 2] {
        summary.target(Pid(7), Some("server"));
        summary.memory(Pid(7), 1_000 * requests, 10, 0);
        summary.goroutines(Pid(7), requests, 0);
        slow(&mut summary, 7, requests, 1_000);
        summary.ended(Pid(7));
        summary.close_window(0, 1);
    }
    let totals = summary.end(0, 1).totals;
    let requests: Vec<_> = totals
        .targets
        .iter()
        .map(|target| target.figures.requests)
        .collect();
    assert_eq!(requests, [3, 2]);
    let memory: Vec<_> = totals
        .figures
        .memory
        .iter()
        .map(|memory| memory.rss_max_bytes)
        .collect();
    assert_eq!(memory, [2_000]);
    assert_eq!(totals.goroutines[0].count_max, 2);
    // What the first one had made room.
    assert_eq!(totals.full, [("processes", 1), ("memory", 1)]);
}

#[test]
fn of_many_children_that_came_and_went_nothing_is_forgotten_that_could_be_asked_for() {
    let mut summary = watching(&[7]);
    for pid in 1_000..100_000 {
        summary.forked(Pid(7), Pid(pid));
        // Some are there for long enough to be looked at.
        if pid % 2 == 0 {
            summary.memory(Pid(pid), 1_000, 10, 0);
        }
        summary.ended(Pid(pid));
        if pid % 1_000 == 0 {
            summary.close_window(0, 1);
        }
    }
    let full = summary.end(0, 1).totals.full;
    assert!(
        full.iter().all(|(table, _)| *table == Table::Memory.name()),
        "{full:?}"
    );
}
