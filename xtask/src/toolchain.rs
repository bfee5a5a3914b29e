//! Finds the compiler and the linker that build observer's kernel half.
//!
//! The kernel half needs unstable cargo (`-Z build-std=core`: no prebuilt `core` exists for the eBPF target), the
//! sources of `core`, and a `bpf-linker` whose LLVM is no older than the compiler's. Two compilers will do: a
//! rustup nightly, or the distribution's `/usr/bin/rustc` with its source package. How they are installed is
//! `setup`'s business, and how they are called that of `kernel_half`. This file is compiled twice, into `xtask` and
//! by `#[path]` into `observer/build.rs`, so that both always agree; hence it uses only std and anyhow.

use std::cmp::Reverse;
use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::command;

/// A place looked at: the compiler there, or why it will not do.
pub(crate) type Found = std::result::Result<Compiler, Refusal>;

/// Why a compiler will not do, by what would help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is none, or it does not run.
    Absent(String),
    /// It is older than the workspace allows.
    Old(Compiler),
    /// It is young enough, and the sources of its library are not installed.
    NoSources(Compiler),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(reason) => write!(f, "{reason}"),
            Self::Old(compiler) => write!(f, "{compiler} is older than {OLDEST_RUSTC}"),
            Self::NoSources(compiler) => write!(f, "{compiler} has no library sources (rust-src)"),
        }
    }
}

/// Name of the environment variable that forces one of the two compilers: `rustup` or `debian`.
pub(crate) const CHOICE_VARIABLE: &str = "OBSERVER_EBPF_TOOLCHAIN";

/// The distribution's compiler.
pub(crate) const SYSTEM_RUSTC: &str = "/usr/bin/rustc";

const NO_LINKER: &str = "no bpf-linker on the PATH or in cargo's bin directory";

/// Oldest compiler that takes the workspace: its `rust-version`, which cargo hands to whoever compiles this file.
const OLDEST_RUSTC: &str = env!("CARGO_PKG_RUST_VERSION");

/// Where a compiler comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A toolchain of rustup, by its name.
    Rustup(String),
    /// [`SYSTEM_RUSTC`].
    Debian,
}

/// A compiler that can build the kernel half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compiler {
    pub(crate) origin: Origin,
    /// As `rustc -vV` prints it, for example `1.97.0-nightly`.
    pub(crate) release: String,
    /// Major version of the LLVM inside it.
    pub(crate) llvm: u32,
}

/// An installed `bpf-linker`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Linker {
    pub(crate) path: PathBuf,
    /// Major version of the shared LLVM it is linked to; `None` when LLVM is inside it.
    pub(crate) llvm: Option<u32>,
}

/// What builds the kernel half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Toolchain {
    pub(crate) compiler: Compiler,
    pub(crate) linker: Linker,
}

/// Why there is no toolchain: one reason for each place looked at.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) Vec<String>);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot build the kernel half: {}. Run: cargo xtask setup",
            self.0.join("; ")
        )
    }
}

impl std::error::Error for Missing {}

/// The first pair of compiler and linker that fit each other.
pub(crate) fn find() -> Result<Toolchain> {
    pair(find_compilers(choice()?), find_linker()).map_err(Into::into)
}

fn pair(compilers: Vec<Found>, linker: Option<Linker>) -> std::result::Result<Toolchain, Missing> {
    let mut reasons = Vec::new();
    let mut fitting = None;
    for found in compilers {
        match (found, &linker) {
            (Ok(compiler), Some(linker)) if !linker.reads(compiler.llvm) => {
                reasons.push(format!("{linker} is too old for {compiler}"));
            }
            (Ok(compiler), _) => {
                fitting = Some(compiler);
                break;
            }
            (Err(refusal), _) => reasons.push(refusal.to_string()),
        }
    }
    match (fitting, linker) {
        (Some(compiler), Some(linker)) => return Ok(Toolchain { compiler, linker }),
        // A compiler that was passed over on the way to this one is not missing.
        (Some(_), None) => reasons = vec![NO_LINKER.to_owned()],
        (None, None) => reasons.push(NO_LINKER.to_owned()),
        (None, Some(_)) => {}
    }
    Err(Missing(reasons))
}

/// Each place where a compiler may be, in order of preference.
pub(crate) fn find_compilers(choice: Option<Choice>) -> Vec<Found> {
    let mut found = Vec::new();
    if choice != Some(Choice::Debian) {
        found.extend(rustup_compilers());
    }
    if choice != Some(Choice::Rustup) {
        found.push(debian_compiler());
    }
    found
}

/// A compiler that the user insists on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Rustup,
    Debian,
}

/// What [`CHOICE_VARIABLE`] says.
pub(crate) fn choice() -> Result<Option<Choice>> {
    let value = env::var_os(CHOICE_VARIABLE).unwrap_or_default();
    match value.to_string_lossy().as_ref() {
        "" => Ok(None),
        "rustup" => Ok(Some(Choice::Rustup)),
        "debian" => Ok(Some(Choice::Debian)),
        other => bail!("{CHOICE_VARIABLE}={other}: expected `rustup` or `debian`"),
    }
}

