//! What an ELF file says of the runtime that was linked into it, without running it, and what the rooms of the runtimes
//! ask of it.

use std::fs::File;
use std::ops::Range;

use anyhow::Result;
use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{Endianness, Object as _, ReadCache, ReadRef, elf};

use super::{go, tokio};
use crate::model::full::Full;

/// The runtime in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RuntimeImage {
    /// Of Rust.
    Tokio(tokio::TokioImage),
    /// Of Go.
    Go(go::GoImage),
}

/// Looks for a runtime in `file`; `None` when it is no x86-64 ELF file, or has none that is known. That there is more
/// of it than is read is counted in `full`.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn look_into(file: &File, full: &Full) -> Result<Option<RuntimeImage>> {
    let cache = ReadCache::new(file);
    let Ok(elf) = ElfFile64::<Endianness, _>::parse(&cache) else {
        return Ok(None);
    };
    if elf.architecture() != object::Architecture::X86_64 {
        return Ok(None);
    }
    // A Go program is one, whatever text it holds.
    if let Some(image) = go::GoImage::of(file, &elf) {
        return Ok(Some(RuntimeImage::Go(image)));
    }
    Ok(tokio::TokioImage::of(file, &elf, full)?.map(RuntimeImage::Tokio))
}

/// Address in the file's own view of what is loaded from its beginning.
pub(super) fn base<'data, R: ReadRef<'data>>(elf: &ElfFile64<'data, Endianness, R>) -> u64 {
    let endian = elf.endian();
    elf.elf_program_headers()
        .iter()
        .find(|header| header.p_type(endian) == elf::PT_LOAD && header.p_offset(endian) < 4096)
        .map_or(0, |header| {
            header.p_vaddr(endian).wrapping_sub(header.p_offset(endian))
        })
}

/// Parts of the file that are loaded and never written.
pub(super) fn read_only<'data, R: ReadRef<'data>>(
    elf: &ElfFile64<'data, Endianness, R>,
) -> impl Iterator<Item = Range<u64>> {
    loaded(elf, |flags| flags & elf::PF_W == 0)
}

/// Parts of the file that are run.
pub(super) fn code<'data, R: ReadRef<'data>>(
    elf: &ElfFile64<'data, Endianness, R>,
) -> impl Iterator<Item = Range<u64>> {
    loaded(elf, |flags| flags & elf::PF_X != 0)
}

/// Where the byte of code at an address stands in the file: probes are of files, not of memory.
pub(super) fn offset_of<'data, R: ReadRef<'data>>(
    elf: &ElfFile64<'data, Endianness, R>,
    address: u64,
) -> Option<u64> {
    let endian = elf.endian();
    executed(elf).find_map(|header| {
        let within = address.checked_sub(header.p_vaddr(endian))?;
        let offset = within.checked_add(header.p_offset(endian))?;
        (within < header.p_filesz(endian)).then_some(offset)
    })
}

/// The address of the byte of code that stands here in the file.
pub(super) fn address_of<'data, R: ReadRef<'data>>(
    elf: &ElfFile64<'data, Endianness, R>,
    offset: u64,
) -> Option<u64> {
    let endian = elf.endian();
    executed(elf).find_map(|header| {
        let within = offset.checked_sub(header.p_offset(endian))?;
        let address = within.checked_add(header.p_vaddr(endian))?;
        (within < header.p_filesz(endian)).then_some(address)
    })
}

fn executed<'data, R: ReadRef<'data>>(
    elf: &ElfFile64<'data, Endianness, R>,
) -> impl Iterator<Item = &'data elf::ProgramHeader64<Endianness>> {
    let endian = elf.endian();
    let headers = elf.elf_program_headers().iter();
    headers.filter(move |header| header.p_flags(endian) & elf::PF_X != 0)
}

/// Parts of the file that are loaded with such flags.
fn loaded<'data, R: ReadRef<'data>>(
    elf: &ElfFile64<'data, Endianness, R>,
    with: impl Fn(u32) -> bool,
) -> impl Iterator<Item = Range<u64>> {
    let endian = elf.endian();
    elf.elf_program_headers()
        .iter()
        .filter(move |header| header.p_type(endian) == elf::PT_LOAD && with(header.p_flags(endian)))
        .map(move |header| {
            let begin = header.p_offset(endian);
            begin..begin.saturating_add(header.p_filesz(endian))
        })
}

/// Where the thread-local variables are, where the file is the program itself: bytes from a thread's `fsbase`.
pub(super) fn variables<'data, R: ReadRef<'data>>(
    elf: &ElfFile64<'data, Endianness, R>,
) -> Option<Range<i64>> {
    let endian = elf.endian();
    let headers = elf.elf_program_headers();
    let tls = headers
        .iter()
        .find(|header| header.p_type(endian) == elf::PT_TLS)?;
    tls_below(tls.p_vaddr(endian), tls.p_memsz(endian), tls.p_align(endian))
}

/// Where the thread-local variables of a program are, in bytes from a thread's `fsbase`.
///
/// They end at `fsbase`, but for what keeps their addresses congruent with those in the file, modulo the alignment: the
/// rule of the x86-64 psABI for variant II, as lld (`getTlsTpOffset`), glibc (`_dl_determine_tlsoffset`) and musl
/// (`static_init_tls`) have it.
fn tls_below(address: u64, bytes: u64, align: u64) -> Option<Range<i64>> {
    let align = align.max(1);
    if !align.is_power_of_two() {
        return None;
    }
    let padding = address.wrapping_add(bytes).wrapping_neg() & (align - 1);
    let start = -i64::try_from(bytes.checked_add(padding)?).ok()?;
    (bytes > 0).then_some(start..start + i64::try_from(bytes).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_local_variables_end_at_fsbase_as_far_as_their_alignment_lets_them() {
        assert_eq!(tls_below(0xa_9120, 0xd8, 8), Some(-0xd8..0));
        assert_eq!(tls_below(0x1000, 0x91, 0x40), Some(-0xc0..-0x2f));
        // A start that is not aligned: what glibc calls the first byte.
        assert_eq!(tls_below(0x1008, 0x10, 0x40), Some(-0x38..-0x28));
        assert_eq!(tls_below(0, 0, 8), None);
        assert_eq!(tls_below(0, 8, 3), None);
    }
}
