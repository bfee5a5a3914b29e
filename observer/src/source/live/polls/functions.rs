//! Where in a program the functions are that poll and queue tokio's tasks, by the names in its symbol table.
//!
//! Every future has a copy of the function that polls it, and copies that are the same stand at one address.

use std::collections::BTreeSet;
use std::fs::File;

use anyhow::{Context as _, Result, bail};
use object::elf::PF_X;
use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{Endianness, Object as _, ObjectSymbol as _, ReadCache, ReadRef, SymbolKind};

/// Functions that are probed in one process, at most. More than some hundred futures are spawned by no program that
/// was seen.
const MAX_FUNCTIONS: usize = 4_096;

/// Polls a task, its first parameter.
pub(super) const POLL: &str = "tokio::runtime::task::raw::poll";

/// Queues a task that was woken, its first parameter.
const SCHEDULE: &str = "tokio::runtime::task::raw::schedule";

/// Queue a task that is new or goes on at once, their second parameter. Wakeups come by [`SCHEDULE`].
const QUEUES: [&str; 2] = ["::schedule_option_task_without_yield", "::yield_now"];

/// The schedulers of one thread queue every task with one function, which [`SCHEDULE`] calls too.
const SCHEDULERS_OF_ONE_THREAD: [&str; 2] = [
    "tokio::runtime::scheduler::current_thread::Handle",
    "tokio::task::local::",
];

/// Offsets of functions in a program's file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Functions {
    /// A process that runs the program.
    pub pid: u32,
    /// Poll the task that their first parameter points to.
    pub poll: Vec<u64>,
    /// Queue the task that their first parameter points to.
    pub queue_first: Vec<u64>,
    /// Queue the task that their second parameter points to.
    pub queue_second: Vec<u64>,
}

/// What a function does, told by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Poll,
    QueueFirst,
    QueueSecond,
}

impl Functions {
    /// Those of the program that process `pid` runs.
    ///
    /// # Errors
    /// When its file cannot be read, has no symbols, or has none of tokio's.
    pub fn find(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/exe");
        let file = File::open(&path).with_context(|| format!("cannot open {path}"))?;
        let cache = ReadCache::new(file);
        let elf: ElfFile64<'_, Endianness, _> =
            ElfFile64::parse(&cache).with_context(|| format!("{path} is no 64-bit ELF file"))?;
        if elf.symbols().next().is_none() {
            bail!("its program has no symbols: build it without `strip`");
        }
        let mut found = [(); 3].map(|()| BTreeSet::new());
        for symbol in elf.symbols() {
            if symbol.kind() != SymbolKind::Text || symbol.is_undefined() {
                continue;
            }
            if let Ok(name) = symbol.name()
                && let Some(role) = role(name)
                && let Some(offset) = file_offset(&elf, symbol.address())
            {
                found[role as usize].insert(offset);
            }
        }
        let [poll, queue_first, queue_second] = found.map(|offsets| offsets.into_iter().collect());
        let functions = Self {
            pid,
            poll,
            queue_first,
            queue_second,
        };
        if functions.poll.is_empty() {
            bail!(
                "its program has no function {POLL}: it has no tokio, or it was linked so that names are gone"
            );
        }
        if functions.count() > MAX_FUNCTIONS {
            bail!(
                "its program has {} functions to be probed, and no more than {MAX_FUNCTIONS} are",
                functions.count()
            );
        }
        Ok(functions)
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.poll.len() + self.queue_first.len() + self.queue_second.len()
    }
}

/// Where the byte at an address stands in the file: probes are of files, not of memory.
fn file_offset<'data, R: ReadRef<'data>>(elf: &ElfFile64<'data, Endianness, R>, address: u64) -> Option<u64> {
    let endian = elf.endian();
    elf.elf_program_headers()
        .iter()
        .filter(|header| header.p_flags(endian) & PF_X != 0)
        .find_map(|header| {
            let within = address.checked_sub(header.p_vaddr(endian))?;
            (within < header.p_filesz(endian)).then(|| within + header.p_offset(endian))
        })
}

/// What the function with this mangled name does for tasks.
fn role(mangled: &str) -> Option<Role> {
    // Most are not tokio's, and taking a name apart takes a microsecond.
    if !mangled.contains("tokio") {
        return None;
    }
    let name = format!("{:#}", rustc_demangle::try_demangle(mangled).ok()?);
    // One mangling keeps type arguments.
    let is = |function: &str| {
        name.strip_prefix(function)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::<"))
    };
    let queues = || {
        let is_schedulers = name.contains("tokio::runtime::scheduler::");
        is_schedulers && QUEUES.iter().any(|function| name.ends_with(function))
            || name.ends_with(">::schedule")
                && name.contains("tokio::runtime::task::Schedule")
                && SCHEDULERS_OF_ONE_THREAD
                    .iter()
                    .any(|scheduler| name.contains(scheduler))
    };
    if is(POLL) {
        Some(Role::Poll)
    } else if is(SCHEDULE) {
        Some(Role::QueueFirst)
    } else {
        queues().then_some(Role::QueueSecond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_told_by_both_manglings() {
        for (mangled, expected) in [
            (
                "_ZN5tokio7runtime4task3raw4poll17h0123456789abcdefE",
                Some(Role::Poll),
            ),
            (
                "_ZN5tokio7runtime4task3raw8schedule17h0123456789abcdefE",
                Some(Role::QueueFirst),
            ),
            ("_ZN5tokio7runtime4task3raw7dealloc17h0123456789abcdefE", None),
            ("_ZN5mimic7runtime4task3raw4poll17h0123456789abcdefE", None),
            (
                "_RINvNtNtNtCs1234_5tokio7runtime4task3raw4polluhEB9_",
                Some(Role::Poll),
            ),
            (
                "_RINvNtNtNtCs1234_5tokio7runtime4task3raw8scheduleuEB9_",
                Some(Role::QueueFirst),
            ),
            (
                "_ZN5tokio7runtime9scheduler12multi_thread6worker73_$LT$impl$u20$tokio..runtime..scheduler..multi_thread..handle..Handle$GT$34schedule_option_task_without_yield17h0123456789abcdefE",
                Some(Role::QueueSecond),
            ),
        ] {
            assert_eq!(role(mangled), expected, "{mangled}");
        }
    }
}
