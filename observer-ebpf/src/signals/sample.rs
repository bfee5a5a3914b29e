//! Signal `sample`: what a watched thread runs when its CPU's clock ticks.
//!
//! Each time the runtime task that it is in is recorded, and now and then its stack.
//!
//! Programs are compiled without frame pointers, so the kernel cannot walk their stacks. The stack itself is copied,
//! and userspace walks it. That is large, so it goes to a ring of its own, in which it cannot crowd out records.

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    btf_maps::{PerCpuArray, RingBuf},
    helpers::generated::bpf_probe_read_user,
    macros::{btf_map, perf_event},
    programs::PerfEventContext,
};
use observer_common::{Kind, Seen, Stack, StackHead, limits, task};

use crate::{
    kernel::Task,
    presence, ring,
    runtime::{Runtime, collected},
    target, theft,
    word::Word,
};

/// Userspace sets its size.
#[btf_map]
static STACKS: RingBuf<[u8; 8], 4096> = RingBuf::new();

/// Samples for which there was no room on this CPU.
#[btf_map]
static SAMPLES_LOST: PerCpuArray<Word<u64>, 1> = PerCpuArray::new();

/// The last sample on this CPU.
#[btf_map]
static LAST_SAMPLE: PerCpuArray<Last, 1> = PerCpuArray::new();

/// What a sample leaves for the next one on its CPU.
#[repr(C)]
struct Last {
    at_ns: u64,
    /// The runtime task that the thread was in.
    task: u64,
    tid: u32,
    /// Samples before, each a period apart, that found the same.
    before: u32,
    /// When there was a stack.
    stack_ns: u64,
    /// Samples of threads long in their task since the last one of those with a stack.
    long: u32,
    /// The same of all others.
    others: u32,
}

impl Last {
    /// For how many samples, itself among them, the stack of this one is to stand; `None` if it is to have no stack.
    ///
    /// A stack is wanted of who keeps others waiting. But who is found long in a task is found near its end if it takes
    /// just so long: the others have stacks as well, fewer, and each kind stands for its own.
    #[inline(always)]
    fn stack_for(&mut self, at_ns: u64, period_ns: u64, task: u64, tid: u32) -> Option<u32> {
        // A tick may come a little sooner or later than it should.
        let periods_since = |then_ns: u64| (at_ns.saturating_sub(then_ns) + period_ns / 2) / period_ns.max(1);
        let stays = self.task == task && self.tid == tid && periods_since(self.at_ns) == 1;
        self.before = if stays { self.before.saturating_add(1) } else { 0 };
        self.at_ns = at_ns;
        self.task = task;
        self.tid = tid;
        let (like_it, asks) = if self.before >= limits::SAMPLES_BEFORE_LONG {
            self.long += 1;
            let asks = periods_since(self.stack_ns) >= u64::from(limits::SAMPLES_A_STACK);
            (&mut self.long, asks)
        } else {
            self.others += 1;
            let asks = self.others >= limits::SAMPLES_A_STACK_OF_OTHERS;
            (&mut self.others, asks)
        };
        if !asks {
            return None;
        }
        self.stack_ns = at_ns;
        Some(core::mem::take(like_it))
    }
}

/// The tick comes in an interrupt: the current thread is the one that was interrupted, in user mode or in a system
/// call. What it saved when it entered the kernel is where it is in its own code, in either case.
#[perf_event]
fn sample(ctx: PerfEventContext) -> u32 {
    let Some(current) = target::current() else {
        presence::found_another();
        return 0;
    };
    presence::found();
    let thread = Task::current();
    let at_ns = ring::now();
    theft::look(thread, current.tid(), current.tgid(), at_ns);
    collected::ticked(current.target(), current.tgid(), at_ns);
    let task = Runtime::of(current.target()).current_task(thread);
    if task != task::UNKNOWN {
        ring::write(
            at_ns,
            Seen {
                header: ring::header(Kind::Seen, current.tid(), at_ns),
                tgid: current.tgid(),
                reserved: 0,
                task,
            },
        );
    }
    let Some(last) = LAST_SAMPLE.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's slot; ticks of one CPU do not nest.
    let last = unsafe { &mut *last };
    // SAFETY: the context is the kernel's, and lives as long as this call.
    let period_ns = unsafe { (*ctx.ctx).sample_period };
    if let Some(samples) = last.stack_for(at_ns, period_ns, task, current.tid()) {
        let registers = thread.registers();
        copy_stack(StackHead {
            at_ns,
            task,
            stands_for_ns: u64::from(samples) * period_ns,
            ip: registers.ip(),
            sp: registers.sp(),
            bp: registers.bp(),
            tgid: current.tgid(),
            tid: current.tid(),
            cpu: ring::cpu(),
            stack_bytes: 0,
        });
    }
    0
}

/// Hands over the stack of the current thread, as much of it as can be read, with what is known of it.
#[inline(always)]
fn copy_stack(mut head: StackHead) {
    let Some(mut entry) = STACKS.reserve_untyped::<Stack>(0) else {
        if let Some(lost) = SAMPLES_LOST.get(0) {
            lost.set(lost.get().wrapping_add(1));
        }
        return;
    };
    let slot = entry.as_mut_ptr();
    // SAFETY: the slot is room for the whole record.
    let stack = unsafe { &raw mut (*slot).stack }.cast::<u8>();
    let mut filled = 0;
    while filled < limits::STACK_BYTES {
        // SAFETY: the piece lies inside the slot's stack, whose size is a multiple of it; a fault is reported.
        let status = unsafe {
            bpf_probe_read_user(
                stack.wrapping_add(filled).cast(),
                limits::STACK_STEP_BYTES as u32,
                head.sp.wrapping_add(filled as u64) as *const _,
            )
        };
        if status != 0 {
            break;
        }
        filled += limits::STACK_STEP_BYTES;
    }
    head.stack_bytes = filled as u32;
    // SAFETY: as above. Of the stack only what is filled is looked at.
    let place = unsafe { &raw mut (*slot).head };
    // SAFETY: it is writable and aligned.
    unsafe { place.write(head) };
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
}
