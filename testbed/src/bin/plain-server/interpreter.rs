//! One lock that whoever computes has, as interpreters have one: who waits for it asks for it after a while, and who
//! has it lets go when it is asked, and waits until another has taken it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use testbed::clock;
use testbed::truth::{FaultKind, Stretch};

/// Who has waited for so long asks for it.
const SWITCH_INTERVAL: Duration = Duration::from_millis(5);

/// The lock.
#[derive(Default)]
pub(crate) struct Interpreter {
    state: Mutex<State>,
    let_go: Condvar,
    /// Somebody has waited for long.
    is_asked_for: AtomicBool,
    /// How often it was taken, for who was asked.
    taken: Mutex<u64>,
    was_taken: Condvar,
}

#[derive(Default)]
struct State {
    is_taken: bool,
    times: u64,
    /// When it was let go last, ns.
    let_go_ns: u64,
}

/// What a request does with the lock; where the server has none, nothing.
pub(crate) struct Turn<'a> {
    interpreter: Option<&'a Interpreter>,
    /// The waits for it.
    waited: Option<Stretch>,
}

impl<'a> Turn<'a> {
    /// Takes the lock.
    pub(crate) fn begin(interpreter: Option<&'a Interpreter>) -> Self {
        let mut turn = Self {
            interpreter,
            waited: None,
        };
        turn.take(clock::now_ns());
        turn
    }

    /// Does something without the lock.
    pub(crate) fn without<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.interpreter.inspect(|interpreter| interpreter.let_go());
        let done = work();
        self.take(clock::now_ns());
        done
    }

    /// Lets go for a moment where another has asked.
    pub(crate) fn offer(&mut self) {
        if let Some(interpreter) = self.interpreter
            && interpreter.is_asked_for.load(Ordering::Relaxed)
        {
            let from_ns = clock::now_ns();
            let taken = *lock(&interpreter.taken);
            interpreter.let_go();
            interpreter.until_taken_after(taken);
            self.take(from_ns);
        }
    }

    /// How long it has waited so far, ns.
    pub(crate) fn waited_ns(&self) -> u64 {
        self.waited.map_or(0, |waited| waited.most_ns)
    }

    /// Lets go of the lock; gives how it has waited for it.
    pub(crate) fn end(self) -> Option<Stretch> {
        self.interpreter.inspect(|interpreter| interpreter.let_go());
        self.waited
    }

    fn take(&mut self, from_ns: u64) {
        if let Some(let_go_ns) = self.interpreter.and_then(Interpreter::take) {
            let wait = Stretch::until_now(FaultKind::Lock, from_ns, let_go_ns.saturating_sub(from_ns));
            self.waited = Some(self.waited.map_or(wait, |waited| waited.and(wait)));
        }
    }
}

impl Interpreter {
    /// Takes the lock. Where that was not free, gives when it was let go, ns.
    fn take(&self) -> Option<u64> {
        let mut state = lock(&self.state);
        let waits = state.is_taken;
        while state.is_taken {
            let times = state.times;
            let waited = self.let_go.wait_timeout(state, SWITCH_INTERVAL);
            let (next, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = next;
            if timeout.timed_out() && state.is_taken && state.times == times {
                self.is_asked_for.store(true, Ordering::Relaxed);
            }
        }
        state.is_taken = true;
        state.times += 1;
        *lock(&self.taken) += 1;
        self.was_taken.notify_one();
        self.is_asked_for.store(false, Ordering::Relaxed);
        waits.then_some(state.let_go_ns)
    }

    fn let_go(&self) {
        let mut state = lock(&self.state);
        state.is_taken = false;
        state.let_go_ns = clock::now_ns();
        drop(state);
        self.let_go.notify_one();
    }

    /// Waits until somebody has taken it once more.
    fn until_taken_after(&self, before: u64) {
        let mut taken = lock(&self.taken);
        while *taken == before {
            taken = self.was_taken.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
