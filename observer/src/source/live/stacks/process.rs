//! What one process has mapped, and how its stacks unwind.

use std::sync::Arc;

use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, FrameAddress, Module, Unwinder as _};
use observer_common::StackHead;
use procfs::process::MemoryMap;

use super::image::{Image, LoadedSection};
use super::images::{FileAddress, Images};
use super::made::Made;
use super::maps::{FileId, Mapped};
use crate::model::id::Pid;

/// Frames of a stack that are looked at, from the innermost.
const MAX_FRAMES: usize = 128;

/// A process.
pub(super) struct Process {
    maps: Vec<Mapped>,
    /// By address: what, and what is to be added to its file's addresses.
    modules: Vec<(Mapped, u64)>,
    unwinder: UnwinderX86_64<Arc<[u8]>>,
}

impl Process {
    /// Process `pid`, which has this mapped.
    pub(super) fn of(pid: Pid, found: &[MemoryMap], images: &mut Images) -> Self {
        let maps: Vec<Mapped> = found.iter().map(Mapped::of).collect();
        let mut unwinder = UnwinderX86_64::new();
        let mut modules = Vec::new();
        for (mapped, map) in maps.iter().zip(found) {
            let Some(image) = images.get(pid, map) else {
                continue;
            };
            let Some(bias) = image.bias(mapped.start, mapped.offset) else {
                continue;
            };
            unwinder.add_module(module(image, mapped, bias));
            modules.push((*mapped, bias));
        }
        modules.sort_by_key(|(mapped, _)| mapped.start);
        Self {
            maps,
            modules,
            unwinder,
        }
    }

    /// Whether exactly this is mapped.
    pub(super) fn has(&self, maps: &[Mapped]) -> bool {
        self.maps == maps
    }

    /// Whether it has mapped this file.
    pub(super) fn uses(&self, file: FileId) -> bool {
        self.modules.iter().any(|(mapped, _)| mapped.file == file)
    }

    /// An address of each frame of a stack, from the innermost out. The last is in no code that is known, if the thread
    /// is in code that was made at run time and of which nothing is told, or in none at all: what is further out is a
    /// guess.
    pub(super) fn frames(
        &self,
        made: &Made,
        head: &StackHead,
        stack: &[u8],
        cache: &mut CacheX86_64,
    ) -> Vec<u64> {
        let mut read = |address: u64| {
            let at = usize::try_from(address.checked_sub(head.sp).ok_or(())?).map_err(|_| ())?;
            let word = stack.get(at..).and_then(|rest| rest.first_chunk()).ok_or(())?;
            Ok(u64::from_le_bytes(*word))
        };
        let mut registers = UnwindRegsX86_64::new(head.ip, head.sp, head.bp);
        let mut frame = FrameAddress::from_instruction_pointer(head.ip);
        let mut found = Vec::with_capacity(32);
        loop {
            let address = frame.address_for_lookup();
            found.push(address);
            if found.len() >= MAX_FRAMES {
                break;
            }
            let made = match self.place(address) {
                Some(_) => None,
                None => match made.at(address, head.at_ns) {
                    Some((_, code)) => Some(code),
                    None => break,
                },
            };
            let caller = if made.is_some_and(|code| code.is_trampoline) && frame.is_return_address() {
                through_trampoline(&mut registers, &mut read)
            } else {
                // Code that was made at run time has no tables, but frame pointers, as a rule.
                let caller = self
                    .unwinder
                    .unwind_frame(frame, &mut registers, cache, &mut read);
                caller.ok().flatten()
            };
            match caller.and_then(FrameAddress::from_return_address) {
                Some(caller) => frame = caller,
                None => break,
            }
        }
        found
    }

    /// The file that is mapped at an address, and the address as the file states it.
    pub(super) fn place(&self, address: u64) -> Option<FileAddress> {
        let after = self
            .modules
            .partition_point(|(mapped, _)| mapped.start <= address);
        let (mapped, bias) = self.modules.get(after.checked_sub(1)?)?;
        (address < mapped.end).then_some(FileAddress {
            file: mapped.file,
            address: address.wrapping_sub(*bias),
        })
    }
}

/// Who called a trampoline, of which it is known that it keeps nothing on the stack but one word: the frame pointer, or
/// nothing that is used.
fn through_trampoline(
    registers: &mut UnwindRegsX86_64,
    read: &mut impl FnMut(u64) -> Result<u64, ()>,
) -> Option<u64> {
    const WORD: u64 = size_of::<u64>() as u64;
    let sp = registers.sp();
    if registers.bp() == sp {
        registers.set_bp(read(sp).ok()?);
    }
    let caller = read(sp.checked_add(WORD)?).ok()?;
    registers.set_sp(sp.checked_add(2 * WORD)?);
    registers.set_ip(caller);
    Some(caller)
}

