//! The different things that requests waited for, each with a small number.

use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::model::cause::Cause;
use crate::model::full::{Full, Table};
use crate::model::id::Pid;
use crate::model::report::WaitedFor;
use crate::model::request::{Detail, HeldBy, LongestWait};

/// Different things waited for that are told apart in a run, of one protocol of one target.
pub(super) const MAX_TOLD_APART: usize = 1024;

/// Functions that are told apart of one thing waited for.
const MAX_FUNCTIONS: usize = 16;

/// Every different thing waited for, by number.
#[derive(Clone, Debug, Default)]
pub(in crate::summary) struct Culprits {
    /// By the hash of its key.
    numbers: FxHashMap<u64, u16>,
    waited_for: Vec<Rc<WaitedFor>>,
    /// The number of what was found last: mostly it is the next one too, and need not be hashed.
    last: u16,
    /// For how long each was seen running which function, ns, in the order in which they were first seen.
    functions: Vec<Vec<(Arc<str>, u64)>>,
}

impl Culprits {
    /// The number of what `wait` waited for; `None` when there are too many.
    pub(in crate::summary) fn number(&mut self, wait: &LongestWait, full: &Full) -> Option<u16> {
        let key = Key::of(wait);
        if !self.is_known_as(self.last, &key) {
            self.last = match self.find(&key) {
                Ok(number) => number,
                Err(free) => self.add(free, || Rc::new(waited_for(wait)), full)?,
            };
        }
        let number = self.last;
        let culprit = wait.culprit.as_ref();
        if let Some(function) = culprit.and_then(|culprit| culprit.function.as_ref()) {
            self.seen_running(number, function, wait.function_seen_ns, full);
        }
        Some(number)
    }

    /// Adds what another knows. Gives the numbers that it has here, in the order of those there.
    pub(in crate::summary) fn absorb(&mut self, other: &Self, full: &Full) -> Vec<Option<u16>> {
        let both = other.waited_for.iter().zip(&other.functions);
        let absorbed = both.map(|(what, functions)| {
            let number = match self.find(&Key::from(&**what)) {
                Ok(number) => number,
                Err(free) => self.add(free, || Rc::clone(what), full)?,
            };
            for (function, seen_ns) in functions {
                self.seen_running(number, function, *seen_ns, full);
            }
            Some(number)
        });
        absorbed.collect()
    }

    /// Gives a new thing its number, with this place in `numbers`.
    fn add(&mut self, place: u64, what: impl FnOnce() -> Rc<WaitedFor>, full: &Full) -> Option<u16> {
        let next = u16::try_from(self.waited_for.len()).ok();
        let Some(number) = next.filter(|&number| usize::from(number) < MAX_TOLD_APART) else {
            full.count(Table::Culprits, 1);
            return None;
        };
        self.waited_for.push(what());
        self.functions.push(Vec::new());
        self.numbers.insert(place, number);
        Some(number)
    }

    /// The number of what has this key, or else the place in `numbers` for it: its hash, or the next that no other has.
    fn find(&self, key: &Key<'_>) -> Result<u16, u64> {
        let mut hash = FxBuildHasher.hash_one(key);
        while let Some(&number) = self.numbers.get(&hash) {
            if self.is_known_as(number, key) {
                return Ok(number);
            }
            hash = hash.wrapping_add(1);
        }
        Err(hash)
    }

    fn is_known_as(&self, number: u16, key: &Key<'_>) -> bool {
        self.get(number).is_some_and(|known| Key::from(known) == *key)
    }

    /// A thread that was waited behind may do one thing now and another then: that does not make it two.
    fn seen_running(&mut self, number: u16, function: &Arc<str>, seen_ns: u64, full: &Full) {
        let Some(functions) = self.functions.get_mut(usize::from(number)) else {
            return;
        };
        if let Some((_, sum_ns)) = functions.iter_mut().find(|(known, _)| known == function) {
            *sum_ns = sum_ns.saturating_add(seen_ns);
        } else if functions.len() < MAX_FUNCTIONS {
            functions.push((Arc::clone(function), seen_ns));
        } else {
            full.count(Table::Culprits, 1);
        }
    }

