//! Opens the file in which a process tells of the code that it makes, whatever a stranger may have put in its place.
//!
//! The path is the process's own, and is looked up where the process would find it. What is opened is a file, never a
//! pipe or a device, and belongs to the process's user or to root, as perf asks for too.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::time::{Duration, SystemTime};

use procfs::process::{MMapPath, MemoryMap};

use crate::model::id::Pid;

/// How exactly it is known when a process began: the clock of that ticks a hundred times a second.
const BEGAN_WITHIN: Duration = Duration::from_millis(20);

/// The map that a process has written for perf: in its own `/tmp`, with the number that the process has for itself.
pub(super) fn perf_map(pid: Pid) -> io::Result<File> {
    let (user, own_pid) = user_and_own_pid(pid)?;
    let file = open(pid, &format!("tmp/perf-{own_pid}.map"), user)?;
    // One with the same number may have left it.
    let began = began(pid)?.checked_sub(BEGAN_WITHIN);
    if began.is_some_and(|began| {
        file.metadata()
            .is_ok_and(|file| file.modified().is_ok_and(|at| at < began))
    }) {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(file)
}

/// Whether this is a jitdump file, which who writes it maps so that it is found.
pub(super) fn is_jitdump(map: &MemoryMap) -> bool {
    let MMapPath::Path(path) = &map.pathname else {
        return false;
    };
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with("jit-") && name.ends_with(".dump"))
}

/// The jitdump file that a process has mapped there.
pub(super) fn jitdump(pid: Pid, map: &MemoryMap) -> io::Result<File> {
    let MMapPath::Path(path) = &map.pathname else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let (user, _) = user_and_own_pid(pid)?;
    let path = path.strip_prefix("/").map_err(io::Error::other)?;
    let file = open(pid, path.to_str().ok_or(io::ErrorKind::InvalidInput)?, user)?;
    if file.metadata()?.ino() != map.inode {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(file)
}

/// The user as whom a process makes files, and its number in its own namespace.
fn user_and_own_pid(pid: Pid) -> io::Result<(u32, u32)> {
    let process = procfs::process::Process::new(i32::try_from(pid.0).map_err(io::Error::other)?);
    let status = process
        .and_then(|process| process.status())
        .map_err(io::Error::other)?;
    let own = status.nspid.and_then(|pids| pids.last().copied());
    let own = own.and_then(|own| u32::try_from(own).ok()).unwrap_or(pid.0);
    Ok((status.fuid, own))
}

fn began(pid: Pid) -> io::Result<SystemTime> {
    let process = procfs::process::Process::new(i32::try_from(pid.0).map_err(io::Error::other)?);
    let stat = process
        .and_then(|process| process.stat())
        .map_err(io::Error::other)?;
    let since_boot = Duration::from_millis(stat.starttime * 1000 / procfs::ticks_per_second());
    let up = std::fs::read_to_string("/proc/uptime")?;
    let up: f64 = up
        .split(' ')
        .next()
        .and_then(|up| up.parse().ok())
        .ok_or(io::ErrorKind::InvalidData)?;
    let ago = Duration::from_secs_f64(up).saturating_sub(since_boot);
    SystemTime::now()
        .checked_sub(ago)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Opens a file by its path in the root of a process, if it is one, and of this user or of root.
fn open(pid: Pid, path: &str, user: u32) -> io::Result<File> {
    let root = File::options()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(format!("/proc/{}/root", pid.0))?;
    let found = look_up(&root, path)?;
    let metadata = found.metadata()?;
    if !metadata.is_file() || (metadata.uid() != user && metadata.uid() != 0) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    // The same file again: nobody can have put another in its place.
    File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(format!("/proc/self/fd/{}", found.as_raw_fd()))
}

/// Finds what is at a path below a directory, without opening it: no link leads out of there, and it is none itself.
fn look_up(root: &File, path: &str) -> io::Result<File> {
    let path = CString::new(path).map_err(io::Error::other)?;
    // SAFETY: a structure of numbers, for which zero means nothing special.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: path and structure are there during the call, and of the size that is given.
    let found = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            root.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        )
    };
    let found = i32::try_from(found).map_err(io::Error::other)?;
    if found < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, which nobody else owns.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(found) }))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{chown, symlink};
    use std::path::Path;

    use super::*;

    #[test]
    fn only_a_file_of_the_process_s_user_or_of_root_is_opened_and_nothing_is_waited_for() {
        let own = Pid(std::process::id());
        let path = format!("/tmp/perf-{}.map", own.0);
        let path = Path::new(&path);
        let _ = fs::remove_file(path);
        assert!(perf_map(own).is_err());
        let name = CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: reads a name that ends with a NUL, and nothing else.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        assert!(perf_map(own).is_err(), "a pipe");
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
        assert!(perf_map(own).is_err(), "a directory");
        fs::remove_dir(path).unwrap();
        symlink("/proc/self/status", path).unwrap();
        assert!(perf_map(own).is_err(), "a link");
        fs::remove_file(path).unwrap();
        fs::write(path, "10 8 f\n").unwrap();
        assert!(perf_map(own).is_ok());
        let before = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(before)
            .unwrap();
        assert!(perf_map(own).is_err(), "of another process that had this number");
        fs::write(path, "10 8 f\n").unwrap();
        // Only root can give it away.
        if chown(path, Some(12_345), None).is_ok() {
            assert!(perf_map(own).is_err(), "of a stranger");
        }
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_link_on_the_way_leads_to_nowhere_outside_of_the_root() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("etc")).unwrap();
        symlink("/etc", directory.path().join("tmp")).unwrap();
        symlink("../../../../../../etc", directory.path().join("up")).unwrap();
        let root = File::open(directory.path()).unwrap();
        for path in ["tmp/passwd", "up/passwd", "../../../../../../etc/passwd"] {
            assert!(look_up(&root, path).is_err(), "{path}");
        }
        fs::write(directory.path().join("etc/passwd"), "").unwrap();
        assert!(look_up(&root, "tmp/passwd").is_ok());
    }
}
