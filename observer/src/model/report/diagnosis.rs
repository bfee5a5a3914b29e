//! What the evidence says is wrong.

use serde::Serialize;

/// What the evidence says is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Which of the known troubles.
    pub kind: Trouble,
    /// The evidence in a sentence.
    pub text: String,
}

/// Troubles that are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// A CPU quota is used up.
    Quota,
    /// Other processes have the CPUs.
    CpuTaken,
    /// Workers are blocked in calls.
    BlockedWorkers,
    /// Every worker is busy all the time.
    Saturated,
    /// Some workers are busy while others have nothing to do.
    Imbalanced,
    /// Jobs wait for a thread of the blocking pool.
    PoolExhausted,
    /// A hypervisor takes the CPUs away.
    Stolen,
    /// TCP holds the last bytes of responses back.
    HeldBack,
}