    pub(super) fn get(&self, number: u16) -> Option<&WaitedFor> {
        self.waited_for.get(usize::from(number)).map(Rc::as_ref)
    }

    /// For how long the one with this key was seen running which function, ns.
    pub(super) fn functions(&self, key: &Key<'_>) -> &[(Arc<str>, u64)] {
        let number = self.find(key).ok().map(usize::from);
        let functions = number.and_then(|number| self.functions.get(number));
        functions.map_or(&[], Vec::as_slice)
    }
}

/// What makes two things waited for the same: threads of one name that do the same are one culprit.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Key<'a> {
    cause: Cause,
    syscall: Option<&'a str>,
    object: Option<&'a str>,
    peer: Option<SocketAddr>,
    pid: Option<Pid>,
    comm: Option<&'a str>,
    request: Option<&'a str>,
    runtime: Option<&'a str>,
    pool: bool,
    held_by: Option<HeldBy>,
    waits_in: Option<&'a str>,
    called_by: Option<&'a str>,
}

impl<'a> Key<'a> {
    fn of(wait: &'a LongestWait) -> Self {
        let LongestWait {
            cause,
            dur_ns: _,
            detail,
            culprit,
            function_seen_ns: _,
            behind_pool,
        } = wait;
        Self {
            cause: *cause,
            syscall: detail.syscall,
            object: detail.object.as_deref(),
            peer: detail.peer,
            pid: culprit.as_ref().map(|culprit| culprit.pid),
            comm: culprit.as_ref().and_then(|culprit| culprit.comm.as_deref()),
            request: culprit.as_ref().and_then(|culprit| culprit.request.as_deref()),
            runtime: runtime(wait),
            pool: *behind_pool,
            held_by: detail.held.map(|held| held.by),
            waits_in: detail.waits_in.as_ref().map(|waits| &*waits.function),
            called_by: called_by(detail),
        }
    }
}

impl<'a> From<&'a WaitedFor> for Key<'a> {
    fn from(known: &'a WaitedFor) -> Self {
        Self {
            cause: known.cause,
            syscall: known.syscall,
            object: known.object.as_deref(),
            peer: known.peer,
            pid: known.pid,
            comm: known.comm.as_deref(),
            request: known.request.as_deref(),
            runtime: known.runtime,
            pool: known.pool,
            held_by: known.held_by,
            waits_in: known.waits_in.as_deref(),
            called_by: known.called_by.as_deref(),
        }
    }
}

/// What the language's runtime had to do with it.
fn runtime(wait: &LongestWait) -> Option<&'static str> {
    let did = wait.detail.runtime.map(|runtime| runtime.what);
    did.or_else(|| wait.culprit.as_ref()?.role)
}

fn waited_for(wait: &LongestWait) -> WaitedFor {
    let culprit = wait.culprit.as_ref();
    WaitedFor {
        cause: wait.cause,
        requests: 0,
        mean_ns: 0,
        syscall: wait.detail.syscall,
        object: wait.detail.object.as_deref().map(str::to_owned),
        peer: wait.detail.peer,
        pid: culprit.map(|culprit| culprit.pid),
        comm: culprit
            .and_then(|culprit| culprit.comm.as_deref())
            .map(str::to_owned),
        request: culprit
            .and_then(|culprit| culprit.request.as_deref())
            .map(str::to_owned),
        runtime: runtime(wait),
        pool: wait.behind_pool,
        function: None,
        held_by: wait.detail.held.map(|held| held.by),
        waits_in: wait
            .detail
            .waits_in
            .as_ref()
            .map(|waits| waits.function.to_string()),
        called_by: called_by(&wait.detail).map(str::to_owned),
    }
}

fn called_by(detail: &Detail) -> Option<&str> {
    detail.waits_in.as_ref()?.called_by.as_deref()
}
