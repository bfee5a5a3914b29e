//! The threads of a process, put together by what they are.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::deeds::{Counts, Deeds};
use super::giver::Giver;
use super::pools::{self, fed_by};
use super::rule::{self, ENOUGH};
use crate::model::full::Table;
use crate::model::id::{Pid, Tid};
use crate::model::report::{ProcessRoles, Role, RoleThread, RoleTotals};
use crate::threads::Threads;
use crate::threads::thread::Thread;
use crate::threads::usage::Times;

/// Threads that are listed of each role and pool.
const LISTED: usize = 4;

/// Pools of a process that are told apart, those with most threads.
const POOLS: usize = 8;

/// What is kept of processes beside their threads.
#[derive(Debug, Default)]
pub(in crate::threads) struct Casts(FxHashMap<Pid, Cast>);

#[derive(Debug, Default)]
struct Cast {
    /// A runtime runs tasks on its threads.
    switches: bool,
    /// Threads that ended, in this window and before.
    window: Ended,
    before: Ended,
    /// How much of the run it was looked at, ns.
    before_ns: u64,
}

/// Threads that ended, by what they were.
#[derive(Clone, Copy, Debug, Default)]
struct Ended {
    by_role: [Gone; Role::ALL.len()],
    no_role: u64,
    served: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Gone {
    threads: u64,
    times: Times,
    kept: u32,
}

impl Ended {
    fn plus(mut self, other: &Self) -> Self {
        for (sum, more) in self.by_role.iter_mut().zip(&other.by_role) {
            sum.threads += more.threads;
            sum.times = sum.times.plus(more.times);
            sum.kept = sum.kept.saturating_add(more.kept);
        }
        self.no_role += other.no_role;
        self.served |= other.served;
        self
    }
}

impl Casts {
    /// A runtime runs tasks on the threads of a process.
    pub(in crate::threads) fn switches(&mut self, pid: Pid) {
        self.0.entry(pid).or_default().switches = true;
    }

    /// A thread ended.
    pub(in crate::threads) fn ended(&mut self, thread: &mut Thread, locks: &[u32]) {
        thread.deeds.settle(locks, &FxHashSet::default(), 0);
        let ended = &mut self.0.entry(thread.pid).or_default().window;
        ended.served |= thread.serves;
        match found(&thread.deeds, thread.started_by.is_some()) {
            Some(role) => {
                let gone = &mut ended.by_role[role as usize];
                gone.threads += 1;
                gone.times = gone.times.plus(thread.metering.window);
                gone.kept = gone.kept.saturating_add(thread.deeds.run().kept);
            }
            None => ended.no_role += 1,
        }
    }

    /// The process became another program, or ended.
    pub(in crate::threads) fn forget(&mut self, pid: Pid) {
        self.0.remove(&pid);
    }
}

/// What a thread is now.
fn found(deeds: &Deeds, begun: bool) -> Option<Role> {
    rule::role(&deeds.window, &deeds.run(), begun).or(deeds.role)
}

/// A thread of a process that is told about.
pub(super) struct Member<'a> {
    pub(super) tid: Tid,
    pub(super) thread: &'a Thread,
    pub(super) role: Option<Role>,
    locks: &'a [u32],
}

impl Member<'_> {
    pub(super) fn givers(&self) -> impl Iterator<Item = &Giver> {
        self.thread.deeds.givers(self.locks)
    }
}

/// Of which time something is told.
#[derive(Clone, Copy)]
enum Over {
    Window,
    Run,
}

impl Over {
    fn counts(self, deeds: &Deeds) -> Counts {
        match self {
            Self::Window => deeds.window,
            Self::Run => deeds.run(),
        }
    }

    fn times(self, thread: &Thread) -> Times {
        let metering = &thread.metering;
        match self {
            Self::Window => metering.window,
            Self::Run => metering.before.plus(metering.window),
        }
    }

    fn given(self, giver: &Giver) -> u32 {
        match self {
            Self::Window => giver.window,
            Self::Run => giver.times(),
        }
    }
}

