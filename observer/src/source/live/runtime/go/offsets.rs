//! Where each version of Go keeps what is read of its goroutines (`g`), threads (`m`), scheduler (`p` and `sched`) and
//! garbage collection, amd64: by `scripts/go_offsets.py`, from what the toolchains themselves say.

use crate::runtime::go::Version;

/// Bytes from the start of the structure that each name begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offsets {
    pub(super) g_m: i32,
    /// Where in its code it goes on when it runs again.
    pub(super) g_goes_on: i32,
    /// The frame in which it does.
    pub(super) g_frame: i32,
    pub(super) g_goid: i32,
    pub(super) g_waitreason: i32,
    pub(super) g_tracking_seq: i32,
    pub(super) m_g0: i32,
    pub(super) m_procid: i32,
    pub(super) m_curg: i32,
    /// How many cycles began.
    pub(super) work_cycles: u16,
    /// When the phases of the last one did: four words.
    pub(super) work_times: u16,
    /// How long the world was stopped in each of the last 256 cycles.
    pub(super) memstats_pauses: u16,
    /// How many cycles are over.
    pub(super) memstats_numgc: u16,
    pub(super) controller_heap: u16,
    pub(super) controller_goal: u16,
    /// How many goroutines are the runtime's own.
    pub(super) sched_system: u16,
    /// How many Ps have nothing to do.
    pub(super) sched_idle: u16,
    /// Length of the queue that all Ps share.
    pub(super) sched_runnable: u16,
    /// How many goroutines have ended and can be used again; until 1.24 all, with their stacks and without, are one.
    pub(super) sched_free: u16,
    pub(super) sched_free_without_stack: u16,
    pub(super) p_id: u16,
    pub(super) p_status: u16,
    /// Both ends of its queue.
    pub(super) p_head: u16,
    pub(super) p_tail: u16,
    /// Which goroutine it runs before those.
    pub(super) p_next: u16,
    /// How many goroutines have ended on it.
    pub(super) p_free: u16,
}

/// The times of phases, bytes from the number of the cycle: both are read at once.
pub(super) const WORK_TIMES: u16 = 16;

