//! Which threads of a process are one pool, and who feeds it.

use std::collections::BTreeMap;

use super::cast::Member;
use super::giver::Giver;
use super::rule::ENOUGH;
use crate::model::id::Tid;
use crate::model::report::{FedBy, Role};
use crate::syscall;

/// Those who feed a pool that are listed of it.
const FEEDERS_LISTED: usize = 4;

/// A place at which a thread was given less than one part in so many of all that it was given says nothing.
const SELDOM: u32 = 8;

/// What the threads of a pool have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pool {
    /// They wait at the same futexes or descriptors, this one among them.
    At { is_futex: bool, place: u32 },
    /// Each waits at a futex of its own, until a thread that accepts or an event loop gives it something to do, or
    /// tells such a loop when something is done.
    OfLoops,
    /// The same, until this thread does.
    OfThread(Tid),
    /// They give each other something to do, as far as that is known.
    OfEachOther,
}

/// The pools that these threads are, which all are of one.
pub(super) fn pools<'a, 'm>(
    members: &[&'m Member<'a>],
    all: &[Member<'a>],
) -> impl Iterator<Item = Vec<&'m Member<'a>>> {
    let at: Vec<_> = members.iter().map(|member| places(member)).collect();
    let mut users: BTreeMap<(bool, u32), u32> = BTreeMap::new();
    at.iter()
        .flatten()
        .for_each(|&place| *users.entry(place).or_default() += 1);
    let shared = |place: &(bool, u32)| users[place] > 1;
    // Each place with the least of those that threads wait at, too, who wait there.
    let mut least: BTreeMap<(bool, u32), (bool, u32)> = BTreeMap::new();
    for places in &at {
        let of_thread = places.iter().copied().filter(shared);
        let firsts: Vec<_> = of_thread
            .map(|place| *least.get(&place).unwrap_or(&place))
            .collect();
        if let Some(&first) = firsts.iter().min() {
            let same = least.values_mut().filter(|known| firsts.contains(known));
            same.for_each(|known| *known = first);
            places.iter().copied().filter(shared).for_each(|place| {
                least.insert(place, first);
            });
        }
    }
    let mut pools: BTreeMap<Pool, Vec<&Member<'_>>> = BTreeMap::new();
    for (&member, places) in members.iter().zip(&at) {
        let pool = match places.iter().find_map(|place| least.get(place)) {
            Some(&(is_futex, place)) => Pool::At { is_futex, place },
            None => match feeder(member, all) {
                Some((_, Role::Acceptor | Role::EventLoop)) => Pool::OfLoops,
                Some((by, _)) => Pool::OfThread(by),
                None if member.thread.deeds.run().woke_loops >= ENOUGH => Pool::OfLoops,
                None => Pool::OfEachOther,
            },
        };
        pools.entry(pool).or_default().push(member);
    }
    pools.into_values()
}

/// Where a thread waited for something to do.
fn places(member: &Member<'_>) -> Vec<(bool, u32)> {
    let mut times: BTreeMap<(bool, u32), u32> = BTreeMap::new();
    for giver in member.givers() {
        if let Some(place) = giver.waited_in {
            let known = times.entry((place.is_futex, place.place)).or_default();
            *known = known.saturating_add(giver.times());
        }
    }
    let all = times
        .values()
        .fold(0, |sum: u32, &times| sum.saturating_add(times));
    let often = times
        .into_iter()
        .filter(|(_, times)| times.saturating_mul(SELDOM) >= all);
    often.map(|(place, _)| place).collect()
}

/// Whether a thread that serves nobody is woken mostly by threads of a pool that it wakes, too: it may feed them, and
/// wait until they have room.
pub(super) fn feeds_its_feeders(member: &Member<'_>, all: &[Member<'_>]) -> bool {
    let wakes = |by: Tid| {
        let place = all.binary_search_by_key(&by, |other| other.tid);
        let giver = place.ok().map(|place| &all[place]);
        giver.is_some_and(|giver| {
            giver.role == Some(Role::Pool) && giver.givers().any(|giver| giver.by == member.tid)
        })
    };
    let (mut mutual, mut given) = (0_u32, 0_u32);
    for giver in member.givers() {
        given = given.saturating_add(giver.times());
        mutual = mutual.saturating_add(if wakes(giver.by) { giver.times() } else { 0 });
    }
    !member.thread.deeds.run().serves() && mutual > given / 2
}

/// Who gave a thread something to do most often, of those of which it is known what they are, but for others of a pool.
fn feeder(member: &Member<'_>, all: &[Member<'_>]) -> Option<(Tid, Role)> {
    let givers = member.givers().filter_map(|giver| {
        let role = role(giver.by, all).filter(|&role| role != Role::Pool)?;
        Some((giver.times(), giver.by, role))
    });
    let most = givers.max_by_key(|&(times, by, _)| (times, std::cmp::Reverse(by)));
    most.map(|(_, by, role)| (by, role))
}

/// What a thread is. They are in the order of their ids.
fn role(tid: Tid, all: &[Member<'_>]) -> Option<Role> {
    let place = all.binary_search_by_key(&tid, |member| member.tid).ok()?;
    all[place].role
}

/// Who fed these threads, most often first, by how often each of them was given something.
pub(super) fn fed_by(pool: &[&Member<'_>], all: &[Member<'_>], times: impl Fn(&Giver) -> u32) -> Vec<FedBy> {
    let mut feeders: BTreeMap<Tid, (u64, u64, Option<&'static str>)> = BTreeMap::new();
    for giver in pool.iter().flat_map(|member| member.givers()) {
        let (waits, answers, call) = feeders.entry(giver.by).or_default();
        match giver.waited_in {
            Some(place) => {
                *waits += u64::from(times(giver));
                *call = syscall::name(place.syscall);
            }
            None => *answers += u64::from(times(giver)),
        }
    }
    let named = feeders.into_iter().map(|(tid, (waits, answers, syscall))| {
        let place = all.binary_search_by_key(&tid, |member| member.tid);
        let feeder = place.ok().map(|place| &all[place]);
        FedBy {
            tid,
            comm: feeder.and_then(|feeder| feeder.thread.comm.as_deref().map(str::to_owned)),
            role: feeder.and_then(|feeder| feeder.role),
            syscall,
            times: waits.max(answers),
        }
    });
    let is_of_pool = |fed: &FedBy| pool.iter().any(|member| member.tid == fed.tid);
    let mut feeders: Vec<_> = named.filter(|fed| fed.times > 0 && !is_of_pool(fed)).collect();
    feeders.sort_by_key(|fed| (std::cmp::Reverse(fed.times), fed.tid));
    feeders.truncate(FEEDERS_LISTED);
    feeders
}
