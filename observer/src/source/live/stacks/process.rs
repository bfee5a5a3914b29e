//! What one process has mapped, and how its stacks unwind.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::rc::Rc;

use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, Module, Unwinder as _};
use observer_common::StackHead;
use procfs::FromRead as _;
use procfs::process::{MMPermissions, MMapPath, MemoryMap, MemoryMaps};
use rustc_hash::FxHashMap;

use super::image::{Functions, Image, Section};
use super::naming::{self, Function};

/// Frames of a stack that are looked at, from the innermost.
const MAX_FRAMES: usize = 128;

/// Files that are kept open at once.
const MAX_IMAGES: usize = 256;

type Key = ((i32, i32), u64);

/// Every file that is mapped by a watched process. `None` is one that could not be read.
#[derive(Default)]
pub(super) struct Images(FxHashMap<Key, Option<Rc<RefCell<Image>>>>);

impl Images {
    fn get(&mut self, pid: u32, map: &MemoryMap) -> Option<Rc<RefCell<Image>>> {
        let key = (map.dev, map.inode);
        // What belongs to no file all has the same key.
        if !matches!(map.pathname, MMapPath::Path(_) | MMapPath::Vdso) {
            return None;
        }
        if !self.0.contains_key(&key) {
            if self.0.len() >= MAX_IMAGES {
                return None;
            }
            let image = match &map.pathname {
                MMapPath::Path(path) => open(pid, map, path).and_then(|file| Image::read(file, path)),
                _ => vdso().and_then(|file| Image::read(file, Path::new("[vdso]"))),
            };
            self.0
                .insert(key, image.ok().map(|image| Rc::new(RefCell::new(image))));
        }
        self.0.get(&key)?.clone()
    }

    /// Forgets files that no process has any more.
    pub(super) fn forget_unused(&mut self) {
        self.0
            .retain(|_, image| image.as_ref().is_some_and(|image| Rc::strong_count(image) > 1));
    }
}

