//! Names of maps, programs and load-time constants, as they stand in the compiled object.

/// Maps of the kernel half.
pub mod map {
    /// One ring buffer for each CPU (array of maps).
    pub const RINGS: &str = "RINGS";
    /// Slots of the watched processes, by thread-group id (hash): [`crate::limits::NO_SLOT`] for those without one.
    /// Their children are put in by the kernel half, and who ended is taken out by it.
    pub const TARGETS: &str = "TARGETS";
    /// Families of process ids ([`crate::limits::FAMILY_MASK`]) in which one was ever watched: not 0 (array over all
    /// families).
    pub const FAMILIES: &str = "FAMILIES";
    /// Where the threads of a watched process keep what their runtime knows of them: a [`crate::TaskPath`] each. By
    /// slot (array).
    pub const TASK_PATHS: &str = "TASK_PATHS";
    /// Whoever begins to listen on these local TCP ports is watched from then on: the number of the network namespace,
    /// by port (hash).
    pub const AWAITED: &str = "AWAITED";
    /// Local TCP ports on which watched processes listen: the number of the network namespace where they do,
    /// [`crate::limits::ANY_NETWORK`] where that is more than one, 0 for others (array over all ports).
    pub const PORTS: &str = "PORTS";
    /// What is sought in each watched process, see [`crate::seek`]. By slot (array).
    pub const SEEKS: &str = "SEEKS";
    /// What was found there (ring buffer).
    pub const SAMPLES: &str = "SAMPLES";
    /// Where each watched process keeps the times of its garbage collection: a [`crate::collection::Collecting`] each.
    /// By slot (array).
    pub const COLLECTING: &str = "COLLECTING";
    /// What was found there (ring buffer).
    pub const COLLECTED: &str = "COLLECTED";
    /// State of each tracked socket (socket-local storage).
    pub const SOCKETS: &str = "SOCKETS";
    /// Losses not yet reported in a ring, and totals by reason (per-CPU array of one).
    pub const LOSSES: &str = "LOSSES";
    /// Tasks that are queued and not yet polled, where that is recorded (hash).
    pub const QUEUED: &str = "QUEUED";
    /// Sampled stacks (ring buffer).
    pub const STACKS: &str = "STACKS";
    /// Samples for which there was no room (per-CPU array of one).
    pub const SAMPLES_LOST: &str = "SAMPLES_LOST";
    /// Whether a watched thread is on a CPU, see [`crate::Presence`] (per-CPU array of one).
    pub const PRESENCE: &str = "PRESENCE";
    /// Whether the sampling clock of a CPU rests (array over all CPUs).
    pub const RESTS: &str = "RESTS";
    /// CPUs to which a watched thread came while their clock rested (ring buffer).
    pub const DOORBELL: &str = "DOORBELL";
    /// Ticks of the clocks that found threads that are not watched (per-CPU array of one).
    pub const TICKS_ON_OTHERS: &str = "TICKS_ON_OTHERS";
}

/// Load-time constants of the kernel half.
pub mod constant {
    /// Byte offsets of the kernel fields that the programs read.
    pub const OFFSETS: &str = "OFFSETS";
    /// Whether the children of watched processes are watched too.
    pub const FOLLOW: &str = "FOLLOW";
}

/// Variables of the kernel half, which have a value when it is loaded and change while it runs.
pub mod variable {
    /// The one watched thread-group id, in slot 0, or 0 when there are several, or none, and the map must be asked.
    pub const ONLY_TARGET: &str = "ONLY_TARGET";
    /// The map that holds it, and nothing else (array of one).
    pub const ONLY_TARGET_MAP: &str = ".data.only_target";
}

/// Programs of the kernel half. Alternatives for one signal share its name.
pub mod program {
    /// Signal `switch`: BTF tracepoint `sched_switch`.
    pub const SWITCH: &str = "switch";
    /// Signal `wakeup`: BTF tracepoint `sched_waking`.
    pub const WAKEUP: &str = "wakeup";
    /// Signal `arrival`: BTF tracepoint `sk_data_ready` (Linux 6.3).
    pub const ARRIVAL_TRACEPOINT: &str = "arrival_tracepoint";
    /// Signal `arrival`: entry of `sock_def_readable`.
    pub const ARRIVAL_FENTRY: &str = "arrival_fentry";
    /// Signal `receive`: BTF tracepoint `sock_recv_length` (Linux 6.3).
    pub const RECEIVE_TRACEPOINT: &str = "receive_tracepoint";
    /// Signal `receive`: exit of `tcp_recvmsg`.
    pub const RECEIVE_FEXIT: &str = "receive_fexit";
    /// Signal `send`: BTF tracepoint `sock_send_length` (Linux 6.3).
    pub const SEND_TRACEPOINT: &str = "send_tracepoint";
    /// Signal `send`: exit of `tcp_sendmsg`.
    pub const SEND_FEXIT: &str = "send_fexit";
    /// Signal `send_page`: exit of `tcp_sendpage` (until Linux 6.4).
    pub const SEND_PAGE_FEXIT: &str = "send_page_fexit";
    /// Signal `connection`: BTF tracepoint `inet_sock_set_state`.
    pub const CONNECTION: &str = "connection";
    /// Signal `accept`: exit of `inet_csk_accept` with two parameters (Linux 6.10).
    pub const ACCEPT_FEXIT: &str = "accept_fexit";
    /// Signal `accept`: exit of `inet_csk_accept` with four parameters.
    pub const ACCEPT_FEXIT_OF_FOUR: &str = "accept_fexit_of_four";
    /// Signal `process`: BTF tracepoint `sched_process_fork`.
    pub const FORK: &str = "fork";
    /// Signal `process`: BTF tracepoint `sched_process_exec`.
    pub const EXEC: &str = "exec";
    /// Signal `process`: BTF tracepoint `sched_process_exit`.
    pub const EXIT: &str = "exit";
    /// Signal `found`: iterator over the files of tasks.
    pub const FOUND: &str = "found";
    /// Signal `poll`: entry of the function that polls a task.
    pub const POLL_START: &str = "poll_start";
    /// Signal `poll`: return of the function that polls a task.
    pub const POLL_END: &str = "poll_end";
    /// Signal `poll`: entry of a function that queues a task, its first parameter.
    pub const QUEUE_FIRST: &str = "queue_first";
    /// Signal `poll`: entry of a function that queues a task, its second parameter.
    pub const QUEUE_SECOND: &str = "queue_second";
    /// Signal `goroutine`: entry of the function that makes a goroutine ready.
    pub const GOROUTINE_READY: &str = "goroutine_ready";
    /// Signal `goroutine`: entry of the function that has a thread run a goroutine.
    pub const GOROUTINE_EXECUTE: &str = "goroutine_execute";
    /// Signal `sample`: a clock of each CPU.
    pub const SAMPLE: &str = "sample";
}
