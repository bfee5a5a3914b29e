//! Runs the iterator that finds the sockets which the watched processes hold already.
//!
//! It is the kernel that walks their descriptors, so nothing of theirs need be readable, and their network may be any.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::{AsRawFd as _, BorrowedFd};

use anyhow::{Context as _, Result};
use aya_obj::generated::{bpf_attach_type, bpf_cmd};

use super::direct::bpf;
use crate::model::id::Pid;

/// `union bpf_attr` of `BPF_LINK_CREATE` for an iterator (`include/uapi/linux/bpf.h`).
#[repr(C)]
struct IteratorLinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    about: u64,
    about_bytes: u32,
    reserved: u32,
}

/// `union bpf_iter_link_info`: which tasks.
#[repr(C)]
struct OfTask {
    tid: u32,
    pid: u32,
    descriptor: u32,
    reserved: u32,
}

/// `union bpf_attr` of `BPF_ITER_CREATE`.
#[repr(C)]
struct IteratorCreate {
    link: u32,
    flags: u32,
}

/// Runs `program` on each descriptor of each of these processes.
pub(super) fn run(program: BorrowedFd<'_>, pids: &[Pid]) -> Result<()> {
    for &pid in pids {
        let about = OfTask {
            tid: 0,
            pid: pid.0,
            descriptor: 0,
            reserved: 0,
        };
        let create = IteratorLinkCreate {
            program: program.as_raw_fd().cast_unsigned(),
            target: 0,
            attach_type: bpf_attach_type::BPF_TRACE_ITER as u32,
            flags: 0,
            about: &raw const about as u64,
            about_bytes: u32::try_from(size_of::<OfTask>())?,
            reserved: 0,
        };
        let link = bpf(bpf_cmd::BPF_LINK_CREATE, &create).context("the BPF_LINK_CREATE syscall failed")?;
        let create = IteratorCreate {
            link: link.as_raw_fd().cast_unsigned(),
            flags: 0,
        };
        let iterator =
            bpf(bpf_cmd::BPF_ITER_CREATE, &create).context("the BPF_ITER_CREATE syscall failed")?;
        read_out(File::from(iterator)).context("the iterator over the descriptors failed")?;
    }
    Ok(())
}

/// Reading is what runs it; it writes nothing. After a million descriptors without a byte it asks to be read again.
fn read_out(mut iterator: File) -> io::Result<()> {
    loop {
        match iterator.read(&mut [0; 64]) {
            Ok(0) => return Ok(()),
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Err(error);
            }
            _ => {}
        }
    }
}