fn module(image: &Image, mapped: &Mapped, bias: u64) -> Module<Arc<[u8]>> {
    let bytes = |section: &Option<LoadedSection>| section.as_ref().map(|section| Arc::clone(&section.bytes));
    let addresses =
        |section: &Option<LoadedSection>| section.as_ref().map(|section| section.addresses.clone());
    Module::new(
        String::new(),
        mapped.start..mapped.end,
        bias,
        ExplicitModuleSectionInfo {
            eh_frame_svma: addresses(&image.eh_frame),
            eh_frame: bytes(&image.eh_frame),
            eh_frame_hdr_svma: addresses(&image.eh_frame_hdr),
            eh_frame_hdr: bytes(&image.eh_frame_hdr),
            ..Default::default()
        },
    )
}

#[cfg(test)]
pub(super) mod tests {
    use std::arch::asm;
    use std::fs::File;
    use std::hint::black_box;
    use std::os::unix::fs::FileExt as _;

    use bytemuck::Zeroable as _;
    use observer_common::limits::STACK_BYTES;
    use procfs::process::MMapPath;

    use super::*;
    use crate::model::full::Full;
    use crate::source::live::stacks::made::{Code, Entry, News};
    use crate::source::live::stacks::maps::executable;

    /// What a sample of this thread would have, here.
    #[inline(never)]
    fn innermost() -> (StackHead, Vec<u8>) {
        let (ip, sp, bp): (u64, u64, u64);
        // SAFETY: reads three registers and changes none but those that it gives.
        unsafe {
            asm!("lea {}, [rip]", "mov {}, rsp", "mov {}, rbp", out(reg) ip, out(reg) sp, out(reg) bp, options(nomem, nostack));
        }
        let mut stack = vec![0; STACK_BYTES];
        // Through the file, which ends where the stack does.
        let read = File::open("/proc/self/mem")
            .unwrap()
            .read_at(&mut stack, sp)
            .unwrap();
        stack.truncate(read);
        let head = StackHead {
            ip,
            sp,
            bp,
            tgid: std::process::id(),
            ..StackHead::zeroed()
        };
        (head, stack)
    }

    /// The same with a function around it.
    #[inline(never)]
    pub(in super::super) fn caller() -> (StackHead, Vec<u8>) {
        black_box(innermost())
    }

    /// This process.
    fn look_at(images: &mut Images) -> Process {
        let maps = executable("self").unwrap();
        Process::of(Pid(std::process::id()), &maps, images)
    }

    /// The names of the functions of a stack of this process, from the innermost out.
    fn names(head: &StackHead, stack: &[u8]) -> Vec<Arc<str>> {
        let mut images = Images::default();
        let process = look_at(&mut images);
        let frames = process.frames(&Made::default(), head, stack, &mut CacheX86_64::new());
        let places = frames.into_iter().filter_map(|address| process.place(address));
        let functions = places.flat_map(|place| {
            let (range, functions) = images.functions(place);
            assert!(range.contains(&place.address));
            functions.iter().flatten().cloned().collect::<Vec<_>>()
        });
        functions.map(|function| function.name).collect()
    }

    #[test]
    fn a_stack_of_this_program_has_its_functions_from_the_innermost_out() {
        let (head, stack) = black_box(caller());
        let names = names(&head, &stack);
        let place = |end: &str| names.iter().position(|name| name.ends_with(end));
        assert_eq!(place("process::tests::innermost"), Some(0), "{names:?}");
        assert_eq!(place("process::tests::caller"), Some(1), "{names:?}");
        assert!(place("from_the_innermost_out") > Some(1), "{names:?}");
        assert!(names.len() > 4, "it goes on in the test harness: {names:?}");
    }

    #[inline(always)]
    fn inlined() -> u64 {
        let ip: u64;
        // What it gives is the address of what follows, which is here, too.
        // SAFETY: reads a register and changes none but the one that it gives.
        unsafe { asm!("lea {}, [rip]", "nop", out(reg) ip, options(nomem, nostack)) };
        ip
    }

    #[inline(never)]
    fn around() -> u64 {
        black_box(inlined())
    }

