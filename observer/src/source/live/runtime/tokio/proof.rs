//! Which word of a thread's variables holds the id of the task that it polls, judged by how the words behave.
//!
//! A task id has no place that could be looked up: it differs with the version of the runtime, its features and the
//! compiler. But nothing else behaves like one. It is the same at every receive from one connection, which one task
//! serves, and another on every other connection. While a thread waits for the runtime's events it is what it always is
//! then on that thread, and no connection's: zero, or the id of the task that is the worker itself, since tokio starts
//! the workers of its thread pool as blocking tasks. And it is a number that the runtime has given out already. A word
//! that is once seen otherwise is not it. One that is left over is proved only by enough that could have contradicted
//! it and did not; whatever is less stays open.
//!
//! Pure: samples in, verdict out.

use crate::model::id::{ConnId, Tid};

/// Connections, and threads, that are told apart. Of more threads nothing is taken in; a connection that was seen once
/// makes room for another. What it contradicted stays so; what would contradict it later is not seen.
const MOST_CONNECTIONS: usize = 256;
const MOST_THREADS: usize = 256;

/// Larger numbers are addresses, or no numbers at all: a runtime that starts a million tasks a second gets there
/// after twelve days.
const LARGEST_ID: u64 = 1 << 40;

/// No memory is mapped below (`vm.mmap_min_addr`): smaller numbers are no addresses.
const LOWEST_ADDRESS: u64 = 1 << 16;

/// No address of a process is beyond.
const END_OF_MEMORY: u64 = 1 << 47;

/// Kinds of runtimes that there are: of the current thread, and multi-threaded.
const KINDS: u64 = 2;

/// Waits for the runtime's events that must have been seen.
const ENOUGH_WAITS: u32 = 2;

/// Connections that make up for waits, where the ids are counted: a saturated server never waits for events.
const ENOUGH_CONNECTIONS: usize = 4;

/// The same, and receives, where there is only one connection.
const ENOUGH_WAITS_OF_ONE: u32 = 3;
const ENOUGH_RECEIVES_OF_ONE: u32 = 4;

/// Receives after which something must have been proved.
const MOST_RECEIVES: u32 = 20_000;

/// Words of the runtime's context, at most: what belongs to a task's id is no further away.
const MOST_CONTEXT_WORDS: usize = 12;

/// How far up its stack a thread's scheduler can be: the stack that tokio gives its threads.
const MOST_STACK_BYTES: u64 = 2 << 20;

/// What a thread did when its variables were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// It received from this connection.
    Receive(ConnId),
    /// It waited for the runtime's events: it polled no task.
    WaitForEvents,
}

/// A thread's variables at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variables<'a> {
    pub(super) tid: Tid,
    pub(super) doing: Doing,
    /// The next task id that the runtime will give out, 0 where that is not known.
    pub(super) issued: u64,
    /// Where its stack ends.
    pub(super) stack: u64,
    pub(super) words: &'a [u64],
}

/// What the samples say so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WordVerdict {
    /// Not enough yet.
    Open,
    /// This word is the task's id.
    Proved(Proof),
    /// No word is, for this reason.
    Refuted(&'static str),
}

/// A word that is proved, and by how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    /// Index of the word.
    pub(super) word: usize,
    /// Connections with an id of their own that was seen more than once.
    pub(super) connections: usize,
    /// Receives from all connections.
    pub(super) receives: u32,
    /// Waits for events, with no connection's id.
    pub(super) waits: u32,
    /// Whether every id was compared with the count of those given out.
    pub(super) counted: bool,
    /// Index of the word that points to the scheduler which runs the thread, where that is certain. It is empty in a
    /// job of the blocking pool.
    pub(super) scheduler: Option<usize>,
    /// Index of the word that tells the kind of the runtime, where that is certain.
    pub(super) kind: Option<usize>,
}

/// A search among some words.
#[derive(Debug)]
pub(super) struct WordSearch {
    /// The words are those of the runtime's context and nothing else.
    is_context: bool,
    contradicted: Vec<bool>,
    /// Words that did not always point into the thread's own stack while it received.
    off_stack: Vec<bool>,
    /// Words that were not always a small number before an address of the process while a thread received.
    no_kind: Vec<bool>,
    connections: Vec<SeenConnection>,
    waiting: Vec<SeenWait>,
    receives: u32,
    waits: u32,
    counted: bool,
}

