//! Runs one case: starts the server and what surrounds it, attaches observer, loads, and stops everything in the
//! order in which nothing of it is observed.
//!
//! What every process wrote stays in a directory of the case.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lab::child::{Child, Interrupt};
use lab::programs::{GO_SERVER, GO_TRACE, Programs};
use lab::server;
use serde_json::Value;
use xtask::privilege;

use super::names::Names;
use super::quota::Quota;
use super::scenario::{Case, Load, Program};
use super::truth::{self, Observed};

/// How long each load goes on.
const LOADED: Duration = Duration::from_secs(3);
/// A load that begins before observer is in full swing after this.
const BEFORE_ATTACH: Duration = Duration::from_millis(500);
/// Each load before those that count.
const WARM_UP: &str = "200ms";
/// They end after this in any case: on some kernels nothing can be learned.
const MOST_WARM_UP: Duration = Duration::from_secs(3);
/// Where there are no tasks, what threads are is learned in this.
const PLAIN_WARM_UP: Duration = Duration::from_millis(400);
/// After this, something that should have happened by itself has not.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);
/// Events come in bursts while a whole CPU is taken from observer: rings that are large enough lose none.
const RING_KIB: &str = "16384";
/// Ids of one load, at most.
const IDS: usize = 1_000_000;
const DATA_BYTES: usize = 64 << 20;
/// What the server writes into its directory.
const TRUTH: &str = "truth.jsonl";
/// What observer writes there.
pub(super) const EXPLAINED: &str = "observer.jsonl";

/// Fails where the load's report, its one line, counts errors.
pub(super) fn require_all_answered(report: &str) -> Result<()> {
    ensure!(
        report.contains("\"errors\":0,"),
        "not every request was answered: {}",
        report.trim_end()
    );
    Ok(())
}

/// What all cases share.
pub(super) struct Bench {
    pub(super) programs: Programs,
    pub(super) directory: PathBuf,
    pub(super) interrupt: Interrupt,
}

/// What is known of a run when it is over.
pub(super) struct Run {
    /// The loads' files.
    logs: Vec<PathBuf>,
    /// Requests before the loads.
    warm_up: u64,
    names: Names,
}

impl Bench {
    /// Makes what the servers read.
    pub(super) fn prepare(&self) -> Result<()> {
        fs::create_dir_all(&self.directory)
            .with_context(|| format!("cannot create {}", self.directory.display()))?;
        let data = self.data();
        let is_there = fs::metadata(&data).is_ok_and(|data| data.len() == DATA_BYTES as u64);
        if !is_there {
            fs::write(&data, vec![b'd'; DATA_BYTES])
                .and_then(|()| File::open(&data)?.sync_all())
                .with_context(|| format!("cannot write {}", data.display()))?;
        }
        Ok(())
    }

    /// Runs a case in a directory of its own; gives what was written, and the names that only now are known.
    pub(super) fn run(&self, scenario: &str, case: &Case) -> Result<(Observed, Names)> {
        let directory = self.case_directory(scenario, case)?;
        let arguments = ["--requests", "all", "--with-query"];
        let Run { logs, warm_up, names } = self.observe(case, &directory, &arguments)?;
        let at = |name: &str| directory.join(name);
        Ok((truth::read(&at(TRUTH), warm_up, &logs, &at(EXPLAINED))?, names))
    }

    /// Runs a case, with these arguments for observer. What every process wrote is then in `directory`.
    pub(super) fn observe(&self, case: &Case, directory: &Path, arguments: &[&str]) -> Result<Run> {
        let at = |name: &str| directory.join(name);
        let peer = self.peer(case)?;
        let (mut server, address) = self.server(case, &at(TRUTH), peer.as_ref())?;
        let quota = case
            .server
            .quota_us
            .map(|(quota_us, period_us)| Quota::on(server.pid(), quota_us, period_us));
        let quota = quota.transpose()?;
        let hogs = self.hogs(case)?;
        let logs: Vec<_> = (0..case.loads.len())
            .map(|index| at(&format!("load-{index}.jsonl")))
            .collect();
        let attach = || self.attach(server.pid(), &at(EXPLAINED), arguments);
        let (observer, warm_up, loads) = if case.attached_late {
            let loads = self.loads(case, &address, &logs)?;
            thread::sleep(BEFORE_ATTACH);
            (attach()?, 0, loads)
        } else {
            let observer = attach()?;
            let warm_up = self.warm_up(case, &address, &at(EXPLAINED))?;
            (observer, warm_up, self.loads(case, &address, &logs)?)
        };
        for load in loads {
            let report = load.finish(2 * LOADED + PATIENCE, &self.interrupt)?;
            require_all_answered(&report)?;
        }
        observer.interrupt();
        observer.finish(PATIENCE, &self.interrupt)?;
        drop(hogs);
        server.close_stdin();
        server.finish(PATIENCE, &self.interrupt)?;
        drop(quota);
        let names = Names {
            peer: peer.map_or_else(String::new, |(_, address)| address),
            data: self.data().display().to_string(),
            files: self.directory.display().to_string(),
        };
        Ok(Run { logs, warm_up, names })
    }

