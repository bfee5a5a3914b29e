//! How the client behaves: by default as well as one can, otherwise with a fault of its own.

use std::time::Duration;

use testbed::duration;

/// The client's faults.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Manner {
    /// Send each request in this many pieces, with pauses between
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16))]
    pub(crate) pieces: u16,
    /// The pause between two pieces, or before a body that was asked for
    #[arg(long, default_value = "10ms", value_name = "TIME", value_parser = duration::parse)]
    pub(crate) piece_pause: Duration,
    /// Send a body of so many bytes with each request
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1 << 20))]
    pub(crate) body_bytes: u32,
    /// Ask whether to send the body, wait for the answer to that, pause, and send it
    #[arg(long, requires = "body_bytes", conflicts_with_all = ["pieces", "pipeline"])]
    pub(crate) expect_continue: bool,
    /// Pause after the first bytes of each answer, before the rest is read
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) read_pause: Option<Duration>,
    /// A new connection for each request
    #[arg(long)]
    pub(crate) reconnect: bool,
    /// Send this many requests at once in the place of each, before their answers are read
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) pipeline: u16,
}