    #[test]
    #[cfg_attr(
        not(debug_assertions),
        ignore = "a release build has no names of what was inlined"
    )]
    fn what_was_inlined_comes_before_what_it_was_inlined_in() {
        let head = StackHead {
            ip: around(),
            ..StackHead::zeroed()
        };
        let names = names(&head, &[]);
        let is = |at: usize, end: &str| names.get(at).is_some_and(|name| name.ends_with(end));
        assert!(
            is(0, "process::tests::inlined") && is(1, "process::tests::around"),
            "{names:?}"
        );
    }

    #[test]
    fn what_is_found_at_an_address_is_true_of_all_its_range_of_code() {
        let mut images = Images::default();
        let process = look_at(&mut images);
        let (head, stack) = caller();
        let frames = process.frames(&Made::default(), &head, &stack, &mut CacheX86_64::new());
        let mut inlined = 0;
        for address in frames
            .into_iter()
            .flat_map(|frame| (frame..frame + 600).step_by(7))
        {
            let Some(place) = process.place(address) else {
                continue;
            };
            let (range, functions) = images.functions(place);
            assert!(range.contains(&place.address));
            inlined += usize::from(functions.len() > 1);
            for other in [range.start, range.start.midpoint(range.end), range.end - 1] {
                let other = FileAddress {
                    address: other,
                    ..place
                };
                assert_eq!(images.functions(other), (range.clone(), functions.clone()));
            }
        }
        assert!(inlined > 10 || !cfg!(debug_assertions), "{inlined}");
    }

    #[test]
    fn of_a_stack_that_was_cut_the_inner_part_is_known() {
        let (head, mut stack) = caller();
        stack.truncate(8);
        let names = names(&head, &stack);
        assert!(names[0].ends_with("process::tests::innermost"), "{names:?}");
    }

    #[test]
    fn code_that_was_made_is_followed_and_trampolines_that_keep_no_frame_pointer_too() {
        let code = |bytes, is_trampoline| Code {
            bytes,
            is_trampoline,
            was_moved: false,
            at: 0,
        };
        let loaded = |start, code| Entry::Loaded { start, code };
        let news = News {
            entries: vec![loaded(0x1000, code(64, false)), loaded(0x2000, code(11, true))],
            is_whole: true,
            ..News::default()
        };
        let mut made = Made::default();
        made.add(&news, 0, 2, &Full::default());
        let process = look_at(&mut Images::default());
        let head = StackHead {
            ip: 0x1010,
            sp: 0x7000,
            bp: 0x7010,
            ..StackHead::zeroed()
        };
        // The trampoline leaves the frame pointer of who called it, or keeps it where its own would be.
        for (kept, unused) in [(0x7040, 0), (0x7020, 0x7040)] {
            let words: [u64; 10] = [0, 0, kept, 0x2008, unused, 0x1020, 0, 0, 0, 8];
            let stack = words.map(u64::to_le_bytes).concat();
            let frames = process.frames(&made, &head, &stack, &mut CacheX86_64::new());
            assert_eq!(frames, [0x1010, 0x2007, 0x101f, 7]);
        }
        let stack = [0; 80];
        let frames = process.frames(&Made::default(), &head, &stack, &mut CacheX86_64::new());
        assert_eq!(frames, [0x1010], "nothing is told of it");
    }

    #[test]
    fn an_address_outside_of_all_code_is_in_no_file() {
        let head = StackHead {
            ip: 8,
            ..StackHead::zeroed()
        };
        let process = look_at(&mut Images::default());
        let frames = process.frames(&Made::default(), &head, &[], &mut CacheX86_64::new());
        assert!(process.place(frames[0]).is_none());
    }

    #[test]
    fn the_kernels_page_has_functions_too() {
        let map = executable("self")
            .unwrap()
            .into_iter()
            .find(|map| map.pathname == MMapPath::Vdso);
        let Some(map) = map else {
            println!("skipped: this kernel maps no vdso");
            return;
        };
        let head = StackHead {
            ip: map.address.0 + 0x800,
            ..StackHead::zeroed()
        };
        assert!(!names(&head, &[]).is_empty());
    }

    #[test]
    fn a_process_has_what_it_has_mapped_until_it_ends() {
        let mut images = Images::default();
        let process = look_at(&mut images);
        let maps: Vec<Mapped> = executable("self").unwrap().iter().map(Mapped::of).collect();
        assert!(process.has(&maps));
        assert!(!process.has(&maps[1..]));
        assert!(executable(&u32::MAX.to_string()).is_none());
    }
}
