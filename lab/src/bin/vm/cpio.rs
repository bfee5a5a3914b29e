//! Writes an archive in the `newc` form of cpio, which is what the kernel unpacks at boot as its first file system.
//!
//! Described in the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::collections::BTreeSet;
use std::path::Path;

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;

/// An archive in the making.
#[derive(Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    directories: BTreeSet<String>,
    entries: u32,
}

impl Archive {
    /// Adds a directory, and those that it is in.
    pub(super) fn directory(&mut self, path: &Path) {
        if let Some(parent) = path.parent() {
            self.directory(parent);
        }
        let name = name(path);
        if !name.is_empty() && self.directories.insert(name.clone()) {
            self.entry(&name, DIRECTORY | 0o755, &[]);
        }
    }

    /// Adds a file that can be run, and the directories that it is in.
    pub(super) fn file(&mut self, path: &Path, content: &[u8]) {
        if let Some(parent) = path.parent() {
            self.directory(parent);
        }
        self.entry(&name(path), FILE | 0o755, content);
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let links = 1;
        // Files of 4 GiB do not exist here: they would not fit into the machine's memory.
        let (size, name_size) = (content.len() as u32, name.len() as u32 + 1);
        let (inode, owner, time, device, checksum) = (self.entries, 0, 0, 0, 0);
        self.bytes.extend(b"070701");
        for field in [
            inode, mode, owner, owner, links, time, size, device, device, device, device, name_size, checksum,
        ] {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// Names in an archive are relative to the root.
fn name(path: &Path) -> String {
    path.to_string_lossy().trim_start_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names, modes and contents, read back by the description of the format.
    fn read(mut bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut entries = Vec::new();
        while !bytes.is_empty() {
            assert_eq!(&bytes[..6], b"070701");
            let field = |index: usize| {
                let digits = std::str::from_utf8(&bytes[6 + 8 * index..14 + 8 * index]).unwrap();
                u32::from_str_radix(digits, 16).unwrap()
            };
            let (mode, size, name_size) = (field(1), field(6) as usize, field(11) as usize);
            let content_at = (110 + name_size).next_multiple_of(4);
            let end = (content_at + size).next_multiple_of(4);
            let name = String::from_utf8(bytes[110..110 + name_size - 1].to_vec()).unwrap();
            entries.push((name, mode, bytes[content_at..content_at + size].to_vec()));
            bytes = &bytes[end..];
        }
        entries
    }

    #[test]
    fn every_directory_comes_once_and_before_what_is_in_it() {
        let mut archive = Archive::default();
        archive.file(Path::new("/a/b/one"), b"1");
        archive.file(Path::new("/a/b/three"), b"333");
        archive.directory(Path::new("/proc"));
        let entries = read(&archive.finish());
        let names: Vec<&str> = entries.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["a", "a/b", "a/b/one", "a/b/three", "proc", "TRAILER!!!"]);
        assert_eq!((entries[0].1, entries[2].1), (0o040_755, 0o100_755));
        assert_eq!(
            (&*entries[2].2, &*entries[3].2),
            (b"1".as_slice(), b"333".as_slice())
        );
    }
}
