//! What was really done to each request, as the server and the client write it and the lab reads it. Who observes never
//! sees it.
//!
//! All times are of `CLOCK_MONOTONIC`.

use serde::{Deserialize, Serialize};

use crate::clock;

/// Stretches of one request that are kept, at most.
pub const STRETCHES: usize = 4;

/// What a stretch was: the faults that the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Computing.
    Cpu,
    /// Ready to compute, without a CPU.
    OffCpu,
    /// On a CPU that a hypervisor had.
    Stolen,
    /// A sleep in the kernel.
    Sleep,
    /// A sleep of the runtime's.
    Timer,
    /// A wait for a mutex of the standard library.
    Lock,
    /// A wait for a mutex of the runtime.
    AsyncLock,
    /// A wait for the disk in a call for it.
    Disk,
    /// A wait for the disk in a page fault.
    Fault,
    /// A wait for room in a pipe.
    Pipe,
    /// A wait for a thread of the blocking pool.
    PoolQueue,
    /// A wait for a task that takes one job after the other from a channel.
    ChannelQueue,
    /// From a task's wakeup until it was polled.
    TaskQueue,
    /// A wait for a connection to the peer.
    ConnectionQueue,
    /// A wait for the peer.
    Peer,
    /// The listener was left alone.
    NotAccepting,
    /// From asking the runtime for bytes of a file until they were there.
    FileRead,
    /// From the end of a job until the event loop went on with its request.
    HandedBack,
    /// Marking for the garbage collector, which has to be done before there is more memory.
    Assist,
    /// A wait for a whole cycle of garbage collection.
    Collection,
    /// Work of the garbage collector's own.
    Mark,
    /// The runtime had stopped everything.
    Stop,
}

/// One injected fault. Its own length is between `least_ns` and `most_ns`: what else was between the two readings of
/// the clock, a wait for the CPU above all, the handler cannot always tell apart.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Stretch {
    /// What it was.
    pub kind: FaultKind,
    /// The clock before it.
    pub from_ns: u64,
    /// The clock after it.
    pub to_ns: u64,
    /// It took no less of that.
    pub least_ns: u64,
    /// It took no more of that.
    pub most_ns: u64,
    /// The task whose work it was; of a wait, the one that was waited for. Where known.
    pub task: Option<u64>,
}

/// One request as its handler saw it, or the work of a task that no request waits for.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Served {
    /// The `id` of its query, 0 without one, and for a task that is no request's.
    pub id: u64,
    /// Thread on which the handler began.
    pub tid: u32,
    /// Task in which the handler ran.
    pub task: Option<u64>,
    /// Runtime of that task; on a server without one, the pool or event loop that serves the request.
    pub runtime: Option<u64>,
    /// The handler's first line.
    pub start_ns: u64,
    /// The handler's last line.
    pub end_ns: u64,
    /// What was injected, by [`Self::add`].
    pub injected: [Option<Stretch>; STRETCHES],
}

/// One answered request as the client saw it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sent {
    /// The `id` in its query.
    pub id: u64,
    /// Of HTTP.
    pub status: u16,
    /// When what happened to it.
    #[serde(flatten)]
    pub times: Times,
}

/// When what happened to a request at its client. Its first byte arrived between the first two.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Times {
    /// Before its first byte was sent.
    pub send_ns: u64,
    /// After its first piece was sent.
    pub sent_ns: u64,
    /// Its answer was whole.
    pub answered_ns: u64,
    /// How long the client kept the rest of it back.
    pub withheld_ns: u64,
    /// How long the client left the answer lying.
    pub unread_ns: u64,
}

/// One poll as its task saw it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Polled {
    /// The task.
    pub task: Option<u64>,
    /// Thread that polled it.
    pub tid: u32,
    /// Since when it was queued; 0 where the wakeup came in the moment in which the poll before began.
    pub queued_ns: u64,
    /// When it was polled.
    pub start_ns: u64,
    /// When that poll returned.
    pub end_ns: u64,
}

