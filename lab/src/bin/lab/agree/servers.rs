//! The servers: those of the testbed, which are always there, and those that people serve files with, where this
//! machine has them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use lab::child::Child;
use lab::server;
use xtask::command;

use super::super::run::{Bench, PATIENCE};

const POLL: Duration = Duration::from_millis(20);

/// A server that can be started.
pub(super) struct Server {
    pub(super) name: &'static str,
    /// What has to be on this machine.
    pub(super) program: String,
    /// Paths of the small answer and of the large one.
    pub(super) small: &'static str,
    pub(super) large: &'static str,
    how: How,
}

/// How it is started.
enum How {
    /// It says where it listens.
    Testbed(Vec<&'static str>),
    /// It is told where to listen and which directory to serve; both stand in its arguments as `PORT` and `FILES`.
    Told(Vec<String>),
    /// The same, where the arguments name a file with this content.
    Configured(Vec<String>, &'static str),
}

/// A running server.
pub(super) struct Ready {
    pub(super) child: Child,
    pub(super) address: String,
}

const NGINX: &str = "daemon off;
master_process off;
error_log stderr error;
pid CONFIGURATION.pid;
events {}
http {
    access_log off;
    sendfile on;
    keepalive_requests 1000000;
    client_body_temp_path CONFIGURATION.body;
    proxy_temp_path CONFIGURATION.proxy;
    fastcgi_temp_path CONFIGURATION.fastcgi;
    uwsgi_temp_path CONFIGURATION.uwsgi;
    scgi_temp_path CONFIGURATION.scgi;
    server { listen 127.0.0.1:PORT; root FILES; }
}
";

const NODE: &str = "const { readFile } = require('fs');
require('http').createServer((request, response) => {
  readFile('FILES' + request.url.split('?')[0], (error, content) => {
    response.writeHead(error ? 404 : 200, { 'Content-Length': error ? 0 : content.length });
    response.end(error ? '' : content);
  });
}).listen(PORT, '127.0.0.1');
";

/// All of them. With `install`, those that can be had by a language's own package manager are got where they are
/// missing.
pub(super) fn all(bench: &Bench, directory: &Path, install: bool) -> Vec<Server> {
    let testbed = |name, small, arguments: &[&'static str]| Server {
        name,
        program: bench.programs.testbed("faulty-server").display().to_string(),
        small,
        large: "/large?kib=4096",
        how: How::Testbed(arguments.to_vec()),
    };
    let installed = directory.join("programs");
    let files = |name, program: &str, how| Server {
        name,
        program: found(program, &installed, install),
        small: "/small",
        large: "/large",
        how,
    };
    let words = |words: &str| words.split(' ').map(str::to_owned).collect();
    vec![
        testbed("axum", "/ping", &[]),
        testbed("hyper", "/ping", &["--framework", "hyper"]),
        testbed("actix-web", "/ping", &["--framework", "actix"]),
        testbed("axum-nagle", "/halves", &["--nagle"]),
        files(
            "nginx",
            "nginx",
            How::Configured(words("-c CONFIGURATION"), NGINX),
        ),
        files(
            "python",
            "python3",
            How::Told(words("-m http.server PORT --bind 127.0.0.1 --directory FILES")),
        ),
        files("node", "node", How::Configured(words("CONFIGURATION"), NODE)),
        files(
            "caddy",
            "caddy",
            How::Told(words("file-server --listen 127.0.0.1:PORT --root FILES")),
        ),
        files(
            "miniserve",
            "miniserve",
            How::Told(words("--port PORT --interfaces 127.0.0.1 FILES")),
        ),
        files(
            "dufs",
            "dufs",
            How::Told(words("--bind 127.0.0.1 --port PORT FILES")),
        ),
    ]
}

impl Server {
    /// Starts it, if its program is there, and waits until it takes connections.
    pub(super) fn start(&self, files: &Path, directory: &Path) -> Result<Option<Ready>> {
        if which(&self.program).is_none() {
            return Ok(None);
        }
        let mut command = Command::new(&self.program);
        let (arguments, configuration) = match &self.how {
            How::Testbed(arguments) => {
                let (child, address) = server::start("the server", command.args(arguments))?;
                return Ok(Some(Ready { child, address }));
            }
            How::Told(arguments) => (arguments, None),
            How::Configured(arguments, content) => (arguments, Some(content)),
        };
        let port = free_port()?;
        let path = directory
            .join(format!("{}.configuration", self.name))
            .display()
            .to_string();
        let filled = |text: &str| {
            text.replace("CONFIGURATION", &path)
                .replace("PORT", &port.to_string())
                .replace("FILES", &files.display().to_string())
        };
        if let Some(content) = configuration {
            fs::write(&path, filled(content)).with_context(|| format!("cannot write {path}"))?;
        }
        command.args(arguments.iter().map(|word| filled(word)));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = Child::start("the server", &mut command)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            if start.elapsed() > PATIENCE {
                bail!("`{}` does not listen on {address}", command::line(&command));
            }
            thread::sleep(POLL);
        }
        Ok(Some(Ready {
            child,
            address: address.to_string(),
        }))
    }
}

/// A port on which nobody listens.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen")?;
    Ok(listener
        .local_addr()
        .context("the listener has no address")?
        .port())
}

/// Where a program is: as it is given, or in `PATH`.
fn which(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| path.is_file());
    }
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    places.find_map(|place| Some(place.join(program)).filter(|path| path.is_file()))
}

/// The program, as it is on this machine, or as it was or is now installed.
fn found(program: &str, installed: &Path, install: bool) -> String {
    if let Some(path) = which(program) {
        return path.display().to_string();
    }
    let path = installed.join("bin").join(program);
    if install
        && !path.is_file()
        && let Some(mut command) = installer(program, installed)
        && let Err(error) = command::run(&mut command)
    {
        eprintln!("{program} cannot be installed: {error:#}");
    }
    if path.is_file() {
        path.display().to_string()
    } else {
        program.to_owned()
    }
}

/// What installs a program below this directory, where that needs no root.
fn installer(program: &str, installed: &Path) -> Option<Command> {
    match program {
        "miniserve" | "dufs" => {
            let mut command = Command::new("cargo");
            command
                .args(["install", "--locked", program, "--root"])
                .arg(installed);
            Some(command)
        }
        "caddy" => {
            let mut command = Command::new("go");
            command.args(["install", "github.com/caddyserver/caddy/v2/cmd/caddy@latest"]);
            command.env("GOBIN", installed.join("bin"));
            Some(command)
        }
        _ => None,
    }
}
