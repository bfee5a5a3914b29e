//! What a thread is, by the counts of what it did: a pure function.
//!
//! A thread can become something else, so what it did in a window decides, where that is enough; of a saturated thread
//! it may not be: one that never waits shows by no wait what it is. Then what it did before decides. What fits nothing
//! is nothing: a thread that now waits for events and now is given work by others is not called either.

use super::deeds::Counts;
use crate::model::report::Role;

/// So often a thread must have done what makes it something.
pub(super) const ENOUGH: u32 = 4;

/// What is seen less than once in so many times does not count.
const SELDOM: u32 = 8;

/// What a thread is that did this in a window, and this in the run up to its end. One that keeps a connection is told
/// by one answer: whether there are enough of them the caller knows, as each can have a thread of its own.
pub(super) fn role(window: &Counts, run: &Counts, begun: bool) -> Option<Role> {
    of(window, run, begun).or_else(|| of(run, run, begun))
}

fn of(now: &Counts, run: &Counts, begun: bool) -> Option<Role> {
    let rules: [(Role, bool); 6] = [
        (Role::Runtime, works_for_runtime(now)),
        (Role::Acceptor, accepts(now) || accepts(run) && !now.serves()),
        (Role::EventLoop, waits_for_events(now, run)),
        (Role::Pool, is_given_work(now, run)),
        (Role::Connection, keeps_connection(now, run, begun)),
        (Role::Timer, waits_for_times(now, run)),
    ];
    rules.into_iter().find_map(|(role, holds)| holds.then_some(role))
}

/// Who stops the program, or is given nearly all that it does by the runtime's own threads.
fn works_for_runtime(now: &Counts) -> bool {
    let by_others = now.given.saturating_sub(now.given_by_runtime);
    let is_given = now.given_by_runtime >= ENOUGH && is_few(by_others, now.given);
    (now.stops > 0 || is_given) && !now.serves()
}

/// Who takes connections and leaves all that comes on them to others.
fn accepts(now: &Counts) -> bool {
    let served = [now.reads, now.kept, now.taken, now.connection_waits];
    accepted(now) >= ENOUGH && is_few(sum(&served), accepted(now))
}

/// Not every kernel tells who accepts, and who is busy does not wait for it.
fn accepted(counts: &Counts) -> u32 {
    counts.accepts.max(counts.accept_waits)
}

fn waits_for_events(now: &Counts, run: &Counts) -> bool {
    let goes_on = sum(&[accepted(now), now.connection_waits, now.reads]);
    now.event_waits >= ENOUGH
        && (is_few(now.given, now.event_waits) || goes_on >= ENOUGH)
        && !waits_for_times(now, run)
}

/// Who waits until others give it something, or answers what others have read. Under load it never waits: then it is
/// known by requests of ever other connections, or by event loops that it tells that something is done, and none of it
/// did it wait for itself.
fn is_given_work(now: &Counts, run: &Counts) -> bool {
    if !is_few(now.event_waits, now.given.saturating_add(now.taken)) {
        return false;
    }
    let done = now.moves.max(now.woke_loops);
    let by_itself = sum(&[accepted(now), now.connection_waits]);
    let never_waits = now.woke_loops >= ENOUGH && is_few(now.waits, now.woke_loops);
    let was_given = run.given > 0 || never_waits;
    let under_load = done >= ENOUGH && is_few(by_itself, done) && was_given && run.event_waits == 0;
    // Who answers less than it is given may have waited for an interpreter's lock, which is not known yet.
    let answers = sum(&[now.kept, now.taken]);
    let given = now.given >= ENOUGH && (!now.serves() || now.given <= answers.saturating_mul(2));
    now.taken >= ENOUGH || given || under_load
}

/// Who serves one connection at a time, from its first request to its last.
fn keeps_connection(now: &Counts, run: &Counts, begun: bool) -> bool {
    // A saturated event loop with one client looks so too, but for how it waited before.
    let waits_itself = begun || accepted(run) > 0 || run.connection_waits > 0;
    now.kept > 0
        && is_few(now.taken, now.kept)
        && run.event_waits == 0
        && waits_itself
        && now.moves <= accepted(now)
}

/// Who goes on when a time has come, and for nothing else. One that was given something, or tells a loop that something
/// is done, may sleep as a part of that.
fn waits_for_times(now: &Counts, run: &Counts) -> bool {
    let only_waits = |counts: &Counts| {
        let otherwise = counts.waits.saturating_sub(counts.alone);
        counts.alone >= ENOUGH && is_few(otherwise, counts.waits) && !counts.serves() && accepted(counts) == 0
    };
    // An event loop without clients has its timers still.
    run.given == 0 && run.woke_loops == 0 && only_waits(now) && (now.event_waits == 0 || only_waits(run))
}

fn is_few(few: u32, many: u32) -> bool {
    few.saturating_mul(SELDOM) <= many
}

fn sum(counts: &[u32]) -> u32 {
    counts.iter().fold(0, |sum, &count| sum.saturating_add(count))
}

#[cfg(test)]
mod tests;
