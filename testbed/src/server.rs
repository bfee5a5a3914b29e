//! What a test server owes the test that starts it: its address, and an end.
//!
//! SIGTERM and SIGINT have no handler. Their default action ends the process even when every worker is blocked,
//! and adds neither a thread nor a system call to what is observed.

use std::io::{Write as _, copy, sink, stdin, stdout};
use std::net::SocketAddr;
use std::process;
use std::thread;

use anyhow::{Context as _, Result};

/// What the line with the address begins with.
pub const LISTENING: &str = "listening on ";

/// Options that every test server has.
#[derive(clap::Args)]
pub struct Common {
    /// Port on 127.0.0.1; 0 lets the kernel choose
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// End when standard input does, so that a test that is killed leaves no server behind
    #[arg(long)]
    until_stdin_closes: bool,
}

impl Common {
    /// Tells the starter the address, in the one line that it waits for. `at_end` runs when standard input closes,
    /// if that is the end, and its error is the program's.
    pub fn announce(
        &self,
        address: SocketAddr,
        at_end: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<()> {
        if self.until_stdin_closes {
            let watch = thread::Builder::new().name("stdin".to_owned()).spawn(|| {
                // An error is as good an end as the end.
                let _ = copy(&mut stdin().lock(), &mut sink());
                let ended = at_end();
                if let Err(error) = &ended {
                    eprintln!("error: {error:#}");
                }
                process::exit(i32::from(ended.is_err()));
            });
            watch.context("cannot start the thread that watches standard input")?;
        }
        let mut out = stdout().lock();
        writeln!(out, "{LISTENING}{address}")
            .and_then(|()| out.flush())
            .context("cannot write the address to standard output")
    }
}
