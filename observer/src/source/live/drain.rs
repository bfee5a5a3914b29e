//! Turns rings that fill into batches in order.

use std::time::Duration;

use anyhow::Result;
use aya_log::EbpfLogger;
use bytemuck::Zeroable as _;
use observer_common::{Header, Losses, LostReason, ProcessChange};

use super::facts::{Facts, SECOND_NS, clock};
use super::kernel_half::{KernelHalf, LoadOptions};
use super::program_time::ProgramTime;
use super::runtime::{DetectedRuntime, RuntimeSearch};
use super::serving::ServingLooks;
use super::targets::{Change, Targets, choice, tell_executable};
use super::unsent::Unsent;
use crate::event::{self, Event, Tick};
use crate::model::full::Full;
use crate::model::id::Pid;
use crate::source::{Batch, Merge, Source, Status};

/// How long to wait between drains that find little. A wake-up of userspace per record would cost the target
/// more than everything else together, so it is a timer.
const POLL_IDLE: Duration = Duration::from_millis(20);

/// How long to wait after a drain that found [`MANY_RECORDS`]. What 20 ms of a saturated server leave takes 3 ms
/// of a CPU, and who waited for that CPU was then seen waiting for the observer, at the p99.
const POLL_BUSY: Duration = Duration::from_millis(4);

/// A millisecond of work, about.
const MANY_RECORDS: u64 = 1000;

/// A record is in its ring at most this long after its time stamp; what is older than a drain by this much can be
/// released. Programs run for less than a microsecond; the rest is for a virtual CPU that the hypervisor takes away
/// meanwhile. One that emulates CPUs in turn (QEMU, with one thread) leaves each waiting for up to 100 ms. A saturated
/// CPU writes 1.5 MiB in that time.
pub(super) const SLACK_NS: u64 = 150_000_000;

/// A record that was lost was counted at most this long after its time stamp.
const LOST_SLACK_NS: u64 = 20_000_000;

/// The kernel half, drained on the caller's timer.
pub struct LiveSource {
    kernel_half: KernelHalf,
    targets: Targets,
    /// More may come after the last has ended.
    is_awaiting: bool,
    facts: Facts,
    serving: ServingLooks,
    runtimes: RuntimeSearch,
    unsent: Unsent,
    program_time: ProgramTime,
    merge: Merge,
    losses: Vec<Losses>,
    drained_ns: u64,
    /// Everything older was given out.
    released_ns: u64,
    second_ns: u64,
    records: u64,
    records_drained: u64,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
}

impl LiveSource {
    /// Drains `kernel_half`, which was loaded with `options`. In its processes, these runtimes were found, and `unread`
    /// has what was not read of their files.
    ///
    /// # Errors
    /// When its counters cannot be read.
    pub fn new(
        mut kernel_half: KernelHalf,
        options: &LoadOptions,
        runtimes: impl Iterator<Item = (Pid, Option<DetectedRuntime>)>,
        unread: Full,
    ) -> Result<Self> {
        let now_ns = clock(libc::CLOCK_MONOTONIC);
        let mut merge = Merge::default();
        for &(pid, port) in &options.listeners {
            let listens = event::Port::new(kernel_half.began_ns, pid, port);
            merge.push(bytemuck::bytes_of(&listens));
        }
        // Counting began with the programs, at nothing.
        let losses = vec![Losses::zeroed(); kernel_half.losses()?.len()];
        let logger = EbpfLogger::init(kernel_half.ebpf()).ok();
        let mut targets = Targets::new(&options.pids, kernel_half.began_ns);
        let changes = choice::complete(&mut targets, &mut kernel_half, options, &mut merge)?;
        let mut source = Self {
            kernel_half,
            targets,
            is_awaiting: !options.awaited.is_empty(),
            facts: Facts::new(),
            serving: ServingLooks::new(&options.pids, &options.awaited, now_ns),
            runtimes: RuntimeSearch::new(runtimes, unread)?,
            unsent: Unsent::default(),
            program_time: ProgramTime::default(),
            merge,
            losses,
            drained_ns: 0,
            released_ns: 0,
            second_ns: now_ns,
            records: 0,
            records_drained: 0,
            logger,
        };
        source.tell(&changes);
        // A busy server has written since the first program was attached: some 10 MiB a second for each CPU.
        source.drain()?;
        source.each_second();
        Ok(source)
    }

    /// Nanoseconds to add to a record's time to get Unix time, now.
    #[must_use]
    pub fn unix_offset_ns() -> u64 {
        clock(libc::CLOCK_REALTIME).saturating_sub(clock(libc::CLOCK_MONOTONIC))
    }

