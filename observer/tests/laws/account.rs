//! Switches that make no event, which the kernel's account of the thread tells of later.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bytemuck::{Zeroable as _, bytes_of};
use observer::event::Event;
use observer::model::cause::Cause;
use observer_common::{Header, Kind, OnCpuSince, SwitchIn, SwitchOut, Waking, flags};
use proptest::prelude::*;
use syscalls::Sysno;

use super::check::Law;
use super::evidence::Truth;
use super::machine;
use super::run::explain;
use super::script::{A, PID, Script, TASK_A, charged_us, header};
use super::stream::Stream;
use super::{STEPS, cases};

/// What the account of a thread says, as far as the stream shows it.
#[derive(Default)]
struct Account {
    /// How long it waited for CPUs so far, ns.
    queued_ns: u64,
    /// Since when it waits for one, ns.
    ready_ns: Option<u64>,
    /// Since when it could have run unseen, and since when it has the CPU that it was not seen to get, ns.
    unseen: Option<(u64, u64)>,
}

/// A stream in which switches make no event.
#[derive(Default)]
struct Told {
    stream: Stream,
    /// How long CPU quotas have kept threads waiting so far, ns.
    throttled_ns: u64,
    /// From when until when each of them was not known, ns.
    unknown: Vec<Range<u64>>,
}

impl Stream {
    /// The same stream without one in so many switches to a thread, and without what woke it. When the thread next
    /// leaves its CPU, sends or is sampled, a record has what the account says of it.
    fn with_unseen_switches(&self, every: usize) -> Told {
        let unseen = self.unseen(every);
        let mut accounts: BTreeMap<u32, Account> = BTreeMap::new();
        let mut told = Told::default();
        for (place, (event, entry)) in self.events().zip(&self.0).enumerate() {
            let mut bytes = entry.bytes().to_vec();
            match event {
                Event::Waking(waking) => {
                    told.throttled_ns = waking.throttled_ns;
                    accounts.entry(waking.header.tid).or_default().ready_ns = Some(waking.header.at_ns);
                }
                Event::SwitchIn(switch) => {
                    told.throttled_ns = switch.throttled_ns;
                    let account = accounts.entry(switch.header.tid).or_default();
                    let at_ns = switch.header.at_ns;
                    let ready_ns = account.ready_ns.take().unwrap_or(at_ns);
                    account.queued_ns += at_ns.saturating_sub(ready_ns);
                    account.unseen = unseen.contains(&place).then_some((ready_ns, at_ns));
                }
                Event::SwitchOut(switch) => {
                    told.throttled_ns = switch.throttled_ns;
                    let account = accounts.entry(switch.header.tid).or_default();
                    told.tell(account, &switch.header, switch.tgid);
                    let preempted = switch.flags & flags::PREEMPTED != 0;
                    account.ready_ns = preempted.then_some(switch.header.at_ns);
                    let accounted = SwitchOut {
                        queued_ns: account.queued_ns,
                        ..*switch
                    };
                    bytes = bytes_of(&accounted).to_vec();
                }
                Event::Send(send, _) => {
                    let account = accounts.entry(send.header.tid).or_default();
                    told.tell(account, &send.header, send.tgid);
                }
                Event::Seen(seen) => {
                    let account = accounts.entry(seen.header.tid).or_default();
                    told.tell(account, &seen.header, seen.tgid);
                }
                _ => {}
            }
            if !unseen.contains(&place) {
                told.stream.push(&bytes);
            }
        }
        let never = accounts.values().filter_map(|account| account.unseen);
        told.unknown.extend(never.map(|(ready_ns, _)| ready_ns..u64::MAX));
        told
    }

