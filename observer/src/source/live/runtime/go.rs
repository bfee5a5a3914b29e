//! Go in a program: its name and version. Its task ids are not sought.

use object::read::elf::ElfFile64;
use object::{Endianness, Object as _, ObjectSection as _, ReadRef};

use super::found::{Found, FoundBy, RuntimeName, TaskIdPlace};

/// Opens the build information of a Go program (`debug/buildinfo`); the version follows at [`VERSION_AT`] where the flag
/// for that is set, since Go 1.18.
const MAGIC: &[u8] = b"\xff Go buildinf:";
const FLAGS_AT: usize = 15;
const VERSION_INLINE: u8 = 2;
const VERSION_AT: usize = 32;

/// What a file says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GoImage {
    version: Option<String>,
}

impl GoImage {
    /// Go, if this is a Go program, with its version as far as it is told.
    pub(super) fn of<'data, R: ReadRef<'data>>(elf: &ElfFile64<'data, Endianness, R>) -> Option<Self> {
        let section = elf.section_by_name(".go.buildinfo")?;
        let data = section.data().ok()?;
        if !data.starts_with(MAGIC) {
            return None;
        }
        let flags = data.get(FLAGS_AT).copied().unwrap_or(0);
        let version = data.get(VERSION_AT..).and_then(|rest| {
            let (&length, text) = rest.split_first()?;
            // A length of more than one byte is no version of Go.
            std::str::from_utf8(text.get(..usize::from(length))?).ok()
        });
        let version = version.filter(|_| flags & VERSION_INLINE != 0);
        Some(Self {
            version: version.map(str::to_owned),
        })
    }

    /// As the runtime of a process.
    pub(super) fn found(self) -> Found {
        Found {
            name: RuntimeName::Go,
            version: self.version,
            found_by: FoundBy::BuildInfo,
            tasks: TaskIdPlace::Unknown,
        }
    }
}
