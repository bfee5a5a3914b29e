//! One connection: who opened it, its current turn and the one before, what was sent on it to a peer.

use std::net::SocketAddr;
use std::sync::Arc;

use super::QUIET_NS;
use super::accepted::Accepted;
use super::held::Held;
use super::opened::{self, Opened};
use super::protocol::http1::RequestLine;
use super::speech::Speech;
use super::turn::Turn;
use crate::model::id::{Pid, RequestId, Tid};
use crate::newest::Newest;

/// Names of a connection's turns that are remembered, the newest: a history, and what waited for an earlier turn has a
/// culprit without a request. One can be that of many turns in a row.
const MAX_NAMES: usize = 8;

/// Sends that are remembered of an outbound connection: a request that used it is explained when its own
/// connection goes on, and others may have used this one since.
pub(super) const MAX_SENDS: usize = 64;

/// In place of a descriptor.
const NOBODY: (Pid, i32) = (Pid::NONE, -1);

/// Bytes sent to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboundSend {
    /// End of the call, ns.
    pub at_ns: u64,
    /// Thread that sent.
    pub tid: Tid,
    /// Request for which it was, where known.
    pub request: Option<RequestId>,
    /// When the peer's bytes were read last before it, ns; 0 where none were.
    pub(super) read_ns: u64,
}

/// What bytes are that were sent while there was no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stray {
    /// The answer to a request that was read before the connection was first seen.
    BegunBefore,
    /// More of that.
    GoesOn,
    /// Nobody knows.
    Late,
}

/// A byte that was read ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct ByteAhead {
    /// Its arrival, ns; 0 when it was not seen.
    pub(super) arrived_ns: u64,
    /// The byte, where it was recorded.
    pub(super) head: Option<u8>,
}

/// What turns in a row were for.
#[derive(Debug)]
struct TurnsName {
    /// Places of the first and the last of them.
    first: u64,
    last: u64,
    /// Method and path, where they were HTTP/1.x.
    name: Option<Arc<str>>,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// Who opened it.
    pub opened: Opened,
    /// This side.
    pub local: Option<SocketAddr>,
    /// The other side.
    pub peer: Option<SocketAddr>,
    /// The number of its network; 0 where that is not recorded.
    pub(super) network: u32,
    /// Outbound: for whom it was last used.
    pub used_for: Option<RequestId>,
    /// Outbound: the last sends.
    pub(super) sends: Newest<OutboundSend, MAX_SENDS>,
    /// Outbound: when the peer's bytes were read last, ns; 0 where none were.
    pub(super) read_ns: u64,
    /// When it was last used, ns.
    pub(super) used_ns: u64,
    /// It is over.
    pub(super) closed: bool,
    pub(super) nth: u64,
    /// When it was seen to come into its listener's queue, ns. One that was there before waits for no accept.
    pub(super) established_ns: Option<u64>,
    pub(super) accepted: Option<Accepted>,
    /// It was open when it was first seen.
    pub(super) found: bool,
    /// When something was sent last that answers what was read before it was first seen, ns.
    answered_unread_ns: Option<u64>,
    /// It was used while nobody could tell who had opened it.
    used_unknown: bool,
    /// By which descriptor it was last used, of which process.
    pub(super) used_by: (Pid, i32),
    /// When it was first heard of, ns.
    pub(super) heard_ns: u64,
    /// When this side closed it, or it was over, ns.
    closed_ns: Option<u64>,
    pub(super) turn: Option<Box<Turn>>,
    /// The first byte of the next turn, where another goroutine than the one that serves has taken it.
    pub(super) ahead: Option<ByteAhead>,
    /// What the send that comes next left unsent.
    pub(super) held: Option<Held>,
    pub(super) speech: Speech,
    last: Option<Box<Turn>>,
    /// Names of the last turns: others that waited for them are explained later.
    names: Newest<TurnsName, MAX_NAMES>,
    /// Memory for the next turn.
    spare: Option<Box<Turn>>,
}