    /// The places of those switches, and of what woke their threads.
    fn unseen(&self, every: usize) -> BTreeSet<usize> {
        let mut wakings: BTreeMap<u32, usize> = BTreeMap::new();
        let mut unseen = BTreeSet::new();
        let mut switches = 0;
        for (place, event) in self.events().enumerate() {
            match event {
                Event::Waking(waking) => {
                    wakings.insert(waking.header.tid, place);
                }
                Event::SwitchIn(switch) => {
                    switches += 1;
                    let waking = wakings.remove(&switch.header.tid);
                    if switches % every == 0 {
                        unseen.extend(waking);
                        unseen.insert(place);
                    }
                }
                _ => {}
            }
        }
        unseen
    }
}

impl Told {
    fn tell(&mut self, account: &mut Account, by: &Header, tgid: u32) {
        if let Some((ready_ns, since_ns)) = account.unseen.take() {
            self.unknown.push(ready_ns..by.at_ns);
            self.stream.push(bytes_of(&OnCpuSince {
                header: Header {
                    kind: Kind::OnCpuSince as u16,
                    ..*by
                },
                tgid,
                reserved: 0,
                since_ns,
                queued_ns: account.queued_ns,
                throttled_ns: self.throttled_ns,
            }));
        }
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn where_switches_make_no_event_the_account_makes_no_request_untrue(
        stream in machine::stream(STEPS),
        every in 2..20_usize,
    ) {
        let told = stream.with_unseen_switches(every);
        let explained = explain(&told.stream)?;
        explained.obeys_the_laws()?;
        let truth = Truth::of(&stream);
        for (request, _) in &explained.requests {
            let end_ns = request.figures.arrival_ns + request.figures.latency_ns;
            if told.unknown.iter().any(|unknown| unknown.contains(&end_ns)) {
                // What threads do that were not heard of yet is not known.
                continue;
            }
            truth.supports(request)?;
        }
    }
}

/// A request that waits for a disk and then for 300 us for a CPU, so long of it as a quota kept its thread from one.
fn waits(throttled_us: u64) -> Script {
    let mut script = Script::begin().reads(50, A, TASK_A, 50);
    script.record(&SwitchOut {
        header: header(Kind::SwitchOut, 100),
        tgid: PID,
        state: 2,
        syscall: Sysno::fsync as i32,
        task: TASK_A,
        ..SwitchOut::zeroed()
    });
    script.record(&Waking {
        header: header(Kind::Waking, 4_200),
        tgid: PID,
        waker_syscall: -1,
        ..Waking::zeroed()
    });
    script.record(&SwitchIn {
        header: header(Kind::SwitchIn, 4_500),
        tgid: PID,
        throttled_ns: throttled_us * 1_000,
        ..SwitchIn::zeroed()
    });
    script.sends(5_000, A, TASK_A)
}

#[test]
fn a_request_whose_thread_was_not_seen_to_go_on_waited_for_what_the_account_tells() -> Law {
    let script = waits(0);
    let told = script.stream().with_unseen_switches(2).stream;
    let explained = explain(&told)?;
    for request in [&explained.requests[0].0, &script.request(A)?] {
        prop_assert_eq!(charged_us(request, Cause::Syscall), 4_100);
        prop_assert_eq!(charged_us(request, Cause::RunQueue), 300);
        prop_assert_eq!(charged_us(request, Cause::OnCpu), 50 + 500);
    }
    let switches = |event: &Event<'_>| !matches!(event, Event::OnCpuSince(_));
    let untold = explain(&told.only(switches))?;
    prop_assert_eq!(charged_us(&untold.requests[0].0, Cause::Unexplained), 4_900);
    Ok(())
}

#[test]
fn where_a_quota_was_used_up_unseen_it_is_not_known_what_kept_a_thread_from_running() -> Law {
    let script = waits(200);
    let told = explain(&script.stream().with_unseen_switches(2).stream)?;
    let untold = &told.requests[0].0;
    prop_assert_eq!(charged_us(untold, Cause::Syscall), 4_100);
    prop_assert_eq!(charged_us(untold, Cause::Unexplained), 300);
    prop_assert_eq!(charged_us(&script.request(A)?, Cause::Throttled), 200);
    Ok(())
}