/// Opens the file that is mapped, also where another has its path by now.
fn open(pid: u32, map: &MemoryMap, path: &Path) -> io::Result<File> {
    let (start, end) = map.address;
    if let Ok(file) = File::open(format!("/proc/{pid}/map_files/{start:x}-{end:x}")) {
        return Ok(file);
    }
    // That takes a capability which attaching does not.
    let file = File::open(format!("/proc/{pid}/root{}", path.display()))?;
    if file.metadata()?.ino() != map.inode {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(file)
}

/// What the kernel maps into every process of this architecture, as a file. This process has it too.
fn vdso() -> io::Result<File> {
    let maps = executable("self").ok_or(io::ErrorKind::NotFound)?;
    let vdso = maps.iter().find(|map| map.pathname == MMapPath::Vdso);
    let (start, end) = vdso.ok_or(io::ErrorKind::NotFound)?.address;
    let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
    File::open("/proc/self/mem")?.read_exact_at(&mut bytes, start)?;
    // SAFETY: reads a name that ends with a NUL, and nothing else.
    let descriptor = unsafe { libc::memfd_create(c"vdso".as_ptr(), libc::MFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, which nobody else owns.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
    file.write_all_at(&bytes, 0)?;
    Ok(file)
}

/// What is executable in a process.
#[derive(Clone, Debug, PartialEq)]
struct Mapped {
    start: u64,
    end: u64,
    offset: u64,
    key: Key,
}

impl Mapped {
    fn of(map: &MemoryMap) -> Self {
        Self {
            start: map.address.0,
            end: map.address.1,
            offset: map.offset,
            key: (map.dev, map.inode),
        }
    }
}

/// A process.
pub(super) struct Process {
    maps: Vec<Mapped>,
    /// By address: what, and what is to be added to its addresses.
    modules: Vec<(Mapped, Rc<RefCell<Image>>, u64)>,
    unwinder: UnwinderX86_64<Rc<[u8]>>,
}

impl Process {
    /// Looks at what process `pid` has mapped.
    pub(super) fn look_at(pid: u32, images: &mut Images) -> Option<Self> {
        let found = executable(&pid.to_string())?;
        let maps: Vec<Mapped> = found.iter().map(Mapped::of).collect();
        let mut unwinder = UnwinderX86_64::new();
        let mut modules = Vec::new();
        for (mapped, map) in maps.iter().zip(&found) {
            let Some(image) = images.get(pid, map) else {
                continue;
            };
            let Some(bias) = image.borrow().bias(mapped.start, mapped.offset) else {
                continue;
            };
            unwinder.add_module(module(&image.borrow(), mapped, bias));
            modules.push((mapped.clone(), image, bias));
        }
        modules.sort_by_key(|(mapped, ..)| mapped.start);
        Some(Self {
            maps,
            modules,
            unwinder,
        })
    }

    /// Whether process `pid` has mapped what it had.
    pub(super) fn is_current(&self, pid: u32) -> bool {
        executable(&pid.to_string())
            .is_some_and(|maps| maps.iter().map(Mapped::of).eq(self.maps.iter().cloned()))
    }

    /// The function that says what a thread does. `Err` where its address is in nothing that is known.
    pub(super) fn telling(
        &self,
        head: &StackHead,
        stack: &[u8],
        cache: &mut CacheX86_64,
    ) -> Result<Option<Rc<str>>, Unmapped> {
        let frames = self.frames(head, stack, cache)?;
        Ok(naming::telling(&functions(&frames)).cloned())
    }

    /// The functions of each frame of a stack, from the innermost out.
    fn frames(
        &self,
        head: &StackHead,
        stack: &[u8],
        cache: &mut CacheX86_64,
    ) -> Result<Vec<Functions>, Unmapped> {
        let mut read = |address: u64| {
            let at = usize::try_from(address.checked_sub(head.sp).ok_or(())?).map_err(|_| ())?;
            let word = stack.get(at..).and_then(|rest| rest.first_chunk()).ok_or(())?;
            Ok(u64::from_le_bytes(*word))
        };
        let registers = UnwindRegsX86_64::new(head.ip, head.sp, head.bp);
        let mut frames = self.unwinder.iter_frames(head.ip, registers, cache, &mut read);
        let mut found: Vec<Functions> = Vec::new();
        while let Ok(Some(frame)) = frames.next() {
            let address = frame.address_for_lookup();
            match self.module(address) {
                Some((image, bias)) => {
                    found.push(image.borrow_mut().functions(address.wrapping_sub(bias)));
                }
                None if found.is_empty() => return Err(Unmapped),
                // Code that was made at run time, or no code at all: what is further out is a guess.
                None => {
                    found.push([None].into());
                    break;
                }
            }
            if found.len() >= MAX_FRAMES {
                break;
            }
        }
        Ok(found)
    }

    fn module(&self, address: u64) -> Option<(&Rc<RefCell<Image>>, u64)> {
        let after = self
            .modules
            .partition_point(|(mapped, ..)| mapped.start <= address);
        let (mapped, image, bias) = self.modules.get(after.checked_sub(1)?)?;
        (address < mapped.end).then_some((image, *bias))
    }
}

/// All functions of these frames.
fn functions(frames: &[Functions]) -> Vec<Option<&Function<Rc<str>>>> {
    let functions = frames.iter().flat_map(|frame| frame.iter());
    functions.map(Option::as_ref).collect()
}

/// The address is in no executable mapping that is known.
pub(super) struct Unmapped;

/// What process `pid` has mapped to be executed.
fn executable(pid: &str) -> Option<Vec<MemoryMap>> {
    let maps: MemoryMaps = MemoryMaps::from_file(format!("/proc/{pid}/maps")).ok()?;
    let maps: Vec<MemoryMap> = maps
        .into_iter()
        .filter(|map| map.perms.contains(MMPermissions::EXECUTE))
        .collect();
    // Of a process that has ended the file is empty.
    (!maps.is_empty()).then_some(maps)
}

fn module(image: &Image, mapped: &Mapped, bias: u64) -> Module<Rc<[u8]>> {
    let bytes = |section: &Option<Section>| section.as_ref().map(|section| Rc::clone(&section.bytes));
    let addresses = |section: &Option<Section>| section.as_ref().map(|section| section.addresses.clone());
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
mod tests {
    use std::arch::asm;
    use std::hint::black_box;

    use bytemuck::Zeroable as _;
    use observer_common::limits::STACK_BYTES;

    use super::*;

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

    #[inline(never)]
    fn caller() -> (StackHead, Vec<u8>) {
        black_box(innermost())
    }

    fn own_process() -> Process {
        Process::look_at(std::process::id(), &mut Images::default()).unwrap()
    }

    /// The names of functions, from the innermost out.
    fn names(frames: &[Functions]) -> Vec<&str> {
        let known = functions(frames).into_iter().flatten();
        known.map(|function| &*function.name).collect()
    }

    #[test]
    fn a_stack_of_this_program_has_its_functions_from_the_innermost_out() {
        let (head, stack) = black_box(caller());
        let Ok(frames) = own_process().frames(&head, &stack, &mut CacheX86_64::new()) else {
            panic!("this program's code is not mapped")
        };
        let names = names(&frames);
        let place = |end: &str| names.iter().position(|name| name.ends_with(end));
        assert_eq!(place("process::tests::innermost"), Some(0), "{names:?}");
        assert_eq!(place("process::tests::caller"), Some(1), "{names:?}");
        assert!(place("from_the_innermost_out") > Some(1), "{names:?}");
        assert!(names.len() > 4, "it goes on in the test harness: {names:?}");
    }

    #[inline(always)]
    fn inlined() -> u64 {
        let ip: u64;
        // SAFETY: reads a register and changes none but the one that it gives.
        unsafe { asm!("lea {}, [rip]", out(reg) ip, options(nomem, nostack)) };
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
        let Ok(frames) = own_process().frames(&head, &[], &mut CacheX86_64::new()) else {
            panic!("this program's code is not mapped")
        };
        let names = names(&frames);
        let is = |at: usize, end: &str| names.get(at).is_some_and(|name| name.ends_with(end));
        assert!(
            is(0, "process::tests::inlined") && is(1, "process::tests::around"),
            "{names:?}"
        );
    }

    #[test]
    fn of_a_stack_that_was_cut_the_inner_part_is_known() {
        let (head, mut stack) = caller();
        stack.truncate(8);
        let told = own_process().telling(&head, &stack, &mut CacheX86_64::new());
        let name = told.ok().flatten().unwrap();
        assert!(name.ends_with("process::tests::innermost"), "{name}");
    }

    #[test]
    fn an_address_outside_of_all_code_is_unmapped() {
        let head = StackHead {
            ip: 8,
            ..StackHead::zeroed()
        };
        assert!(
            own_process()
                .telling(&head, &[], &mut CacheX86_64::new())
                .is_err()
        );
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
        assert!(own_process().telling(&head, &[], &mut CacheX86_64::new()).is_ok());
        assert!(own_process().is_current(std::process::id()));
        assert!(Process::look_at(u32::MAX, &mut Images::default()).is_none());
    }
}
