//! What the evidence says is wrong.

/// What the evidence says is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Which of the known troubles.
    pub kind: Trouble,
    /// The evidence in a sentence.
    pub text: String,
}

/// Troubles that are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A CPU quota is used up.
    Quota,
    /// Other processes have the CPUs.
    CpuTaken,
    /// More wants to run than there are CPUs: the target's own threads, or nobody knows who.
    CpuShort,
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
    /// Connections wait to be accepted, and no worker is seen that keeps them waiting.
    AcceptedLate,
    /// TCP holds the last bytes of responses back.
    HeldBack,
    /// The language runtime stopped the program.
    Stopped,
}

impl Trouble {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quota => "quota",
            Self::CpuTaken => "cpu_taken",
            Self::CpuShort => "cpu_short",
            Self::BlockedWorkers => "blocked_workers",
            Self::Saturated => "saturated",
            Self::Imbalanced => "imbalanced",
            Self::PoolExhausted => "pool_exhausted",
            Self::Stolen => "stolen",
            Self::AcceptedLate => "accepted_late",
            Self::HeldBack => "held_back",
            Self::Stopped => "stopped",
        }
    }
}
