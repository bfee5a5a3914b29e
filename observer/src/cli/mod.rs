//! The commands, one a module; what was typed is in [`args`], how a run ends is in [`exit`].

pub(crate) mod args;
pub(crate) mod attach;
pub(crate) mod doctor;
pub(crate) mod exit;
mod hints;
mod live;
pub(crate) mod record;
mod recording;
pub(crate) mod replay;
mod say;
mod sinks;
mod watching;

/// Blocks of memory of this size and more go back to the kernel when they are freed, bytes.
///
/// What is known of threads grows block by block, each twice the last one. glibc would keep freed ones for later, once
/// it has seen some of their size come and go: 20 MiB with ten saturated workers.
#[cfg(target_env = "gnu")]
const GIVEN_BACK: libc::c_int = 1 << 20;

/// Sets up the allocator.
pub(crate) fn memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no other thread runs yet. Where the value is refused, nothing changes.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, GIVEN_BACK)
    };
}

/// Sends diagnostics of observer and of its kernel half to standard error, as many as `-v` were given.
pub(crate) fn diagnostics(verbose: u8) {
    let level = match verbose {
        0 => log::LevelFilter::Warn,
        1 => log::LevelFilter::Info,
        _ => log::LevelFilter::Debug,
    };
    env_logger::Builder::new().filter_level(level).init();
}
