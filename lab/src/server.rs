//! Starts servers of the testbed.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use testbed::server::LISTENING;

use crate::child::Child;

/// After this, a server that does not say where it listens never will.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts one on a port that the kernel chooses; gives it with its address. It ends at the latest when this program
/// does.
pub fn start(name: &'static str, command: &mut Command) -> Result<(Child, String)> {
    command.args(["--port", "0", "--until-stdin-closes"]);
    let child = Child::start(name, command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let line = child.line(PATIENCE)?;
    let address = line.strip_prefix(LISTENING);
    let address = address.with_context(|| format!("{name} said `{line}` and not where it listens"))?;
    Ok((child, address.to_owned()))
}
