//! What an ELF file says of the runtime that was linked into it, without running it: the runtime's name and version,
//! and where its threads keep their context.
//!
//! Files are read in pieces. A server can have hundreds of megabytes of debug information, which nobody wants resident.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result};
use memchr::memmem;
use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, ReadCache, SymbolKind, elf};

/// What is scanned for text at once, bytes.
const PIECE: usize = 1 << 20;

/// Longest text that is looked for, bytes: pieces overlap by as much.
const LONGEST_TEXT: usize = 160;

/// How much of a file is scanned for text, bytes.
const MOST_SCANNED: u64 = 512 << 20;

/// Source files of tokio that must be named before text is taken for a sign of it. A panic message names its source
/// file, and every server has some dozens of them.
const ENOUGH_SOURCES: usize = 3;

/// What the standard library's own panics name, in every Rust program.
const OF_RUST: [&[u8]; 2] = [b"library/core/src/", b"library/std/src/"];

/// Part of the mangled name of the variable in which each thread of a tokio runtime keeps its context.
const CONTEXT: &[u8] = b"5tokio7runtime7context7CONTEXT";

/// Parts of the mangled name of the count of task ids that tokio has given out. What stands between them depends on how
/// names are mangled.
const ISSUED: [&[u8]; 2] = [b"5tokio7runtime4task2id", b"7NEXT_ID"];

/// Opens the build information of a Go program (`debug/buildinfo`); the version follows at [`GO_VERSION_AT`] where the
/// flag for that is set, since Go 1.18.
const GO_MAGIC: &[u8] = b"\xff Go buildinf:";
const GO_FLAGS_AT: usize = 15;
const GO_VERSION_INLINE: u8 = 2;
const GO_VERSION_AT: usize = 32;

/// How a runtime was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// By the symbol of its context.
    Symbols,
    /// By the names of its source files, in the messages of panics.
    Strings,
    /// By the build information that Go leaves in its programs.
    BuildInfo,
}

/// A runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Of Rust.
    Tokio,
    /// Of Go.
    Go,
}

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) name: Name,
    pub(super) version: Option<String>,
    pub(super) found_by: FoundBy,
    /// Thread-local variables of the file, where it is the program itself: bytes from a thread's `fsbase`.
    pub(super) tls: Option<Range<i64>>,
    /// The runtime's context within `tls`, where a symbol tells.
    pub(super) context: Option<Range<i64>>,
    /// Address of the count of task ids in the file's own view, where a symbol tells.
    pub(super) issued_at: Option<u64>,
    /// Address in the file's own view of what is loaded from its beginning.
    pub(super) base: u64,
}

/// Looks for a runtime in `file`; `None` when it is no x86-64 ELF file, or has none that is known.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn look_into(file: &File) -> Result<Option<Image>> {
    let cache = ReadCache::new(file);
    let Ok(elf) = ElfFile64::<Endianness, _>::parse(&cache) else {
        return Ok(None);
    };
    if elf.architecture() != object::Architecture::X86_64 {
        return Ok(None);
    }
    let endian = elf.endian();
    let headers = elf.elf_program_headers();
    let loaded = headers
        .iter()
        .filter(|header| header.p_type(endian) == elf::PT_LOAD);
    let base = loaded
        .clone()
        .find(|header| header.p_offset(endian) < 4096)
        .map_or(0, |header| header.p_vaddr(endian) - header.p_offset(endian));
    if let Some(version) = go_version(&elf) {
        return Ok(Some(Image {
            name: Name::Go,
            version,
            found_by: FoundBy::BuildInfo,
            tls: None,
            context: None,
            issued_at: None,
            base,
        }));
    }
    let read_only = loaded
        .filter(|header| header.p_flags(endian) & elf::PF_W == 0)
        .map(|header| header.p_offset(endian)..header.p_offset(endian) + header.p_filesz(endian));
    let version = tokio_version(file, read_only)?;
    let symbols = Symbols::of(&elf);
    if version.is_none() && symbols.contexts.is_empty() {
        return Ok(None);
    }
    let tls = headers
        .iter()
        .find(|header| header.p_type(endian) == elf::PT_TLS)
        .and_then(|header| {
            tls_below(
                header.p_vaddr(endian),
                header.p_memsz(endian),
                header.p_align(endian),
            )
        });
    let context = tls.as_ref().and_then(|tls| symbols.context(tls));
    Ok(Some(Image {
        name: Name::Tokio,
        version,
        found_by: if symbols.contexts.is_empty() {
            FoundBy::Strings
        } else {
            FoundBy::Symbols
        },
        tls,
        context,
        issued_at: symbols.issued_at(),
        base,
    }))
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

