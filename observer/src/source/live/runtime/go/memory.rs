//! Reads another process's memory, without stopping it.

use std::io;

use crate::model::id::Pid;

/// Bytes at an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) address: u64,
    pub(super) bytes: usize,
}

/// Reads these places of process `pid`, one after the other, into `words`, which they fill.
///
/// # Errors
/// When not all of them can be read, or not by this process.
pub(super) fn read(pid: Pid, places: &[Place], words: &mut [u64]) -> io::Result<()> {
    let wanted = size_of_val(words);
    let here = libc::iovec {
        iov_base: words.as_mut_ptr().cast(),
        iov_len: wanted,
    };
    let there: Vec<_> = places
        .iter()
        .map(|place| libc::iovec {
            iov_base: place.address as *mut libc::c_void,
            iov_len: place.bytes,
        })
        .collect();
    let pid = libc::pid_t::try_from(pid.0).map_err(io::Error::other)?;
    // SAFETY: the kernel writes no more than `wanted` bytes to `words`, which any bytes are valid for, and checks the
    // addresses of the other process itself.
    let read =
        unsafe { libc::process_vm_readv(pid, &raw const here, 1, there.as_ptr(), there.len() as u64, 0) };
    match usize::try_from(read) {
        Ok(read) if read == wanted => Ok(()),
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
        let place = |words: &[u64]| Place {
            address: words.as_ptr() as u64,
            bytes: size_of_val(words),
        };
        let mut words = [0; 3];
        read(me, &[place(&first), place(&second)], &mut words).unwrap();
        assert_eq!(words, [7, 8, 9]);
        let nothing = Place { address: 0, bytes: 8 };
        let error = read(me, &[place(&first), nothing], &mut words).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