/// A thread that was seen waiting for events, and its words then.
#[derive(Debug)]
struct SeenWait {
    tid: Tid,
    words: Box<[u64]>,
}

#[derive(Debug)]
struct SeenConnection {
    conn: ConnId,
    words: Box<[u64]>,
    tid: Tid,
    /// Another thread received from it too.
    moved: bool,
    receives: u32,
}

impl WordSearch {
    /// A search in which nothing was seen yet.
    pub(super) fn new(words: usize, is_context: bool) -> Self {
        Self {
            is_context,
            contradicted: vec![false; words],
            off_stack: vec![false; words],
            no_kind: vec![false; words],
            connections: Vec::new(),
            waiting: Vec::new(),
            receives: 0,
            waits: 0,
            counted: true,
        }
    }

    /// Takes one sample in.
    pub(super) fn see(&mut self, moment: &Variables<'_>) {
        if moment.words.len() != self.contradicted.len() {
            return;
        }
        match moment.doing {
            Doing::WaitForEvents => self.wait(moment),
            Doing::Receive(conn) => self.receive(conn, moment),
        }
    }

    fn wait(&mut self, moment: &Variables<'_>) {
        let known = self.waiting.iter().position(|known| known.tid == moment.tid);
        if known.is_none() && self.waiting.len() >= MOST_THREADS {
            return;
        }
        self.waits += 1;
        for (index, (contradicted, &value)) in self.contradicted.iter_mut().zip(moment.words).enumerate() {
            let constant = known.is_none_or(|known| self.waiting[known].words[index] == value);
            let mut others = self.waiting.iter().filter(|other| other.tid != moment.tid);
            let shared = others.any(|other| other.words[index] == value)
                || self.connections.iter().any(|other| other.words[index] == value);
            *contradicted |= !is_plausible(value, moment.issued) || !constant || value != 0 && shared;
        }
        if known.is_none() {
            self.waiting.push(SeenWait {
                tid: moment.tid,
                words: moment.words.into(),
            });
        }
    }

    fn receive(&mut self, conn: ConnId, moment: &Variables<'_>) {
        let known = self.connections.iter().position(|known| known.conn == conn);
        if known.is_none() && self.connections.len() >= MOST_CONNECTIONS {
            let Some(once) = self.which_goes() else { return };
            self.connections.remove(once);
        }
        self.receives += 1;
        self.counted &= moment.issued != 0;
        for (off_stack, &value) in self.off_stack.iter_mut().zip(moment.words) {
            let above = value.checked_sub(moment.stack);
            *off_stack |= above.is_none_or(|above| above >= MOST_STACK_BYTES);
        }
        for (index, no_kind) in self.no_kind.iter_mut().enumerate() {
            let next = moment.words.get(index + 1).copied().unwrap_or(0);
            let is_address = (LOWEST_ADDRESS..END_OF_MEMORY).contains(&next) && next % 8 == 0;
            *no_kind |= moment.words[index] >= KINDS || !is_address;
        }
        for (index, (contradicted, &value)) in self.contradicted.iter_mut().zip(moment.words).enumerate() {
            let constant = known.is_none_or(|known| self.connections[known].words[index] == value);
            let mut others = self.connections.iter().filter(|other| other.conn != conn);
            let shared = others.any(|other| other.words[index] == value)
                || self.waiting.iter().any(|other| other.words[index] == value);
            *contradicted |= !is_plausible(value, moment.issued) || !constant || value != 0 && shared;
        }
        match known {
            Some(known) => {
                let connection = &mut self.connections[known];
                connection.receives += 1;
                connection.moved |= connection.tid != moment.tid;
            }
            None => self.connections.push(SeenConnection {
                conn,
                words: moment.words.into(),
                tid: moment.tid,
                moved: false,
                receives: 1,
            }),
        }
    }

    /// A connection that was seen once makes room, now an old one and now a new one: of more than there is room for,
    /// which come in turn, the oldest has gone each time before it comes again.
    fn which_goes(&self) -> Option<usize> {
        let once = || {
            let all = self.connections.iter().enumerate();
            all.filter(|(_, known)| known.receives == 1)
        };
        let nth = (self.receives as usize).checked_rem(once().count())?;
        once().nth(nth).map(|(index, _)| index)
    }