/// The symbols that matter. A program can hold several versions of tokio.
#[derive(Default)]
struct Symbols {
    contexts: Vec<Range<u64>>,
    issued: Vec<u64>,
}

impl Symbols {
    fn of<'data, R: object::ReadRef<'data>>(elf: &ElfFile64<'data, Endianness, R>) -> Self {
        let mut found = Self::default();
        for symbol in elf.symbols() {
            let Ok(name) = symbol.name_bytes() else { continue };
            let has = |part| memmem::find(name, part).is_some();
            match symbol.kind() {
                SymbolKind::Tls if has(CONTEXT) => {
                    found
                        .contexts
                        .push(symbol.address()..symbol.address().saturating_add(symbol.size()));
                }
                SymbolKind::Data if ISSUED.iter().all(|part| has(part)) => {
                    found.issued.push(symbol.address());
                }
                _ => {}
            }
        }
        found
    }

    /// From the first to the last byte of all contexts.
    fn context(&self, tls: &Range<i64>) -> Option<Range<i64>> {
        let start = self.contexts.iter().map(|context| context.start).min()?;
        let end = self.contexts.iter().map(|context| context.end).max()?;
        let (start, end) = (i64::try_from(start).ok()?, i64::try_from(end).ok()?);
        let context = tls.start.checked_add(start)?..tls.start.checked_add(end)?;
        (!context.is_empty() && context.end <= tls.end).then_some(context)
    }

    fn issued_at(&self) -> Option<u64> {
        match self.issued[..] {
            [address] => Some(address),
            _ => None,
        }
    }
}

/// The version of Go, as far as it is told, when this is a Go program.
fn go_version<'data, R: object::ReadRef<'data>>(
    elf: &ElfFile64<'data, Endianness, R>,
) -> Option<Option<String>> {
    let section = elf.section_by_name(".go.buildinfo")?;
    let data = section.data().ok()?;
    if !data.starts_with(GO_MAGIC) {
        return None;
    }
    let flags = data.get(GO_FLAGS_AT).copied().unwrap_or(0);
    let version = data.get(GO_VERSION_AT..).and_then(|rest| {
        let (&length, text) = rest.split_first()?;
        // A length of more than one byte is no version of Go.
        std::str::from_utf8(text.get(..usize::from(length))?).ok()
    });
    Some(
        version
            .filter(|_| flags & GO_VERSION_INLINE != 0)
            .map(str::to_owned),
    )
}