impl Connection {
    /// One that is first heard of at `heard_ns`.
    pub(super) fn new(heard_ns: u64) -> Self {
        Self {
            opened: Opened::Unknown,
            local: None,
            peer: None,
            network: 0,
            used_for: None,
            sends: Newest::default(),
            read_ns: 0,
            used_ns: 0,
            closed: false,
            nth: 0,
            established_ns: None,
            accepted: None,
            found: false,
            answered_unread_ns: None,
            used_unknown: false,
            used_by: NOBODY,
            heard_ns,
            closed_ns: None,
            turn: None,
            ahead: None,
            held: None,
            speech: Speech::default(),
            last: None,
            names: Newest::default(),
            spare: None,
        }
    }

    /// Thread `tid` took it out of its listener's queue.
    pub(super) fn was_accepted(&mut self, at_ns: u64, tid: Tid) {
        self.accepted = Some(Accepted {
            at_ns,
            tid,
            established_ns: self.established_ns.unwrap_or(0),
            seen: true,
        });
    }

    /// Thread `tid` knows of it, so it was accepted by then.
    pub(super) fn is_known_to(&mut self, tid: Tid, at_ns: u64) {
        if let (None, Some(established_ns)) = (self.accepted, self.established_ns) {
            self.accepted = Some(Accepted {
                at_ns,
                tid,
                established_ns,
                seen: false,
            });
        }
    }

    /// Thread `tid` was woken because bytes had come: it had been accepted before they came.
    pub(super) fn is_watched_by(&mut self, tid: Tid) {
        if let Some(established_ns) = self.established_ns {
            self.is_known_to(tid, established_ns);
        }
    }

    /// It was used by descriptor `fd` of process `pid`, where that is known, which holds it still if it only ended what
    /// it sends. Tells whether that is another than before.
    pub(super) fn uses(&mut self, pid: Pid, fd: i32) -> bool {
        if !self.closed {
            self.closed_ns = None;
        }
        if fd < 0 {
            return false;
        }
        std::mem::replace(&mut self.used_by, (pid, fd)) != (pid, fd)
    }

    /// Who used it became another program, or ended.
    pub(super) fn is_used_by_nobody(&mut self) {
        self.used_by = NOBODY;
    }

    /// This side closes it, or it is over.
    pub(super) fn closes(&mut self, at_ns: u64) {
        self.closed_ns.get_or_insert(at_ns);
    }

    /// Whether a process can have held it at this time.
    pub(super) fn was_open(&self, at_ns: u64) -> bool {
        let was_opened = self.found || self.heard_ns <= at_ns;
        was_opened && self.closed_ns.is_none_or(|closed_ns| at_ns < closed_ns)
    }

    /// Whether it was last used by another descriptor of this process than `fd`.
    #[must_use]
    pub fn is_behind_another(&self, pid: Pid, fd: i32) -> bool {
        self.used_by.0 == pid && self.used_by.1 != fd
    }

    /// It is used, and nobody can tell who opened it. Tells whether that is so for the first time.
    pub(super) fn is_used_unknown(&mut self) -> bool {
        self.opened == Opened::Unknown && !std::mem::replace(&mut self.used_unknown, true)
    }

    /// Inbound: bytes were sent, and there is no turn.
    pub(super) fn sent_without_turn(&mut self, at_ns: u64) -> Stray {
        if !self.found || self.nth > 0 {
            return Stray::Late;
        }
        match self.answered_unread_ns.replace(at_ns) {
            None => Stray::BegunBefore,
            Some(before_ns) if before_ns.saturating_add(QUIET_NS) > at_ns => Stray::GoesOn,
            Some(_) => Stray::Late,
        }
    }

    /// Whether a turn that begins with `head` can be the rest of one that had begun before the connection was first
    /// seen.
    pub(super) fn may_have_begun_before(&self, head: &[u8]) -> bool {
        self.found && self.nth == 1 && self.answered_unread_ns.is_none() && !opened::begins_request(head)
    }

    /// Outbound: bytes were sent.
    pub(super) fn sent_to_peer(&mut self, send: OutboundSend) {
        self.used_for = send.request;
        self.sends.push(send);
    }

    /// Outbound: the last send for `request` between the two times, ns.
    pub(super) fn last_send_for(
        &self,
        request: RequestId,
        since_ns: u64,
        before_ns: u64,
    ) -> Option<OutboundSend> {
        // What a later one waits for is not ours.
        let last = self.sends.iter().rev().find(|send| send.at_ns < before_ns)?;
        (last.at_ns >= since_ns && last.request.is_none_or(|id| id == request)).then_some(*last)
    }

