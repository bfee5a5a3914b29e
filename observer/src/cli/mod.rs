//! The commands, one a module; what was typed is in [`args`], how a run ends is in [`exit`].

pub(crate) mod args;
pub(crate) mod attach;
pub(crate) mod doctor;
pub(crate) mod exit;
mod live;
pub(crate) mod record;
pub(crate) mod replay;
mod sinks;

/// Sends diagnostics of observer and of its kernel half to standard error, as many as `-v` were given.
pub(crate) fn diagnostics(verbose: u8) {
    let level = match verbose {
        0 => log::LevelFilter::Warn,
        1 => log::LevelFilter::Info,
        _ => log::LevelFilter::Debug,
    };
    env_logger::Builder::new().filter_level(level).init();
}