    /// What has been seen, judged.
    pub(super) fn verdict(&self) -> WordVerdict {
        let left = |index: &usize| !self.contradicted[*index] && self.of(*index).next().is_some();
        let mut left = (0..self.contradicted.len()).filter(left);
        let repeated = self
            .connections
            .iter()
            .filter(|connection| connection.receives > 1);
        match (left.next(), left.next()) {
            (Some(word), None) => {
                if let Some(proof) = self.proof(word) {
                    return WordVerdict::Proved(proof);
                }
            }
            (None, _) if repeated.count() >= 2 => {
                return WordVerdict::Refuted(
                    "no word is the same on one connection and another on each other one",
                );
            }
            _ => {}
        }
        if self.receives >= MOST_RECEIVES {
            return WordVerdict::Refuted("more than one word, or none for certain, behaves like a task's id");
        }
        WordVerdict::Open
    }

    /// The connections on which this word is not zero. (Some are served outside of any task.)
    fn of(&self, word: usize) -> impl Iterator<Item = &SeenConnection> {
        self.connections
            .iter()
            .filter(move |connection| connection.words[word] != 0)
    }

    fn proof(&self, word: usize) -> Option<Proof> {
        let repeated: Vec<&SeenConnection> = self
            .of(word)
            .filter(|connection| connection.receives > 1)
            .collect();
        let proof = Proof {
            word,
            connections: repeated.len(),
            receives: self.receives,
            waits: self.waits,
            counted: self.counted,
            scheduler: self.scheduler(word),
            kind: self.kind(word),
        };
        let proved = match repeated[..] {
            [] => false,
            [only] => {
                self.is_context
                    && self.counted
                    && self.waits >= ENOUGH_WAITS_OF_ONE
                    && only.receives >= ENOUGH_RECEIVES_OF_ONE
                    && !is_like_a_budget(only.words[word])
            }
            _ => {
                let enough = self.waits >= ENOUGH_WAITS
                    || self.is_context && self.counted && repeated.len() >= ENOUGH_CONNECTIONS;
                enough && (self.is_context || (belongs_to_no_thread(&repeated) && self.is_no_address(word)))
            }
        };
        proved.then_some(proof)
    }

    /// The scheduler of a thread is on its stack, and nothing else that stands in the context is.
    fn scheduler(&self, task_word: usize) -> Option<usize> {
        only(self.nearby(task_word).filter(|&index| !self.off_stack[index]))
    }

    /// The handle to a runtime is its kind and then a pointer to it, which is on no thread's stack. Where there is only
    /// one kind, a lock that is free stands before the pointer, and that is 0 as well.
    fn kind(&self, task_word: usize) -> Option<usize> {
        let scheduler = self.scheduler(task_word)?;
        only(
            self.nearby(task_word)
                .filter(|&index| !self.no_kind[index] && index + 1 != scheduler),
        )
    }

    /// What can stand in the runtime's context together with the task's id.
    fn nearby(&self, task_word: usize) -> std::ops::Range<usize> {
        let end = (task_word + MOST_CONTEXT_WORDS).min(self.off_stack.len());
        task_word.saturating_sub(MOST_CONTEXT_WORDS)..end
    }

    fn is_no_address(&self, word: usize) -> bool {
        self.of(word)
            .map(|connection| connection.words[word])
            .any(|value| value < LOWEST_ADDRESS || value % 8 != 0)
    }
}

/// Of several, none.
fn only(mut words: impl Iterator<Item = usize>) -> Option<usize> {
    words.next().filter(|_| words.next().is_none())
}

/// Whether the runtime can have given out this id; `issued` as in [`Variables`].
fn is_plausible(id: u64, issued: u64) -> bool {
    id < LARGEST_ID && (issued == 0 || id < issued)
}

/// Whether the ids are of the connections and not of the threads: one connection went to another thread with its id, or
/// one thread served two.
fn belongs_to_no_thread(connections: &[&SeenConnection]) -> bool {
    let shares = |(index, one): (usize, &&SeenConnection)| {
        one.moved || connections[..index].iter().any(|other| other.tid == one.tid)
    };
    connections.iter().enumerate().any(shares)
}

/// Whether it could be what is left of a task's budget, which stands in the context as a flag and a byte up to 128, and
/// is set while a task is polled.
fn is_like_a_budget(value: u64) -> bool {
    (0..64).step_by(16).any(|at| {
        let flag_and_left = value >> at;
        value == flag_and_left << at && flag_and_left & 0xff == 1 && flag_and_left >> 8 <= 128
    })
}

#[cfg(test)]
mod tests;