    /// Outbound: whether all sends that are remembered came after `before_ns`, and there can have been more.
    pub(super) fn has_forgotten_sends_before(&self, before_ns: u64) -> bool {
        let oldest = self.sends.front();
        self.sends.is_full() && oldest.is_some_and(|oldest| oldest.at_ns >= before_ns)
    }

    /// The turn with this place, if it is the current or the one before.
    #[must_use]
    pub fn turn(&self, nth: u64) -> Option<&Turn> {
        [&self.turn, &self.last]
            .into_iter()
            .flatten()
            .map(Box::as_ref)
            .find(|turn| turn.id.nth == nth)
    }

    /// The turn with this place is explained.
    pub(super) fn forget_details(&mut self, nth: u64) {
        let turns = [&mut self.turn, &mut self.last].into_iter().flatten();
        turns
            .filter(|turn| turn.id.nth == nth)
            .for_each(|turn| turn.forget_details());
    }

    /// Method and path of one of the last turns, as `GET /path`, where they were HTTP/1.x.
    #[must_use]
    pub fn name(&self, nth: u64) -> Option<Arc<str>> {
        if let Some(turn) = self.turn.as_ref().filter(|turn| turn.id.nth == nth) {
            return match self.name_of_equal(turn) {
                Some(names) => names.name.clone(),
                None => self.name_of(turn.request_line()?),
            };
        }
        self.names
            .iter()
            .rev()
            .find(|names| (names.first..=names.last).contains(&nth))?
            .name
            .clone()
    }

    /// The name of the turn before, if a turn has the same first bytes: most have, and to compare them is quicker than
    /// to read them.
    fn name_of_equal(&self, turn: &Turn) -> Option<&TurnsName> {
        let last = self.last.as_ref()?;
        (last.head() == turn.head()).then(|| self.names.back())?
    }

    /// Most turns of a connection are for what the one before was for.
    fn name_of(&self, line: RequestLine<'_>) -> Option<Arc<str>> {
        let same = self
            .names
            .back()
            .and_then(|names| names.name.as_ref())
            .filter(|name| {
                name.strip_prefix(line.method)
                    .and_then(|rest| rest.strip_prefix(' '))
                    == Some(line.path())
            });
        Some(same.map_or_else(|| format!("{} {}", line.method, line.path()).into(), Arc::clone))
    }

    /// The current turn, if there is one and it was answered, becomes the one before.
    pub(super) fn end_turn(&mut self) -> Option<RequestId> {
        self.turn.as_ref().filter(|turn| turn.is_answered())?;
        self.retire_turn()
    }

    /// Whether there is a current turn that was not answered yet.
    pub(super) fn is_unanswered(&self) -> bool {
        self.turn.as_ref().is_some_and(|turn| !turn.is_answered())
    }

    /// The thread that read the current turn, and when, ns, if there is one that was not answered yet.
    pub(super) fn reader(&self) -> Option<(Tid, u64)> {
        self.turn
            .as_ref()
            .filter(|turn| !turn.is_answered())
            .map(|turn| (turn.read_tid, turn.read_ns))
    }

    /// The current turn, if there is one, becomes the one before.
    pub(super) fn retire_turn(&mut self) -> Option<RequestId> {
        let turn = self.turn.as_ref()?;
        let nth = turn.id.nth;
        let is_equal = self.name_of_equal(turn).is_some();
        let name = if is_equal {
            None
        } else {
            turn.request_line().and_then(|line| self.name_of(line))
        };
        match self.names.back_mut() {
            Some(names) if is_equal || names.name == name => names.last = nth,
            _ => {
                self.names.push(TurnsName {
                    first: nth,
                    last: nth,
                    name,
                });
            }
        }
        std::mem::swap(&mut self.turn, &mut self.last);
        self.spare = self.turn.take();
        self.last.as_ref().map(|turn| turn.id)
    }

    pub(super) fn begin_turn(&mut self, turn: Turn) {
        self.turn = Some(match self.spare.take() {
            Some(mut memory) => {
                *memory = turn;
                memory
            }
            None => Box::new(turn),
        });
    }
}
