//! What observer's own threads are called. Where one of them takes a CPU from a watched thread, findings name it: a
//! user is to know whose it is.

/// Starts and stops the sampling clocks.
pub(crate) const CLOCKS: &str = "observer-clocks";

/// Finds the names of functions in files.
pub(crate) const NAMES: &str = "observer-names";

/// Looks into files of programs for the runtime in them.
pub(crate) const PROGRAMS: &str = "observer-elf";

/// Writes an output.
pub(crate) const OUTPUT: &str = "observer-output";

/// Writes a recording.
pub(crate) const RECORDING: &str = "observer-record";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::thread;

    use observer_common::limits::COMM_BYTES;

    use super::*;

    #[test]
    fn the_kernel_keeps_the_whole_of_each_name() {
        let names = [CLOCKS, NAMES, PROGRAMS, OUTPUT, RECORDING];
        assert_eq!(BTreeSet::from(names).len(), names.len());
        for name in names {
            assert!(name.starts_with("observer-") && name.len() < COMM_BYTES, "{name}");
            let thread = thread::Builder::new().name(name.to_owned());
            let kept = thread
                .spawn(|| fs::read_to_string("/proc/thread-self/comm").unwrap())
                .unwrap()
                .join()
                .unwrap();
            assert_eq!(kept.trim_end(), name);
        }
    }
}
