//! What connections say to threads: an operation on a socket, and for which request.

use super::id::{ConnId, RequestId, Task, Tid};

/// Whether an operation took bytes in or put them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Receive.
    In,
    /// Send.
    Out,
}

/// A socket operation, as far as it says for whom a thread runs.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// When it ended, ns.
    pub at_ns: u64,
    /// Direction.
    pub direction: Direction,
    /// The connection.
    pub conn: ConnId,
    /// Arrival of the received bytes, ns; 0 when unknown.
    pub arrived_ns: u64,
    /// On an inbound connection: its request. On an outbound one: for whom it is used, where known.
    pub request: Option<RequestId>,
    /// The connection was opened by the process.
    pub outbound: bool,
    /// A send found no room.
    pub stalled: bool,
    /// Where an answer begins: the thread that had read the request, and when, ns.
    pub read_by: Option<(Tid, u64)>,
    /// Fault counters of the thread.
    pub faults: (u32, u32),
    /// Runtime task of the thread, as recorded.
    pub task: Task,
}
