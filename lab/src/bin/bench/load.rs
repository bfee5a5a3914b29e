//! The server that is measured, and its client: wrk, which is far quicker than the server.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use lab::child::{Child, Interrupt};
use lab::programs::Programs;
use lab::server;
use xtask::workspace;

use super::is_missing;

/// The server has a CPU, and everything else the other.
pub(super) const SERVER_CPU: u16 = 0;
const CLIENT_CPU: u16 = 1;

/// How long the server is loaded before a turn, and in it. wrk takes whole seconds.
const WARM_UP: Duration = Duration::from_secs(2);
const TURN: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);

/// Has wrk say what it measured in one line: requests, errors, duration and quantiles in microseconds.
const REPORT: &str = r#"done = function(summary, latency)
  local e = summary.errors
  io.write(string.format("report %d %d %d %d %d %d\n", summary.requests,
    e.connect + e.read + e.write + e.status + e.timeout, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"#;

/// `faulty-server`.
pub(super) struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Starts one with so many worker threads.
    pub(super) fn start(programs: &Programs, workers: u32) -> Result<Self> {
        let mut faulty = on_cpu(SERVER_CPU, programs.testbed("faulty-server"));
        faulty.args(["--workers", &workers.to_string()]);
        let (child, address) = server::start("the server", &mut faulty)?;
        Ok(Self { child, address })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.pid()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// wrk, ready to be used.
pub(super) struct Load {
    script: PathBuf,
}

/// What the client got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) requests: u64,
    pub(super) duration: Duration,
    pub(super) latency: Latency,
}

/// Quantiles as the client saw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Latency {
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) p999_us: u64,
}

impl Load {
    pub(super) fn find() -> Result<Self> {
        for program in ["wrk", "taskset"] {
            if is_missing(program) {
                bail!("the bench needs `{program}`; on Debian: apt-get install wrk util-linux");
            }
        }
        let directory = workspace::target_dir()?.join("bench");
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let script = directory.join("report.lua");
        std::fs::write(&script, REPORT).with_context(|| format!("cannot write {}", script.display()))?;
        Ok(Self { script })
    }

    /// Loads the server for some seconds, of which nothing is measured.
    pub(super) fn warm_up(&self, url: &str, connections: u32, interrupt: &Interrupt) -> Result<()> {
        self.load(url, connections, WARM_UP, interrupt)?;
        Ok(())
    }

    /// Loads the server for two seconds.
    pub(super) fn run(&self, url: &str, connections: u32, interrupt: &Interrupt) -> Result<Answered> {
        self.load(url, connections, TURN, interrupt)
    }

    fn load(&self, url: &str, connections: u32, lasts: Duration, interrupt: &Interrupt) -> Result<Answered> {
        let wrk = self.begin(url, connections, lasts)?;
        answered(&wrk.finish(PATIENCE, interrupt)?)
    }

    /// Loads the server from now on, and at most for so many seconds. When it is asked to end, wrk says what it
    /// measured.
    pub(super) fn begin(&self, url: &str, connections: u32, lasts: Duration) -> Result<Child> {
        let mut wrk = on_cpu(CLIENT_CPU, "wrk");
        wrk.args(["-t1", "-c", &connections.to_string()])
            .args(["-d", &lasts.as_secs().to_string(), "-s"])
            .arg(&self.script)
            .arg(url);
        Child::start("wrk", wrk.stdout(Stdio::piped()))
    }
}

/// A program that stays on one CPU and may have as many open files as this machine lets it; it is the same process.
fn on_cpu(cpu: u16, program: impl AsRef<OsStr>) -> Command {
    const LIFTED: &str = r#"ulimit -S -n "$(ulimit -H -n)"; exec "$@""#;
    let mut command = Command::new("sh");
    command
        .args(["-c", LIFTED, "sh", "taskset", "--cpu-list", &cpu.to_string()])
        .arg(program);
    command
}

/// What the client got, by what wrk said: an error if a request failed.
pub(super) fn answered(said: &str) -> Result<Answered> {
    read(said).with_context(|| format!("wrk got no answer to some request: {said}"))
}

/// Reads the report line; nothing where requests failed.
fn read(said: &str) -> Option<Answered> {
    let line = said.lines().find_map(|line| line.strip_prefix("report "))?;
    let numbers: Vec<u64> = line
        .split(' ')
        .map(|word| word.parse().ok())
        .collect::<Option<_>>()?;
    let [requests, 0, duration_us, p50_us, p99_us, p999_us] = numbers[..] else {
        return None;
    };
    (requests > 0).then_some(Answered {
        requests,
        duration: Duration::from_micros(duration_us),
        latency: Latency {
            p50_us,
            p99_us,
            p999_us,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_and_one_with_errors_is_none() {
        let answered = read("Running 2s test\nreport 100 0 2000000 300 400 500\n").unwrap();
        assert_eq!((answered.requests, answered.latency.p999_us), (100, 500));
        assert_eq!(read("report 100 1 2000000 300 400 500\n"), None);
        assert_eq!(read("report 0 0 2000000 300 400 500\n"), None);
        assert_eq!(read(""), None);
    }
}