    /// `CLOCK_MONOTONIC`, ns: the clock of every record.
    #[must_use]
    pub fn now_ns() -> u64 {
        clock(libc::CLOCK_MONOTONIC)
    }

    /// What the rings hold, bytes.
    #[must_use]
    pub const fn rings_bytes(&self) -> usize {
        self.kernel_half.rings.bytes
    }

    /// How long to wait before the next drain.
    #[must_use]
    pub const fn drain_interval(&self) -> Duration {
        if self.records_drained >= MANY_RECORDS {
            POLL_BUSY
        } else {
            POLL_IDLE
        }
    }

    /// Whether every target has ended, it is known who took over, and nobody is waited for.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.targets.is_empty() && !self.serving.is_searching() && !self.is_awaiting
    }

    /// Releases what is left, when nothing more is wanted.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn finish(&mut self, batch: &mut Batch) -> Result<()> {
        let now_ns = self.drain()?;
        self.count_missed();
        self.program_time.end(self.kernel_half.ebpf(), now_ns);
        batch.clear();
        self.each_second();
        self.serving
            .look(now_ns, &self.kernel_half.targets, &mut self.merge);
        self.search(now_ns, true);
        self.runtimes.finish(self.drained_ns, &mut self.merge);
        self.merge.release(u64::MAX, batch);
        batch.push(bytemuck::bytes_of(&Tick::new(self.drained_ns)));
        batch.push(bytemuck::bytes_of(&event::End::new(self.drained_ns)));
        Ok(())
    }

    fn drain(&mut self) -> Result<u64> {
        let now_ns = clock(libc::CLOCK_MONOTONIC);
        self.count_losses(now_ns)?;
        let Self {
            kernel_half,
            targets,
            facts,
            serving,
            unsent,
            runtimes,
            merge,
            records,
            released_ns,
            ..
        } = self;
        let before = *records;
        kernel_half.rings.drain(|record| {
            *records += 1;
            let event = match read(record, now_ns, *released_ns) {
                Ok(event) => event,
                Err(lost) => {
                    merge.push(bytemuck::bytes_of(&lost));
                    targets.doubt();
                    return;
                }
            };
            if let Event::Process(record) = event {
                if record.change == ProcessChange::Listens as u32 {
                    tell_executable(record.header.at_ns, Pid(record.tgid), merge);
                }
                targets.on_record(record);
            }
            facts.on_event(&event, merge);
            serving.on_event(&event);
            unsent.on_event(&event);
            runtimes.on_event(&event);
            merge.push(record);
        });
        let changes = targets.changes(now_ns);
        self.tell(&changes);
        self.unsent.ask(now_ns, &mut self.merge);
        self.runtimes
            .step(&mut self.kernel_half, now_ns, self.released_ns, &mut self.merge)?;
        if let Some(stacks) = &mut self.kernel_half.stacks {
            stacks.drain(self.released_ns, &mut self.merge);
        }
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
        self.records_drained = self.records - before;
        self.drained_ns = now_ns;
        Ok(now_ns)
    }

    /// Tells whoever keeps something of each target what happened to them.
    fn tell(&mut self, changes: &[Change]) {
        for &change in changes {
            self.facts.named_fds.on_change(change);
            self.serving.on_change(change);
            self.runtimes.on_change(change);
            if let Some(stacks) = &mut self.kernel_half.stacks {
                stacks.on_change(change);
            }
        }
    }

    /// Looks for who took over from those that ended.
    fn search(&mut self, now_ns: u64, last: bool) {
        let (targets, in_kernel) = (&self.targets, &self.kernel_half.targets);
        self.serving
            .search(now_ns, targets, in_kernel, last, &mut self.merge);
    }

    fn each_second(&mut self) {
        if self.targets.is_in_doubt() {
            let in_kernel = self.kernel_half.targets.pids();
            let changes = self.targets.compare(&in_kernel, self.drained_ns, &mut self.merge);
            self.tell(&changes);
        }
        self.report_full();
        let over_ns = self.drained_ns.saturating_sub(self.second_ns);
        self.second_ns = self.drained_ns;
        let records = std::mem::take(&mut self.records);
        let ebpf_ns = self.program_time.take(over_ns);
        if let Some(stacks) = &mut self.kernel_half.stacks {
            self.merge
                .push(bytemuck::bytes_of(&stacks.count(self.drained_ns)));
        }
        self.facts
            .each_second(self.drained_ns, &self.targets, records, ebpf_ns, &mut self.merge);
        self.serving
            .each_second(self.drained_ns, &self.kernel_half.targets, &mut self.merge);
        self.program_time.begin(self.kernel_half.ebpf(), self.drained_ns);
    }

    /// Reports which tables of the source were full.
    fn report_full(&mut self) {
        let full = self.facts.named_fds.full.take();
        full.add(&self.unsent.full.take());
        full.add(&self.runtimes.full.take());
        if let Some(stacks) = &self.kernel_half.stacks {
            full.add(&stacks.take_full());
        }
        for (table, count) in full.counts() {
            let fact = event::Full::new(self.drained_ns, table, count);
            self.merge.push(bytemuck::bytes_of(&fact));
        }
    }

    /// What was lost since the last look lies between the two looks.
    fn count_losses(&mut self, now_ns: u64) -> Result<()> {
        let losses = self.kernel_half.losses()?;
        for (before, after) in self.losses.iter().zip(&losses) {
            for (index, reason) in LostReason::ALL.into_iter().enumerate() {
                let count = after.count[index].saturating_sub(before.count[index]);
                if count > 0 {
                    if reason == LostReason::RingFull {
                        self.targets.doubt();
                    }
                    let from_ns = self.drained_ns.saturating_sub(LOST_SLACK_NS);
                    let lost = event::Lost::new(
                        from_ns,
                        count,
                        from_ns,
                        after.last_ns[index].min(now_ns),
                        reason as u32,
                    );
                    self.merge.push(bytemuck::bytes_of(&lost));
                }
            }
        }
        self.losses = losses;
        if self.kernel_half.misses.is_due(now_ns) {
            self.count_missed();
        }
        Ok(())
    }

    /// What did not come to the kernel half's programs since the last look.
    fn count_missed(&mut self) {
        if let Some(missed) = self.kernel_half.misses.look() {
            self.targets.doubt();
            self.merge.push(bytemuck::bytes_of(&missed));
        }
    }
}