/// Names of the nightlies that rustup has, `nightly` itself first and then the youngest date. `None`: no rustup.
pub(crate) fn rustup_nightlies() -> Option<Vec<String>> {
    let list = command::text(rustup().args(["toolchain", "list", "--quiet"])).ok()?;
    Some(nightlies_in(&list))
}

/// rustup, told never to install anything by itself: only `setup` does that, and says so.
pub(crate) fn rustup() -> Command {
    let mut command = Command::new("rustup");
    command.env("RUSTUP_AUTO_INSTALL", "0");
    command
}

fn nightlies_in(list: &str) -> Vec<String> {
    let mut names: Vec<String> = list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with("nightly-"))
        .map(str::to_owned)
        .collect();
    // `nightly-x86_64-…` has no digit after the dash, and follows the channel; the others carry a date.
    names.sort_by_key(|name| {
        (
            name.as_bytes().get(8).is_some_and(u8::is_ascii_digit),
            Reverse(name.clone()),
        )
    });
    names
}

/// What each nightly of rustup is worth; one refusal if there is none.
pub(crate) fn rustup_compilers() -> Vec<Found> {
    let absent = |reason: &str| vec![Err(Refusal::Absent(reason.to_owned()))];
    let Some(names) = rustup_nightlies() else {
        return absent("no rustup");
    };
    if names.is_empty() {
        return absent("rustup has no nightly");
    }
    let found = names.iter().map(|name| {
        let rustc = |flags: &[&str]| command::text(rustup().args(["run", name, "rustc"]).args(flags));
        inspect(Origin::Rustup(name.clone()), rustc)
    });
    found.collect()
}

pub(crate) fn debian_compiler() -> Found {
    if !Path::new(SYSTEM_RUSTC).exists() {
        return Err(Refusal::Absent(format!("no {SYSTEM_RUSTC}")));
    }
    inspect(Origin::Debian, |flags| {
        command::text(Command::new(SYSTEM_RUSTC).args(flags))
    })
}

/// Decides whether a compiler will do. `rustc` runs it with the given flags and gives its standard output.
fn inspect(origin: Origin, rustc: impl Fn(&[&str]) -> Result<String>) -> Found {
    let broken = |error: anyhow::Error| Refusal::Absent(format!("{error:#}"));
    let compiler = parse_version(origin, &rustc(&["-vV"]).map_err(broken)?)?;
    if minor(&compiler.release) < minor(OLDEST_RUSTC) {
        return Err(Refusal::Old(compiler));
    }
    let sysroot = rustc(&["--print", "sysroot"]).map_err(broken)?;
    let sources = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core");
    if !sources.is_dir() {
        return Err(Refusal::NoSources(compiler));
    }
    Ok(compiler)
}

fn parse_version(origin: Origin, version: &str) -> Found {
    let field = |name: &str| {
        version
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    match (field("release:"), field("LLVM version:").and_then(leading_number)) {
        (Some(release), Some(llvm)) => Ok(Compiler {
            origin,
            release: release.to_owned(),
            llvm,
        }),
        _ => Err(Refusal::Absent(format!(
            "{origin}: `rustc -vV` names no release or no LLVM version"
        ))),
    }
}

/// `1.97.0-nightly` is `(1, 97)`.
fn minor(release: &str) -> (u32, u32) {
    let mut parts = release.split('.').map(|part| leading_number(part).unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// The `bpf-linker` that a shell would run, or else the one where `cargo install` puts it.
pub(crate) fn find_linker() -> Option<Linker> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(cargo_bin());
    let path = directories
        .map(|directory| directory.join("bpf-linker"))
        .find(|path| path.is_file())?;
    let llvm = fs::read(&path).ok().and_then(|bytes| shared_llvm(&bytes));
    Some(Linker { path, llvm })
}

/// Where `cargo install` puts programs.
pub(crate) fn cargo_bin() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    home.map(|home| home.join("bin"))
}

/// The LLVM that an executable needs, read from the library name in it: `bpf-linker --version` does not tell.
fn shared_llvm(executable: &[u8]) -> Option<u32> {
    const NAME: &[u8] = b"libLLVM.so.";
    let at = executable.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let digits: String = executable[at..]
        .iter()
        .map(|byte| char::from(*byte))
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

impl Linker {
    /// Whether it reads the bitcode of a compiler with this LLVM: LLVM reads its own and that of older versions.
    pub(crate) fn reads(&self, llvm: u32) -> bool {
        self.llvm.is_none_or(|own| own >= llvm)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rustup(name) => write!(f, "rustup's {name}"),
            Self::Debian => write!(f, "{SYSTEM_RUSTC}"),
        }
    }
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, LLVM {})", self.origin, self.release, self.llvm)
    }
}

impl fmt::Display for Linker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.llvm.map_or(Ok(()), |llvm| write!(f, " (LLVM {llvm})"))
    }
}

// By its path: this file is a module of `observer/build.rs` too, which looks for its modules elsewhere.
#[cfg(test)]
#[path = "toolchain/tests.rs"]
mod tests;