/// By minor version, with the patch that was asked.
#[rustfmt::skip]
const BY_VERSION: [(u8, Offsets); 9] = [
    // 1.19.13
    (19, Offsets { g_m: 48, g_goes_on: 64, g_frame: 104, g_goid: 152, g_waitreason: 176, g_tracking_seq: 189, m_g0: 0, m_procid: 72, m_curg: 192, work_cycles: 344, work_times: 360, memstats_pauses: 3608, memstats_numgc: 7704, controller_heap: 136, controller_goal: 104, sched_system: 72, sched_idle: 88, sched_runnable: 112, sched_free: 176, sched_free_without_stack: 176, p_id: 0, p_status: 4, p_head: 400, p_tail: 404, p_next: 2456, p_free: 2472 }),
    // 1.20.14
    (20, Offsets { g_m: 48, g_goes_on: 64, g_frame: 104, g_goid: 152, g_waitreason: 176, g_tracking_seq: 189, m_g0: 0, m_procid: 72, m_curg: 192, work_cycles: 336, work_times: 352, memstats_pauses: 3608, memstats_numgc: 7704, controller_heap: 80, controller_goal: 48, sched_system: 72, sched_idle: 88, sched_runnable: 120, sched_free: 184, sched_free_without_stack: 184, p_id: 0, p_status: 4, p_head: 400, p_tail: 404, p_next: 2456, p_free: 2472 }),
    // 1.21.13
    (21, Offsets { g_m: 48, g_goes_on: 64, g_frame: 104, g_goid: 152, g_waitreason: 176, g_tracking_seq: 188, m_g0: 0, m_procid: 72, m_curg: 192, work_cycles: 400, work_times: 416, memstats_pauses: 3608, memstats_numgc: 7704, controller_heap: 104, controller_goal: 72, sched_system: 72, sched_idle: 88, sched_runnable: 120, sched_free: 184, sched_free_without_stack: 184, p_id: 0, p_status: 4, p_head: 400, p_tail: 404, p_next: 2456, p_free: 2472 }),
    // 1.22.12
    (22, Offsets { g_m: 48, g_goes_on: 64, g_frame: 104, g_goid: 152, g_waitreason: 176, g_tracking_seq: 191, m_g0: 0, m_procid: 72, m_curg: 192, work_cycles: 400, work_times: 416, memstats_pauses: 3608, memstats_numgc: 7704, controller_heap: 104, controller_goal: 72, sched_system: 72, sched_idle: 88, sched_runnable: 120, sched_free: 184, sched_free_without_stack: 184, p_id: 0, p_status: 4, p_head: 400, p_tail: 404, p_next: 2456, p_free: 2472 }),
    // 1.23.12
    (23, Offsets { g_m: 48, g_goes_on: 64, g_frame: 104, g_goid: 160, g_waitreason: 184, g_tracking_seq: 199, m_g0: 0, m_procid: 72, m_curg: 192, work_cycles: 424, work_times: 440, memstats_pauses: 3608, memstats_numgc: 7704, controller_heap: 104, controller_goal: 72, sched_system: 72, sched_idle: 88, sched_runnable: 120, sched_free: 184, sched_free_without_stack: 184, p_id: 0, p_status: 4, p_head: 392, p_tail: 396, p_next: 2448, p_free: 2464 }),
    // 1.24.13
    (24, Offsets { g_m: 48, g_goes_on: 64, g_frame: 104, g_goid: 160, g_waitreason: 184, g_tracking_seq: 199, m_g0: 0, m_procid: 72, m_curg: 192, work_cycles: 424, work_times: 440, memstats_pauses: 3608, memstats_numgc: 7704, controller_heap: 104, controller_goal: 72, sched_system: 72, sched_idle: 88, sched_runnable: 120, sched_free: 184, sched_free_without_stack: 184, p_id: 0, p_status: 4, p_head: 392, p_tail: 396, p_next: 2448, p_free: 2464 }),
    // 1.25.14
    (25, Offsets { g_m: 48, g_goes_on: 64, g_frame: 96, g_goid: 152, g_waitreason: 176, g_tracking_seq: 191, m_g0: 0, m_procid: 64, m_curg: 184, work_cycles: 512, work_times: 528, memstats_pauses: 3584, memstats_numgc: 7680, controller_heap: 104, controller_goal: 72, sched_system: 80, sched_idle: 96, sched_runnable: 128, sched_free: 184, sched_free_without_stack: 200, p_id: 0, p_status: 4, p_head: 392, p_tail: 396, p_next: 2448, p_free: 2464 }),
    // 1.26.11
    (26, Offsets { g_m: 48, g_goes_on: 64, g_frame: 96, g_goid: 152, g_waitreason: 176, g_tracking_seq: 191, m_g0: 0, m_procid: 64, m_curg: 184, work_cycles: 648, work_times: 664, memstats_pauses: 3584, memstats_numgc: 7680, controller_heap: 104, controller_goal: 72, sched_system: 96, sched_idle: 112, sched_runnable: 144, sched_free: 200, sched_free_without_stack: 216, p_id: 0, p_status: 4, p_head: 400, p_tail: 404, p_next: 2456, p_free: 2472 }),
    // 1.27.4
    (27, Offsets { g_m: 48, g_goes_on: 64, g_frame: 96, g_goid: 152, g_waitreason: 176, g_tracking_seq: 191, m_g0: 0, m_procid: 64, m_curg: 184, work_cycles: 648, work_times: 664, memstats_pauses: 3584, memstats_numgc: 7680, controller_heap: 104, controller_goal: 72, sched_system: 96, sched_idle: 112, sched_runnable: 144, sched_free: 200, sched_free_without_stack: 216, p_id: 0, p_status: 4, p_head: 400, p_tail: 404, p_next: 2456, p_free: 2472 }),
];

impl Offsets {
    /// Those of a version.
    pub(super) fn of(version: Version) -> Self {
        let [.., (_, newest)] = BY_VERSION;
        let found = BY_VERSION.iter().find(|(minor, _)| *minor == version.minor());
        found.map_or(newest, |&(_, offsets)| offsets)
    }
}

#[cfg(test)]
mod tests {
    use observer_common::{GOES_ON_AT, TaskPath};

    use super::*;

    #[test]
    fn each_version_that_is_known_has_a_row_in_which_what_is_read_at_once_lies_together() {
        for (minor, offsets) in BY_VERSION {
            let version = Version::of(&format!("go1.{minor}")).unwrap();
            assert_eq!((version.minor(), Offsets::of(version)), (minor, offsets));
            let word = |offset: i32| TaskPath::ID_WORD + (offset - offsets.g_goid) as usize / 8;
            assert_eq!(u64::try_from(offsets.g_goes_on), Ok(GOES_ON_AT), "{minor}");
            assert_eq!(offsets.g_waitreason % 8, 0);
            assert_eq!(word(offsets.g_waitreason), TaskPath::REASON_WORD);
            assert_eq!(word(offsets.g_tracking_seq), TaskPath::STOPS_WORD, "{minor}");
            assert_eq!(offsets.work_times, offsets.work_cycles + WORK_TIMES, "{minor}");
        }
        assert_eq!(Offsets::of(Version::NEWEST), BY_VERSION[BY_VERSION.len() - 1].1);
    }
}
