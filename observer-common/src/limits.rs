//! Sizes and bounds that both halves must agree on.

/// Length of a thread name in the kernel (`TASK_COMM_LEN`), bytes, NUL included.
pub const COMM_BYTES: usize = 16;

/// First bytes of a request that are kept with its receives.
///
/// Holds a request line with a path of about a hundred bytes; a longer path is cut and marked as cut.
pub const REQUEST_HEAD_BYTES: usize = 128;

/// First bytes of a response that are kept with its first send: enough for `HTTP/1.1 200 `.
pub const RESPONSE_HEAD_BYTES: usize = 16;

/// Most processes watched at once.
pub const MAX_TARGETS: u32 = 1024;

/// Process ids that have these bits in common are of one family, see [`crate::names::map::FAMILIES`].
pub const FAMILY_MASK: u32 = 0x3fff;

/// In place of a target's slot: it has none of its own, because nothing is known of its threads' variables. The kernel
/// half counts slots from 1, so it is not the largest word.
pub const NO_SLOT: u32 = u32::MAX - 1;

/// Most ports of which whoever listens there is watched.
pub const MAX_AWAITED_PORTS: u32 = 64;

/// Most CPUs with a ring buffer of their own.
pub const MAX_CPUS: u32 = 1024;

/// Size of one CPU's ring buffer unless asked otherwise, bytes. A power of two, whole pages.
///
/// At about 300 bytes a request this holds some 14,000 requests between two drains.
pub const RING_BYTES: u32 = 4 << 20;

/// Where a network namespace is expected: any of them. The kernel numbers them from 0xf0000000 on.
pub const ANY_NETWORK: u32 = 1;

/// A data-ready mark explains a wakeup that follows on the same CPU, in the same context, within this time.
///
/// `sk_data_ready` runs just before the wakeup that it causes; what comes later has another cause.
pub const NETWORK_MARK_NS: u64 = 20_000;

/// The same of a connection that its peer has accepted or refused, while the CPU is at the same thread in the same
/// system call: the kernel sets the socket up before it wakes who waits for it, which took 6 to 14 us in 90
/// measurements on CPUs that had been idle for a second. Where a hypervisor takes the CPU in between it can be more
/// than 100 us.
pub const CONNECTED_MARK_NS: u64 = 1_000_000;

/// `MSG_PEEK` of `recv(2)`: the bytes stay in the queue.
pub const MSG_PEEK: u32 = 2;

/// Control groups whose CPU quota is looked at, from a thread's own upwards. A container's quota is its own group's,
/// a pod's or a service's the one or two above.
pub const QUOTA_GROUPS: u32 = 3;

/// Threads that are recorded one after the other on a CPU where a preempted watched thread waits, at most: a history,
/// not counted where it ends. What that thread waits for later is `run_queue` with no culprit but the last.
pub const MAX_OCCUPANTS: u32 = 64;

/// A watched thread that was preempted this long ago has gone to another CPU or is gone: nobody waits here, ns.
pub const LONGEST_CONTENTION_NS: u64 = 200_000_000;

/// What the scheduler's clock and `CLOCK_MONOTONIC` differ by is believed for so long, ns: NTP changes it by at most
/// 500 us a second.
pub const LONGEST_CLOCK_OFFSET_NS: u64 = 1_000_000_000;

/// Size of the ring buffer for samples of threads' variables, bytes. Some 480 samples: what 20 ms bring on two CPUs.
pub const SAMPLES_BYTES: u32 = 512 << 10;

/// Size of the ring buffer for the times of garbage collection, bytes. Room for 136 looks that find something new until
/// the next drain: the two of a cycle in 68 processes.
pub const COLLECTED_BYTES: u32 = 16 << 10;

/// Runtime tasks that are queued to be polled, at most; of more, those queued longest ago are forgotten. Their polls
/// count as `unqueued`.
pub const MAX_QUEUED_TASKS: u32 = 65_536;
/// Stack that is copied of a sampled thread, from its stack pointer up, bytes. A request's handler with the layers of a
/// framework around it takes some 4 KiB in a release build; what is further out is not needed for a name.
pub const STACK_BYTES: usize = 16 << 10;

/// A stack is copied in pieces of this size, so that only the last of one that ends earlier is missing, bytes.
pub const STACK_STEP_BYTES: usize = 512;

/// Samples a second of each CPU unless asked otherwise. Not a round number: what a server does each 10 ms would always
/// or never be seen.
pub const SAMPLE_HZ: u32 = 990;

/// Size of the ring buffer in which each CPU can say at once that a watched thread came to it, bytes.
pub const DOORBELL_BYTES: u32 = MAX_CPUS * 16;

/// Samples a second that may be asked for.
pub const MAX_SAMPLE_HZ: u32 = 10_000;

/// A thread that so many samples before, each a period of the clock apart, found in the same task is long in it.
pub const SAMPLES_BEFORE_LONG: u32 = 2;

/// From one sample with a stack on a CPU to the next of a thread that is long in its task, in periods of the clock, at
/// least: which task a thread is in costs next to nothing, and its stack does not.
pub const SAMPLES_A_STACK: u32 = 10;

/// Of so many samples of other threads one has a stack: who is quicker keeps nobody waiting for long.
pub const SAMPLES_A_STACK_OF_OTHERS: u32 = 200;
