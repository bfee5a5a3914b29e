//! `window` and `end` lines.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Counts, Object};
use crate::model::hint::Hint;
use crate::model::report::{
    AtQuantiles, BandMeans, ByConfidence, ByStatus, CycleTotals, Diagnosis, End, FaultMeans, FedBy,
    GoroutineTotals, LongPoll, LongestTask, LookCost, OwnCost, PathTotals, PollTotals, PoolTotals, ProbeCost,
    ProcessFigures, ProcessMemory, ProcessRoles, ProcessWorkers, ProtocolTotals, Quantiles, RoleThread,
    RoleTotals, RssMeans, TargetTotals, Totals, WaitedFor, Window, WorkerTotals,
};
object!(Window {
    start_unix_ns,
    duration_ns,
    totals: inlined,
    hints,
    run: left_out,
});
object!(End {
    start_unix_ns,
    duration_ns,
    under_way,
    truncated: if_true,
    totals: inlined,
    hints,
});
object!(Totals {
    figures: inlined,
    polls: optional,
    gc,
    goroutines,
    lost: counts,
    full: counts,
    cost: optional,
    targets,
    targets_other,
});
object!(TargetTotals {
    pid,
    comm: optional,
    processes,
    pids,
    ended,
    figures: inlined,
});
object!(ProcessFigures {
    protocol: optional,
    requests,
    incomplete,
    unanswered,
    late_sends,
    unsent,
    begun_before,
    unknown_direction,
    clamped,
    confidence,
    status,
    latency_ns: optional,
    at: optional,
    paths,
    paths_other,
    paths_overflow,
    other_protocols,
    memory,
    workers,
    diagnosis: optional,
});
object!(ByConfidence {
    exact,
    inferred,
    partial
});
object!(ByStatus {
    informational: "1xx",
    success: "2xx",
    redirect: "3xx",
    client_error: "4xx",
    server_error: "5xx",
    unknown,
});
object!(Quantiles {
    min,
    mean,
    p50,
    p90,
    p99,
    p999,
    max
});
object!(AtQuantiles { p50, p99, p999 });
object!(BandMeans {
    requests,
    latency_ns,
    receive_queue_ns,
    budget_ns,
    rss: optional,
    faults,
    waited_for,
    waited_for_others_ns,
});
object!(RssMeans { start, end });
object!(FaultMeans { minor, major });
object!(WaitedFor {
    cause,
    requests,
    mean_ns,
    syscall: optional,
    object: optional,
    peer: optional,
    pid: optional,
    comm: optional,
    request: optional,
    runtime: optional,
    pool: if_true,
    function: optional,
    held_by: optional,
    waits_in: optional,
    called_by: optional,
});
object!(PathTotals {
    path,
    requests,
    p50_ns,
    p99_ns
});
object!(ProtocolTotals {
    protocol,
    turns,
    unanswered,
    p50_ns: optional,
    p99_ns: optional,
});
object!(ProcessMemory {
    pid,
    rss_bytes,
    rss_max_bytes,
    minor_faults,
    major_faults,
});
object!(ProcessWorkers {
    pid,
    count,
    none_free_ns,
    threads,
    idlest: left_out,
    pool: optional,
    by_role: optional,
});
object!(ProcessRoles { roles, no_role });
object!(RoleTotals {
    role,
    count,
    ended,
    at_work,
    epolls: optional,
    fed_by,
    threads,
});
object!(FedBy {
    tid,
    comm: optional,
    role: optional,
    syscall: optional,
    times,
});
object!(RoleThread {
    tid,
    comm: optional,
    busy,
    at_work,
    epoll: optional,
    evidence: counts,
});
object!(PoolTotals {
    threads,
    busy,
    jobs,
    queued
});
object!(WorkerTotals {
    tid,
    comm: optional,
    busy,
    run_queue,
    blocked,
    parked,
    turns,
    longest: optional,
});
object!(LongestTask {
    dur_ns,
    task: optional,
    request: optional,
    syscall: optional,
});
object!(Diagnosis { kind, text });
object!(Hint {
    kind,
    pid: optional,
    pids,
    text,
    remedy,
});
object!(PollTotals {
    polls,
    unqueued,
    long,
    p50_ns: optional,
    p99_ns: optional,
    max_ns: optional,
    queue_p50_ns: optional,
    queue_p99_ns: optional,
    queue_max_ns: optional,
    longest,
});
object!(CycleTotals {
    pid,
    cycles,
    missed,
    mark_ns,
    stopped_ns,
    longest_stop_ns,
    assist_ns,
    heap_bytes,
    goal_bytes: optional,
});
object!(GoroutineTotals {
    pid,
    count,
    count_max,
    runnable,
    runnable_max,
});
object!(LongPoll {
    pid,
    tid,
    task: optional,
    start_unix_ns,
    dur_ns,
    request: optional,
});
object!(OwnCost {
    ebpf_ns: optional,
    cpu_ns,
    rss_bytes,
    records,
    samples: optional,
    samples_lost: optional,
    ticks_on_others: optional,
    probes: optional,
    looks: optional,
});
object!(LookCost {
    count,
    parked,
    changed,
    skipped,
    spent_ns,
});
object!(ProbeCost { hits, estimated_ns });
