//! Reads another process's memory, without stopping it.

use std::io;

use crate::model::id::Pid;

/// Bytes at an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemoryRange {
    pub(super) address: u64,
    pub(super) bytes: usize,
}

/// Places that the kernel reads in one call, at most (`UIO_MAXIOV`).
const AT_ONCE: usize = 1024;

/// Reads these places of process `pid`, one after the other, into `words`, which they fill.
///
/// # Errors
/// When not all of them can be read, or not by this process.
pub(super) fn read(pid: Pid, places: &[MemoryRange], words: &mut [u64]) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid.0).map_err(io::Error::other)?;
    let mut left: &mut [u8] = bytemuck::cast_slice_mut(words);
    for places in places.chunks(AT_ONCE) {
        let bytes = places.iter().map(|place| place.bytes).sum();
        let (into, rest) = left
            .split_at_mut_checked(bytes)
            .ok_or(io::ErrorKind::InvalidInput)?;
        read_at_once(pid, places, into)?;
        left = rest;
    }
    Ok(())
}

fn read_at_once(pid: libc::pid_t, places: &[MemoryRange], bytes: &mut [u8]) -> io::Result<()> {
    let here = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let there: Vec<_> = places
        .iter()
        .map(|place| libc::iovec {
            iov_base: place.address as *mut libc::c_void,
            iov_len: place.bytes,
        })
        .collect();
    // SAFETY: the kernel writes no more than `bytes.len()` bytes to `bytes`, and checks the addresses of the other
    // process itself.
    let read =
        unsafe { libc::process_vm_readv(pid, &raw const here, 1, there.as_ptr(), there.len() as u64, 0) };
    match usize::try_from(read) {
        Ok(read) if read == bytes.len() => Ok(()),
        Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_in_their_order_or_not_at_all() {
        let (first, second) = ([7_u64, 8], [9_u64]);
        let me = Pid(std::process::id());
        let place = |words: &[u64]| MemoryRange {
            address: words.as_ptr() as u64,
            bytes: size_of_val(words),
        };
        let mut words = [0; 3];
        read(me, &[place(&first), place(&second)], &mut words).unwrap();
        assert_eq!(words, [7, 8, 9]);
        let many = vec![place(&second); AT_ONCE + 1];
        let mut nines = vec![0; many.len()];
        read(me, &many, &mut nines).unwrap();
        assert!(nines.iter().all(|&word| word == 9));
        let nothing = MemoryRange { address: 0, bytes: 8 };
        let error = read(me, &[place(&first), nothing], &mut words).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