impl Threads {
    /// What the threads of each process that serves are to it: in the window that ends now after so long, and in the
    /// run up to here. Begins the next window.
    pub fn take_roles(&mut self, now_ns: u64, window_ns: u64) -> Vec<(Pid, ProcessRoles, ProcessRoles)> {
        self.settle_roles(now_ns);
        let mut by_process: BTreeMap<Pid, Vec<(Tid, &Thread)>> = BTreeMap::new();
        for (&tid, thread) in &self.threads {
            by_process.entry(thread.pid).or_default().push((tid, thread));
        }
        let mut told = Vec::new();
        for (pid, mut threads) in by_process {
            threads.sort_unstable_by_key(|&(tid, _)| tid);
            if let Some((window, run)) = self.roles_of(pid, &threads, window_ns) {
                told.push((pid, window, run));
            }
        }
        for thread in self.threads.values_mut() {
            let by_forgotten = thread.deeds.close_window();
            thread.metering.close_window();
            // Of others it is not told who gave them something to do.
            let is_told = || told.binary_search_by_key(&thread.pid, |(pid, ..)| *pid).is_ok();
            if by_forgotten > 0 && thread.deeds.role == Some(Role::Pool) && is_told() {
                self.full.count(Table::PoolThreads, by_forgotten);
            }
        }
        for cast in self.casts.0.values_mut() {
            cast.before = cast.before.plus(&std::mem::take(&mut cast.window));
            cast.before_ns = cast.before_ns.saturating_add(window_ns);
        }
        told
    }

    /// Says what each thread is.
    fn settle_roles(&mut self, now_ns: u64) {
        let pids: FxHashSet<Pid> = self.threads.values().map(|thread| thread.pid).collect();
        let mut known: FxHashMap<Pid, ProcessFacts> = FxHashMap::default();
        // Of one that ended its last threads can be left.
        self.casts
            .0
            .retain(|pid, cast| cast.switches || pids.contains(pid));
        for &pid in &pids {
            self.casts.0.entry(pid).or_default();
            let stopper = self.stops.take_stopper(pid);
            let of_runtime = self.of_runtime(pid).chain(stopper.map(|(tid, _)| tid)).collect();
            let locks = self.locks.places(pid);
            known.insert(
                pid,
                ProcessFacts {
                    locks,
                    of_runtime,
                    stopper,
                },
            );
        }
        for (&tid, thread) in &mut self.threads {
            thread.meter(now_ns);
            let known = &known[&thread.pid];
            let stops = known
                .stopper
                .filter(|&(stopper, _)| stopper == tid)
                .map_or(0, |(_, stops)| stops);
            thread.deeds.settle(&known.locks, &known.of_runtime, stops);
            thread.deeds.role = found(&thread.deeds, thread.started_by.is_some());
        }
    }

    /// What its threads are to process `pid`; absent where a runtime's tasks run on them, or none of them serves.
    fn roles_of(
        &self,
        pid: Pid,
        threads: &[(Tid, &Thread)],
        window_ns: u64,
    ) -> Option<(ProcessRoles, ProcessRoles)> {
        let cast = self.casts.0.get(&pid)?;
        let serves =
            cast.window.served || cast.before.served || threads.iter().any(|(_, thread)| thread.serves);
        if cast.switches || !serves {
            return None;
        }
        let run_ended = cast.before.plus(&cast.window);
        let kept = threads
            .iter()
            .filter(|(_, thread)| thread.deeds.role == Some(Role::Connection));
        let kept = kept.fold(
            run_ended.by_role[Role::Connection as usize].kept,
            |sum, (_, thread)| sum.saturating_add(thread.deeds.run().kept),
        );
        let locks = self.locks.places(pid);
        let mut members: Vec<_> = threads
            .iter()
            .map(|&(tid, thread)| Member {
                tid,
                thread,
                // One answer alone can be anybody's.
                role: thread
                    .deeds
                    .role
                    .filter(|&role| role != Role::Connection || kept >= ENOUGH),
                locks: &locks,
            })
            .collect();
        let is_of_pool = |member: &Member<'_>| member.role == Some(Role::Pool);
        let feeds = |&place: &usize| {
            let member: &Member<'_> = &members[place];
            is_of_pool(member) && pools::feeds_its_feeders(member, &members)
        };
        let feeding: Vec<_> = (0..members.len()).filter(feeds).collect();
        feeding.into_iter().for_each(|place| members[place].role = None);
        let window = Told {
            over: Over::Window,
            ns: window_ns,
            members: &members,
        }
        .all(&cast.window, kept);
        let run_ns = cast.before_ns.saturating_add(window_ns);
        let run = Told {
            over: Over::Run,
            ns: run_ns,
            members: &members,
        }
        .all(&run_ended, kept);
        Some((window, run))
    }
}