    pub(super) fn case_directory(&self, scenario: &str, case: &Case) -> Result<PathBuf> {
        let directory = self.directory.join(scenario).join(&case.name);
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        Ok(directory)
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn peer(&self, case: &Case) -> Result<Option<(Child, String)>> {
        let Some(arguments) = &case.server.peer else {
            return Ok(None);
        };
        let mut peer = Command::new(self.programs.testbed("slow-peer"));
        server::start("the peer", peer.args(arguments)).map(Some)
    }

    fn server(&self, case: &Case, truth: &Path, peer: Option<&(Child, String)>) -> Result<(Child, String)> {
        let program = self.programs.testbed(match case.server.program {
            Program::Faulty => "faulty-server",
            Program::Plain => "plain-server",
            Program::Go => GO_SERVER,
        });
        let mut server = match case.server.beside_hogs {
            // It is the same process afterwards.
            Some((cpu, _)) => {
                let mut taskset = Command::new("taskset");
                taskset.args(["--cpu-list", &cpu.to_string()]).arg(program);
                taskset
            }
            None => Command::new(program),
        };
        server.args(&case.server.arguments).arg("--truth").arg(truth);
        if matches!(case.server.program, Program::Faulty | Program::Go) {
            server.arg("--files").arg(&self.directory);
        }
        if case.server.program == Program::Faulty {
            server.arg("--data").arg(self.data());
        }
        if case.server.traced {
            server.arg("--trace-tool").arg(self.programs.testbed(GO_TRACE));
        }
        if let Some((_, address)) = peer {
            server.args(["--downstream", address]);
        }
        server::start("the server", &mut server)
    }

    fn hogs(&self, case: &Case) -> Result<Vec<Child>> {
        let (cpu, count) = case.server.beside_hogs.unwrap_or_default();
        let start = |_| {
            let mut hog = Command::new(self.programs.testbed("hog"));
            hog.args(["--cpu", &cpu.to_string(), "--duration", "1m"]);
            Child::start("a hog", &mut hog)
        };
        (0..count).map(start).collect()
    }

    /// Observer, once it is attached: that is when it writes its first line.
    pub(super) fn attach(&self, pid: u32, output: &Path, arguments: &[&str]) -> Result<Child> {
        let file = File::create(output).with_context(|| format!("cannot create {}", output.display()))?;
        let mut attach = privilege::as_root(&self.programs.observer);
        attach.args(["attach", "--pid", &pid.to_string()]).args(arguments);
        attach.args(["--format", "jsonl", "--ring-kib", RING_KIB]);
        let observer = Child::start("observer", attach.stdin(Stdio::null()).stdout(file))?;
        let start = Instant::now();
        while fs::metadata(output).map_or(0, |file| file.len()) == 0 {
            if self.interrupt.came() {
                bail!("interrupted");
            }
            if start.elapsed() > PATIENCE {
                bail!("observer is not attached after {PATIENCE:?}");
            }
            thread::sleep(POLL);
        }
        Ok(observer)
    }

    /// Loads until observer knows the server's tasks, which it learns from how threads that serve behave, or will not.
    /// Gives how many requests that took.
    fn warm_up(&self, case: &Case, address: &str, explained: &Path) -> Result<u64> {
        let url = format!("http://{address}{}", case.warm_up);
        let most = match case.server.program {
            Program::Faulty | Program::Go => MOST_WARM_UP,
            Program::Plain => PLAIN_WARM_UP,
        };
        let (mut requests, start) = (0, Instant::now());
        while !truth::knows_tasks(explained)? && start.elapsed() < most {
            let mut command = Command::new(self.programs.testbed("load"));
            command.args(["--url", &url, "--duration", WARM_UP]);
            command.args(["--connections", "4", "--rate", "200"]);
            let load = Child::start("the warm-up", command.stdout(Stdio::piped()))?;
            let report = load.finish(PATIENCE, &self.interrupt)?;
            let report: Value = serde_json::from_str(&report)
                .with_context(|| format!("the warm-up printed `{}`", report.trim_end()))?;
            requests += report["requests"].as_u64().unwrap_or_default();
        }
        Ok(requests)
    }

    /// Starts all loads of a case.
    fn loads(&self, case: &Case, address: &str, logs: &[PathBuf]) -> Result<Vec<Child>> {
        let duration = if case.attached_late { 2 * LOADED } else { LOADED };
        let loads = case.loads.iter().zip(logs).enumerate();
        loads
            .map(|(index, (load, log))| self.load(load, address, duration, log, index * IDS + 1))
            .collect()
    }

    fn load(
        &self,
        load: &Load,
        address: &str,
        duration: Duration,
        log: &Path,
        first_id: usize,
    ) -> Result<Child> {
        let port = address.rsplit_once(':').map_or("", |(_, port)| port);
        let address = load
            .host
            .map_or_else(|| address.to_owned(), |host| format!("{host}:{port}"));
        let url = format!("http://{address}{}", load.path);
        let duration = format!("{}ms", duration.as_millis());
        let mut command = Command::new(self.programs.testbed("load"));
        command.args([
            "--url",
            &url,
            "--duration",
            &duration,
            "--first-id",
            &first_id.to_string(),
        ]);
        command
            .arg("--log")
            .arg(log)
            .args(&load.arguments)
            .stdout(Stdio::piped());
        Child::start("the load", &mut command)
    }
}