impl Source for LiveSource {
    fn next(&mut self, batch: &mut Batch) -> Result<Status> {
        let now_ns = self.drain()?;
        self.program_time.end(self.kernel_half.ebpf(), now_ns);
        if now_ns.saturating_sub(self.second_ns) >= SECOND_NS {
            self.each_second();
        }
        self.search(now_ns, false);
        let watermark_ns = now_ns.saturating_sub(SLACK_NS);
        batch.clear();
        self.merge.release(watermark_ns, batch);
        self.released_ns = watermark_ns;
        batch.push(bytemuck::bytes_of(&Tick::new(watermark_ns)));
        Ok(Status::More)
    }
}

/// A record that was drained at `now_ns`, when everything before `released_ns` had been given out.
///
/// # Errors
/// The loss that it counts as, where it cannot be taken in.
fn read(record: &[u8], now_ns: u64, released_ns: u64) -> Result<Event<'_>, event::Lost> {
    // The kernel aligns each to eight bytes, as events are.
    let Ok((event, _)) = Event::read(record) else {
        let malformed = event::Lost::MALFORMED;
        return Err(event::Lost::new(now_ns, 1, released_ns, now_ns, malformed));
    };
    let at_ns = bytemuck::from_bytes::<Header>(&record[..size_of::<Header>()]).at_ns;
    if at_ns < released_ns {
        // Time does not go back: it is as good as lost.
        let late = event::Lost::LATE;
        return Err(event::Lost::new(now_ns, 1, at_ns, released_ns, late));
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use observer_common::{Kind, Seen};

    use super::*;

    #[test]
    fn records_that_come_too_late_and_those_that_are_none_are_lost() {
        let seen = |kind, at_ns| Seen {
            header: Header {
                at_ns,
                kind,
                ..Header::zeroed()
            },
            ..Seen::zeroed()
        };
        let known = Kind::Seen as u16;
        let lost = |record: &[u8]| {
            read(record, 100, 50)
                .err()
                .map(|lost| (lost.reason, lost.from_ns, lost.to_ns))
        };
        let whole = seen(known, 50);
        let bytes = bytemuck::bytes_of(&whole);
        assert_eq!(lost(bytes), None);
        assert_eq!(lost(&bytes[..16]), Some((event::Lost::MALFORMED, 50, 100)));
        let of_none = seen(u16::MAX, 60);
        assert_eq!(
            lost(bytemuck::bytes_of(&of_none)),
            Some((event::Lost::MALFORMED, 50, 100))
        );
        let late = seen(known, 49);
        assert_eq!(lost(bytemuck::bytes_of(&late)), Some((event::Lost::LATE, 49, 50)));
    }
}
