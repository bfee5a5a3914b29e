//! What is told of what was found out about processes, and when.

use bytemuck::Zeroable as _;
use observer_common::{Receive, flags};

use super::*;
use crate::source::Batch;

const MS: u64 = 1_000_000;

/// A request that goroutine 41 of this process reads.
fn read(pid: Pid, at_ns: u64) -> Receive {
    let mut receive = Receive::zeroed();
    receive.header.at_ns = at_ns;
    (receive.tgid, receive.flags, receive.result) = (pid.0, flags::INBOUND, 1);
    (receive.conn, receive.task) = (at_ns, 41);
    receive
}

#[test]
fn looks_are_told_once_a_second_and_the_last_ones_where_the_process_or_the_run_ends() {
    let pid = Pid(std::process::id());
    for is_gone in [false, true] {
        let mut search = RuntimeSearch::new(std::iter::empty(), Full::default()).unwrap();
        let target = TargetRuntime {
            pid,
            looks: Some(go::Looks::in_vain(pid)),
            ..TargetRuntime::default()
        };
        search.targets.insert(pid, target);
        let mut merge = Merge::default();
        let mut told = |search: &mut RuntimeSearch, at_ms, ends: bool| {
            if ends {
                search.finish(at_ms * MS, &mut merge);
            } else {
                let looks = search.targets.get_mut(&pid).unwrap().looks.as_mut();
                looks.unwrap().look(at_ms * MS, &mut merge);
            }
            let mut batch = Batch::default();
            merge.release(u64::MAX, &mut batch);
            let skipped = batch.events().map(|event| match event {
                Ok(Event::GoLooks(looks)) => (looks.header.at_ns / MS, looks.skipped),
                other => panic!("{other:?}"),
            });
            skipped.collect::<Vec<_>>()
        };
        search.on_event(&Event::Receive(&read(pid, 1980 * MS), b"G"));
        assert_eq!(told(&mut search, 2000, false), [(2000, 1)]);
        search.on_event(&Event::Receive(&read(pid, 2080 * MS), b"G"));
        assert_eq!(told(&mut search, 2100, false), []);
        if is_gone {
            search.on_change(Change::Gone {
                pid,
                at_ns: 2200 * MS,
                is_root: true,
            });
        }
        assert_eq!(told(&mut search, 2300, true), [(2300, 2)], "{is_gone}");
    }
}