impl FaultKind {
    /// Whether it is a wait for another task.
    pub fn is_for_a_task(self) -> bool {
        matches!(
            self,
            Self::Lock | Self::AsyncLock | Self::ChannelQueue | Self::TaskQueue
        )
    }
}

impl Stretch {
    /// From then until now, at least so long.
    pub fn until_now(kind: FaultKind, from_ns: u64, least_ns: u64) -> Self {
        let to_ns = clock::now_ns();
        let most_ns = to_ns.saturating_sub(from_ns);
        Self {
            kind,
            from_ns,
            to_ns,
            least_ns: least_ns.min(most_ns),
            most_ns,
            task: None,
        }
    }

    /// From then until now, in which it took exactly so long.
    pub fn exactly(kind: FaultKind, from_ns: u64, took_ns: u64) -> Self {
        Self {
            kind,
            from_ns,
            to_ns: clock::now_ns(),
            least_ns: took_ns,
            most_ns: took_ns,
            task: None,
        }
    }

    /// The same and a later one of its kind, as one.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self {
            to_ns: later.to_ns,
            least_ns: self.least_ns + later.least_ns,
            most_ns: self.most_ns + later.most_ns,
            ..self
        }
    }

    /// The same, with the task that did it.
    #[must_use]
    pub fn by(self, task: Option<u64>) -> Self {
        Self { task, ..self }
    }
}

impl Served {
    /// Adds a stretch, to one of its kind where there is one. A handler has at most as many kinds as there is room for.
    pub fn add(&mut self, stretch: Stretch) {
        let is_of_its_kind = |slot: &Option<Stretch>| slot.is_some_and(|slot| slot.kind == stretch.kind);
        let slots = &mut self.injected;
        let index = slots.iter().position(is_of_its_kind);
        let index = index.or_else(|| slots.iter().position(Option::is_none));
        if let Some(slot) = index.and_then(|index| slots.get_mut(index)) {
            *slot = Some(slot.map_or(stretch, |earlier| earlier.and(stretch)));
        }
    }

    /// What was injected.
    pub fn stretches(&self) -> impl Iterator<Item = &Stretch> {
        self.injected.iter().flatten()
    }
}

impl Polled {
    /// How long the poll took.
    pub fn dur_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }

    /// How long the task was queued before it, where that is known.
    pub fn queued_for_ns(&self) -> Option<u64> {
        (self.queued_ns != 0).then(|| self.start_ns.saturating_sub(self.queued_ns))
    }
}

/// The number that the client gave a request with this query.
pub fn id(query: &str) -> Option<u64> {
    let mut fields = query.split('&').filter_map(|field| field.strip_prefix("id="));
    fields.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines;

    #[test]
    fn the_id_is_a_field_of_the_query() {
        assert_eq!(id("id=7"), Some(7));
        assert_eq!(id("us=3&id=12&x=1"), Some(12));
        assert_eq!(id(""), None);
        assert_eq!(id("grid=7"), None);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut served = Served {
            id: 3,
            task: Some(9),
            ..Served::default()
        };
        served.add(Stretch::exactly(FaultKind::AsyncLock, 5, 2).by(Some(8)));
        let times = Times {
            unread_ns: 4,
            ..Times::default()
        };
        let sent = Sent {
            id: 3,
            status: 200,
            times,
        };
        let polled = Polled {
            task: None,
            tid: 1,
            queued_ns: 0,
            start_ns: 2,
            end_ns: 6,
        };
        again(&served);
        again(&sent);
        again(&polled);
    }

    /// Writes and reads two of it.
    fn again<T: Copy + std::fmt::Debug + Serialize + serde::de::DeserializeOwned>(one: &T) {
        let file = tempfile::NamedTempFile::new().unwrap();
        lines::write(file.path(), [*one; 2]).unwrap();
        let read: Vec<T> = lines::read(file.path()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", [*one; 2]));
    }
}