/// What is known of a process beside what its threads did.
struct ProcessFacts {
    locks: Vec<u32>,
    of_runtime: FxHashSet<Tid>,
    stopper: Option<(Tid, u32)>,
}

/// What is told of a time of this length.
struct Told<'a> {
    over: Over,
    ns: u64,
    members: &'a [Member<'a>],
}

impl Told<'_> {
    fn all(&self, ended: &Ended, kept: u32) -> ProcessRoles {
        let mut roles = Vec::new();
        let mut no_role = self.members.iter().filter(|member| member.role.is_none()).count() as u64;
        no_role += ended.no_role;
        for role in Role::ALL {
            let members: Vec<_> = self
                .members
                .iter()
                .filter(|member| member.role == Some(role))
                .collect();
            let mut gone = ended.by_role[role as usize];
            if role == Role::Connection && kept < ENOUGH {
                no_role += gone.threads;
                gone = Gone::default();
            }
            let mut groups = match role {
                Role::Pool => self.pools(&members),
                _ if members.is_empty() => Vec::new(),
                _ => vec![self.group(role, &members)],
            };
            if groups.is_empty() && gone.threads > 0 {
                groups.push(self.group(role, &[]));
            }
            // Of which pool one was that ended is not known any more.
            if let Some(first) = groups.first_mut() {
                first.ended = gone.threads;
                first.at_work += self.number(gone.times.work_ns(role));
            }
            roles.append(&mut groups);
        }
        ProcessRoles { roles, no_role }
    }

    /// Those with most threads first; what are more than are told apart are one.
    fn pools(&self, members: &[&Member<'_>]) -> Vec<RoleTotals> {
        let mut pools: Vec<_> = pools::pools(members, self.members).collect();
        pools.sort_by_key(|pool| std::cmp::Reverse(pool.len()));
        if pools.len() > POOLS {
            let more = pools.split_off(POOLS - 1).concat();
            pools.push(more);
        }
        let one = |pool: Vec<&Member<'_>>| RoleTotals {
            fed_by: fed_by(&pool, self.members, |giver| self.over.given(giver)),
            ..self.group(Role::Pool, &pool)
        };
        pools.into_iter().map(one).collect()
    }

    fn group(&self, role: Role, members: &[&Member<'_>]) -> RoleTotals {
        let mut work_ns = 0_u64;
        let mut epolls = FxHashSet::default();
        let mut busiest: Vec<_> = members
            .iter()
            .map(|member| (self.over.times(member.thread), *member))
            .collect();
        for (times, member) in &busiest {
            work_ns = work_ns.saturating_add(times.work_ns(role));
            epolls.extend(member.thread.event_loop.map(|own| own.fd));
        }
        busiest.sort_by_key(|(times, member)| (std::cmp::Reverse(times.work_ns(role)), member.tid));
        busiest.truncate(LISTED);
        RoleTotals {
            role,
            count: members.len() as u64,
            ended: 0,
            at_work: self.number(work_ns),
            epolls: (role == Role::EventLoop).then_some(epolls.len() as u64),
            fed_by: Vec::new(),
            threads: busiest
                .iter()
                .map(|(times, member)| self.thread(role, times, member))
                .collect(),
        }
    }

    fn thread(&self, role: Role, times: &Times, member: &Member<'_>) -> RoleThread {
        let share = |ns: u64| match times.known_ns {
            0 => 0.0,
            known_ns => (ns as f64 / known_ns as f64 * 10_000.0).round() / 10_000.0,
        };
        let counts = self.over.counts(&member.thread.deeds).named();
        let seen = counts.into_iter().filter(|&(_, count)| count > 0);
        RoleThread {
            tid: member.tid,
            comm: member.thread.comm.as_deref().map(str::to_owned),
            busy: share(times.ran_ns),
            at_work: share(times.work_ns(role)),
            epoll: member
                .thread
                .event_loop
                .filter(|_| role == Role::EventLoop)
                .map(|own| own.fd),
            evidence: seen.map(|(name, count)| (name, count.into())).collect(),
        }
    }

    /// How many threads that is on average.
    fn number(&self, work_ns: u64) -> f64 {
        (work_ns as f64 / self.ns.max(1) as f64 * 100.0).round() / 100.0
    }
}