/// The version of tokio whose source files are named most, when enough are.
fn tokio_version(file: &File, parts: impl Iterator<Item = Range<u64>>) -> Result<Option<String>> {
    let mut named: BTreeSet<(String, String)> = BTreeSet::new();
    let (mut left, mut of_rust) = (MOST_SCANNED, false);
    let mut piece = vec![0; PIECE + LONGEST_TEXT];
    for part in parts {
        let mut at = part.start;
        while at < part.end && left > 0 {
            let wanted = usize::try_from(part.end - at)
                .unwrap_or(usize::MAX)
                .min(piece.len());
            let read = file
                .read_at(&mut piece[..wanted], at)
                .context("cannot read the program")?;
            if read == 0 {
                break;
            }
            of_rust = of_rust
                || OF_RUST
                    .iter()
                    .any(|path| memmem::find(&piece[..read], path).is_some());
            for found in memmem::find_iter(&piece[..read], b"tokio-") {
                named.extend(source_file(&piece[found..read]));
            }
            at += PIECE as u64;
            left = left.saturating_sub(PIECE as u64);
        }
    }
    let mut best: Option<(usize, &str)> = None;
    for (version, _) in &named {
        let of_version = named.iter().filter(|(other, _)| other == version);
        let sources = of_version.clone().count();
        let runtime = of_version
            .map(|(_, path)| path)
            .any(|path| path.starts_with("runtime/"));
        if runtime && sources >= ENOUGH_SOURCES && best.is_none_or(|(most, _)| sources > most) {
            best = Some((sources, version));
        }
    }
    Ok(best.filter(|_| of_rust).map(|(_, version)| version.to_owned()))
}

/// Version and path of a source file in text such as `tokio-1.54.1/src/runtime/park.rs`.
fn source_file(text: &[u8]) -> Option<(String, String)> {
    let text = &text[..text.len().min(LONGEST_TEXT)];
    let rest = text.strip_prefix(b"tokio-")?;
    let end = memmem::find(rest, b"/src/")?;
    let version = std::str::from_utf8(&rest[..end]).ok()?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
    if version.len() > 32
        || !version.starts_with(|c: char| c.is_ascii_digit())
        || !version.chars().all(is_part)
    {
        return None;
    }
    let path = &rest[end + b"/src/".len()..];
    let is_path =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'/');
    let stem = path.iter().position(|byte| !is_path(byte))?;
    if !path[stem..].starts_with(b".rs") {
        return None;
    }
    let path = std::str::from_utf8(&path[..stem]).ok()?;
    Some((version.to_owned(), path.to_owned()))
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

    #[test]
    fn a_source_file_of_tokio_tells_the_version() {
        let text = b"/root/.cargo/registry/src/x/tokio-1.54.1/src/runtime/park.rscalled";
        let at = memmem::find(text, b"tokio-").unwrap();
        assert_eq!(
            source_file(&text[at..]),
            Some(("1.54.1".to_owned(), "runtime/park".to_owned()))
        );
        for other in [
            "tokio-util-0.7.1/src/codec/mod.rs",
            "tokio-1.0/lib.rs",
            "tokio-1/src/",
            "tokio-",
        ] {
            assert_eq!(source_file(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn this_test_has_tokio_in_it_and_its_symbols_are_found() {
        let file = File::open("/proc/self/exe").unwrap();
        // It calls into the runtime, so that the linker keeps it.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {});
        let image = look_into(&file).unwrap().unwrap();
        assert_eq!((image.name, image.found_by), (Name::Tokio, FoundBy::Symbols));
        let (tls, context) = (image.tls.unwrap(), image.context.unwrap());
        assert!(
            tls.start <= context.start && context.end <= tls.end,
            "{tls:?} {context:?}"
        );
        assert!(image.version.unwrap().starts_with("1."));
        assert!(image.issued_at.is_some());
    }

    #[test]
    fn text_alone_makes_no_runtime() {
        let mut file = tempfile::tempfile().unwrap();
        let text =
            "/library/std/src/ tokio-1.54.1/src/runtime/a.rs tokio-1.54.1/src/b.rs tokio-1.54.1/src/c.rs";
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        assert_eq!(look_into(&file).unwrap(), None);
        // Where a program holds it, it is one, and this is how it is found.
        let found = tokio_version(&file, std::iter::once(0..1 << 30)).unwrap();
        assert_eq!(found.as_deref(), Some("1.54.1"));
        let found = tokio_version(&file, std::iter::once(0..80)).unwrap();
        assert_eq!(found, None, "two files are not enough");
        let found = tokio_version(&file, std::iter::once(10..1 << 30)).unwrap();
        assert_eq!(found, None, "no Rust program");
    }
}
