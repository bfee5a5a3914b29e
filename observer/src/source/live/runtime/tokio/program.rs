//! What a file says of the tokio that was linked into it, without running it: its version, and where its threads keep
//! their context.
//!
//! Files are read in pieces. A server can have hundreds of megabytes of debug information, which nobody wants resident.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use memchr::memmem;
use object::read::elf::ElfFile64;
use object::{Endianness, Object as _, ObjectSymbol as _, ReadRef, SymbolKind};

use super::super::detection::{DetectedRuntime, FoundBy, TaskIdPlace};
use super::super::elf;
use super::hunt::SearchPlace;
use crate::model::full::{Full, Table};
use crate::runtime::RuntimeName;
use crate::runtime::tokio::names;

/// What is scanned for text at once, bytes.
const PIECE: usize = 1 << 20;

/// Longest text that is looked for, bytes: pieces overlap by as much.
const LONGEST_TEXT: usize = 160;

/// How much of a file is scanned for text, bytes.
const MOST_SCANNED: u64 = 512 << 20;

/// Source files of the runtime that are counted, at most: it has some hundreds.
const MOST_SOURCES: usize = 4_096;

/// Largest thread-local variables of a program that are looked through, bytes. A file can claim any size.
const MOST_VARIABLES_BYTES: i64 = 1 << 20;

/// Source files of tokio that must be named before text is taken for a sign of it. A panic message names its source
/// file, and every server has some dozens of them.
const ENOUGH_SOURCES: usize = 3;

/// What the standard library's own panics name, in every Rust program.
const OF_RUST: [&[u8]; 2] = [b"library/core/src/", b"library/std/src/"];

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct TokioImage {
    version: Option<String>,
    found_by: FoundBy,
    /// Thread-local variables of the file, where it is the program itself: bytes from a thread's `fsbase`.
    tls: Option<Range<i64>>,
    /// The runtime's context within `tls`, where a symbol tells.
    context: Option<Range<i64>>,
    /// Address of the count of task ids in the file's own view, where a symbol tells.
    issued_at: Option<u64>,
    /// Address in the file's own view of what is loaded from its beginning.
    base: u64,
}

impl TokioImage {
    /// tokio, if it is in `file`, which is this one. That there is more of it than is read is counted in `full`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(in super::super) fn of<'data, R: ReadRef<'data>>(
        file: &File,
        elf: &ElfFile64<'data, Endianness, R>,
        full: &Full,
    ) -> Result<Option<Self>> {
        let version = version(file, elf::read_only(elf), full)?;
        let symbols = TokioSymbols::of(elf);
        if version.is_none() && symbols.contexts.is_empty() {
            return Ok(None);
        }
        let tls = elf::variables(elf);
        let context = tls.as_ref().and_then(|tls| symbols.context(tls));
        Ok(Some(Self {
            version,
            found_by: if symbols.contexts.is_empty() {
                FoundBy::Strings
            } else {
                FoundBy::Symbols
            },
            tls,
            context,
            issued_at: symbols.issued_at(),
            base: elf::base(elf),
        }))
    }

    /// As the runtime of a process whose program this is; its beginning was mapped at `start`.
    pub(in super::super) fn of_program(self, start: Option<u64>) -> DetectedRuntime {
        let tasks = match self.tls {
            Some(tls) if tls.end.saturating_sub(tls.start) > MOST_VARIABLES_BYTES => TaskIdPlace::Nowhere(
                "its thread-local variables are larger than is looked through".to_owned(),
            ),
            Some(tls) => TaskIdPlace::Within(SearchPlace {
                is_context: self.context.is_some(),
                variables: self.context.unwrap_or(tls),
                issued_at: self
                    .issued_at
                    .zip(start)
                    .map(|(address, start)| start.wrapping_sub(self.base).wrapping_add(address)),
            }),
            None => TaskIdPlace::Nowhere("the program has no thread-local variables".to_owned()),
        };
        DetectedRuntime {
            name: RuntimeName::Tokio,
            version: self.version,
            found_by: self.found_by,
            tasks,
        }
    }

    /// As the runtime of a process that has loaded this library.
    pub(in super::super) fn of_library(self, library: &Path) -> DetectedRuntime {
        DetectedRuntime {
            name: RuntimeName::Tokio,
            version: self.version,
            found_by: self.found_by,
            tasks: TaskIdPlace::Nowhere(format!(
                "the runtime is in the shared library {}, whose variables have no fixed place",
                library.display()
            )),
        }
    }
}

/// The symbols that matter. A program can hold several versions of tokio.
#[derive(Default)]
struct TokioSymbols {
    contexts: Vec<Range<u64>>,
    issued: Vec<u64>,
}

