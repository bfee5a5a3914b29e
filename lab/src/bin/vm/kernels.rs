//! Gets kernel images: those of Debian's packages, without installing them, and what else a machine needs to boot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use xtask::{command, privilege};

/// Kernel series whose newest package is checked. 6.1 is the oldest that observer supports and has none of the
/// tracepoints for arrival, receive and send, which came with 6.3. 6.12 has them.
const SERIES: [(&str, Time); 2] = [("6.1", Time::OfTheHost), ("6.12", Time::InInstructions)];

/// What time is on an emulated machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// The host's: what runs inside is some twenty times too slow for it, and what else the host does is seen inside.
    OfTheHost,
    /// A nanosecond for each instruction. A kernel before 6.5 cannot have it: it starts its second CPU in a dialogue in
    /// which the two wait for each other, and does not come to an end of it (6.1 on QEMU 7.2).
    InInstructions,
}

/// A way to boot a kernel.
pub(super) struct Mode {
    /// Parameters on its command line.
    pub(super) parameters: &'static str,
    /// The state of lockdown that these have to lead to; none where the kernel may not know lockdown.
    pub(super) lockdown: Option<&'static str>,
    /// Tells the mode in names.
    pub(super) suffix: &'static str,
}

const PLAIN: Mode = Mode {
    parameters: "",
    lockdown: None,
    suffix: "",
};

/// The strictest lockdown changes what programs may do, and nothing that follows from it: a few tests will do.
const LOCKED_DOWN: Mode = Mode {
    parameters: "lockdown=confidentiality observer_tests=counts::",
    lockdown: Some("confidentiality"),
    suffix: "-confidentiality",
};

/// A kernel to boot.
pub(super) struct Kernel {
    /// Its package or file.
    pub(super) name: String,
    pub(super) image: PathBuf,
    pub(super) time: Time,
    pub(super) modes: &'static [Mode],
}

impl Kernel {
    /// An image that the user gives.
    pub(super) fn given(image: &Path) -> Result<Self> {
        if !image.is_file() {
            bail!("--kernel {}: there is no such file", image.display());
        }
        let name = image.file_name().unwrap_or_default();
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            image: image.to_owned(),
            time: Time::OfTheHost,
            modes: &[PLAIN],
        })
    }
}

/// The newest cloud kernels of Debian's supported series, kept below `directory`.
pub(super) fn of_debian(directory: &Path) -> Result<Vec<Kernel>> {
    let mut kernels = Vec::new();
    for (series, time) in SERIES {
        let package = match newest(series)? {
            Some(package) => package,
            None => {
                update_lists()?;
                newest(series)?.with_context(|| {
                    format!(
                        "apt knows no linux-image-{series}.*-cloud-amd64. On other distributions: --kernel IMAGE"
                    )
                })?
            }
        };
        let unpacked = unpack(&package, directory)?;
        kernels.push(Kernel {
            image: image(&unpacked)?,
            time,
            modes: &[PLAIN, LOCKED_DOWN],
            name: package,
        });
    }
    Ok(kernels)
}

/// A static busybox, kept below `directory`.
pub(super) fn busybox(directory: &Path) -> Result<PathBuf> {
    let unpacked = unpack("busybox-static", directory)?;
    ["bin/busybox", "usr/bin/busybox"]
        .map(|path| unpacked.join(path))
        .into_iter()
        .find(|path| path.is_file())
        .context("the package busybox-static holds no busybox")
}

/// Name of the newest signed cloud kernel package of a series that apt knows.
fn newest(series: &str) -> Result<Option<String>> {
    let pattern = format!(
        r"^linux-image-{}\.[0-9].*-cloud-amd64$",
        series.replace('.', r"\.")
    );
    let text = command::text(Command::new("apt-cache").args(["search", "--names-only", &pattern]))
        .context("Debian's kernels are found through apt. On other distributions: --kernel IMAGE")?;
    Ok(newest_of(&text))
}

/// The newest of what `apt-cache search` prints, `NAME - DESCRIPTION` on each line.
fn newest_of(search: &str) -> Option<String> {
    let names = search.lines().filter_map(|line| line.split_whitespace().next());
    names.max_by_key(|name| numbers(name)).map(str::to_owned)
}

/// The numbers in a name, which order versions where text does not: 6.1.0-9 before 6.1.0-10.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// Downloads a package and unpacks it below `directory`, unless that was done before. Installs nothing.
fn unpack(package: &str, directory: &Path) -> Result<PathBuf> {
    let unpacked = directory.join(package);
    if unpacked.is_dir() {
        return Ok(unpacked);
    }
    let download = directory.join("download");
    // What an interrupted run has left.
    for left in [&download, &directory.join("unpacking")] {
        if left.is_dir() {
            fs::remove_dir_all(left).with_context(|| format!("cannot remove {}", left.display()))?;
        }
    }
    fs::create_dir_all(&download).with_context(|| format!("cannot create {}", download.display()))?;
    eprintln!("Downloading {package}");
    if fetch(package, &download).is_err() {
        // The lists may name a file that the mirror has replaced since.
        update_lists()?;
        fetch(package, &download)?;
    }
    let file = only_file(&download)?;
    let unpacking = directory.join("unpacking");
    command::output(Command::new("dpkg").arg("-x").arg(file).arg(&unpacking))?;
    fs::rename(&unpacking, &unpacked).with_context(|| format!("cannot create {}", unpacked.display()))?;
    fs::remove_dir_all(&download).with_context(|| format!("cannot remove {}", download.display()))?;
    Ok(unpacked)
}

fn fetch(package: &str, into: &Path) -> Result<()> {
    let mut apt = Command::new("apt-get");
    // As root, apt would download as a user who cannot write here, and warn.
    apt.args([
        "download",
        "--quiet",
        "--option",
        "APT::Sandbox::User=root",
        package,
    ]);
    command::output(apt.current_dir(into)).map(drop)
}

fn update_lists() -> Result<()> {
    let mut update = privilege::as_root("apt-get");
    update.args(["update", "--quiet"]);
    eprintln!("  {}", command::line(&update));
    command::output(&mut update).map(drop)
}

fn only_file(directory: &Path) -> Result<PathBuf> {
    let mut entries =
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let first = entries.next().context("apt-get downloaded nothing")??;
    Ok(first.path())
}

fn image(unpacked: &Path) -> Result<PathBuf> {
    let boot = unpacked.join("boot");
    let entries = fs::read_dir(&boot).with_context(|| format!("cannot list {}", boot.display()))?;
    entries
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("vmlinuz-"))
        .map(|entry| entry.path())
        .with_context(|| format!("{} holds no vmlinuz", boot.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_is_found_by_its_numbers() {
        let search = "linux-image-6.1.0-9-cloud-amd64 - Linux 6.1\n\
                      linux-image-6.1.0-56-cloud-amd64 - Linux 6.1\n\
                      linux-image-6.1.0-48-cloud-amd64 - Linux 6.1\n";
        assert_eq!(
            newest_of(search).as_deref(),
            Some("linux-image-6.1.0-56-cloud-amd64")
        );
        assert_eq!(newest_of(""), None);
    }
}