impl TokioSymbols {
    fn of<'data, R: ReadRef<'data>>(elf: &ElfFile64<'data, Endianness, R>) -> Self {
        let mut found = Self::default();
        for symbol in elf.symbols() {
            let Ok(name) = symbol.name_bytes() else { continue };
            let has = |part| memmem::find(name, part).is_some();
            match symbol.kind() {
                SymbolKind::Tls if has(names::CONTEXT) => {
                    found
                        .contexts
                        .push(symbol.address()..symbol.address().saturating_add(symbol.size()));
                }
                SymbolKind::Data if names::ISSUED.iter().all(|part| has(part)) => {
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

/// The version whose source files are named most, when enough are. That not all of the file was read, or not all of
/// those were counted, is counted in `full`.
fn version(file: &File, parts: impl Iterator<Item = Range<u64>>, full: &Full) -> Result<Option<String>> {
    let mut named: BTreeSet<(String, String)> = BTreeSet::new();
    let (mut left, mut of_rust, mut is_cut) = (MOST_SCANNED, false, false);
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
            for found in memmem::find_iter(&piece[..read], names::SOURCES) {
                if named.len() >= MOST_SOURCES {
                    is_cut = true;
                    break;
                }
                named.extend(source_file(&piece[found..read]));
            }
            at += PIECE as u64;
            left = left.saturating_sub(PIECE as u64);
        }
        is_cut |= left == 0 && at < part.end;
    }
    full.count(Table::RuntimeFiles, is_cut.into());
    let mut best: Option<(usize, &str)> = None;
    for (version, _) in &named {
        let of_version = named.iter().filter(|(other, _)| other == version);
        let sources = of_version.clone().count();
        let runtime = of_version
            .map(|(_, path)| path)
            .any(|path| path.starts_with(names::RUNTIME_SOURCES));
        if runtime && sources >= ENOUGH_SOURCES && best.is_none_or(|(most, _)| sources > most) {
            best = Some((sources, version));
        }
    }
    Ok(best.filter(|_| of_rust).map(|(_, version)| version.to_owned()))
}

/// Version and path of a source file in text such as `tokio-1.54.1/src/runtime/park.rs`.
fn source_file(text: &[u8]) -> Option<(String, String)> {
    let text = &text[..text.len().min(LONGEST_TEXT)];
    let rest = text.strip_prefix(names::SOURCES.as_bytes())?;
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
    use super::super::super::look_at;
    use super::*;
    use crate::model::id::Pid;

    fn look_into(file: &File) -> Option<TokioImage> {
        match elf::look_into(file, &Full::default()).unwrap()? {
            elf::RuntimeImage::Tokio(image) => Some(image),
            elf::RuntimeImage::Go(_) => None,
        }
    }

    #[test]
    fn a_source_file_of_tokio_tells_the_version() {
        let text = b"/root/.cargo/registry/src/x/tokio-1.54.1/src/runtime/park.rscalled";
        let at = memmem::find(text, names::SOURCES.as_bytes()).unwrap();
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
        let image = look_into(&file).unwrap();
        assert_eq!(image.found_by, FoundBy::Symbols);
        let (tls, context) = (image.tls.unwrap(), image.context.unwrap());
        assert!(
            tls.start <= context.start && context.end <= tls.end,
            "{tls:?} {context:?}"
        );
        assert!(image.version.unwrap().starts_with("1."));
        assert!(image.issued_at.is_some());
    }

    #[test]
    fn variables_that_a_file_claims_to_be_huge_are_not_looked_through() {
        for (bytes, looked_through) in [(MOST_VARIABLES_BYTES, true), (i64::MAX, false)] {
            let image = TokioImage {
                version: None,
                found_by: FoundBy::Strings,
                tls: Some(-bytes..0),
                context: None,
                issued_at: None,
                base: 0,
            };
            let tasks = image.of_program(None).tasks;
            assert_eq!(matches!(tasks, TaskIdPlace::Within(_)), looked_through, "{bytes}");
        }
    }

    #[test]
    fn text_alone_makes_no_runtime() {
        let mut file = tempfile::tempfile().unwrap();
        let text =
            "/library/std/src/ tokio-1.54.1/src/runtime/a.rs tokio-1.54.1/src/b.rs tokio-1.54.1/src/c.rs";
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        assert_eq!(look_into(&file), None);
        // Where a program holds it, it is one, and this is how it is found.
        let full = Full::default();
        let found = version(&file, std::iter::once(0..1 << 30), &full).unwrap();
        assert_eq!(found.as_deref(), Some("1.54.1"));
        let found = version(&file, std::iter::once(0..80), &full).unwrap();
        assert_eq!(found, None, "two files are not enough");
        let found = version(&file, std::iter::once(10..1 << 30), &full).unwrap();
        assert_eq!(found, None, "no Rust program");
        assert_eq!(full, Full::default());
    }

    #[test]
    fn that_a_file_names_more_source_files_than_are_counted_is_told() {
        let mut file = tempfile::tempfile().unwrap();
        let named = |number| format!(" tokio-1.54.1/src/a{number}.rs");
        let text: String = (0..=MOST_SOURCES).map(named).collect();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        let full = Full::default();
        version(&file, std::iter::once(0..text.len() as u64), &full).unwrap();
        assert_eq!(full.counts().collect::<Vec<_>>(), [(Table::RuntimeFiles, 1)]);
    }

    #[test]
    fn this_test_is_a_process_with_tokio_and_its_count_of_tasks_is_read() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let id: u64 = runtime
            .block_on(async { tokio::spawn(async {}).id() })
            .to_string()
            .parse()
            .unwrap();
        let found = look_at(Pid(std::process::id()), &Full::default()).unwrap();
        assert_eq!(
            (found.name, found.found_by),
            (RuntimeName::Tokio, FoundBy::Symbols)
        );
        let TaskIdPlace::Within(place) = found.tasks else {
            panic!("{found:?}")
        };
        assert!(place.is_context && !place.variables.is_empty());
        let address = place.issued_at.unwrap() as usize;
        // SAFETY: the runtime's own counter, an aligned word that lives as long as the program.
        let issued = unsafe { std::ptr::with_exposed_provenance::<u64>(address).read_volatile() };
        assert!(issued > id, "{issued} {id}");
    }
}
