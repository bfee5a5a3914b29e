//! What requests ask for. Each endpoint has one fault, of a size that the request chooses, and what was done is kept.

use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use testbed::kept::Kept;
use testbed::ran::{Computing, tid};
use testbed::truth::{FaultKind, Served, Stretch, id};
use testbed::{clock, peer};

use crate::clients::{Client, Request};
use crate::interpreter::{Interpreter, Turn};

/// Between two looks at the clock more than this did not pass in computing: the thread was taken off its CPU.
const LONGEST_STEP: Duration = Duration::from_micros(20);

/// A longer time is not asked for, us.
const MOST_US: u64 = 60_000_000;

/// What requests share.
pub(crate) struct Work {
    truth: Option<Arc<Kept<Served>>>,
    downstream: Option<String>,
    interpreter: Option<Interpreter>,
    /// What nobody ever tells.
    never: (Mutex<()>, Condvar),
    /// Which /lock holds, and when it was released last, ns.
    lock: Mutex<u64>,
}

/// What was done for a request.
pub(crate) struct Done {
    served: Served,
    /// Why something could not be done.
    failed: Option<String>,
}

/// A request that waits for the peer without its thread.
pub(crate) struct Asked {
    client: Arc<Client>,
    served: Served,
    asked_ns: u64,
}

impl Work {
    pub(crate) fn new(
        truth: Option<Arc<Kept<Served>>>,
        downstream: Option<String>,
        interpreter: Option<Interpreter>,
    ) -> Self {
        Self {
            truth,
            downstream,
            interpreter,
            never: (Mutex::new(()), Condvar::new()),
            lock: Mutex::new(0),
        }
    }

    /// Reads and answers the next request of a connection. Tells whether there was one.
    pub(crate) fn serve_next(&self, client: &Client) -> bool {
        let Ok(Some(request)) = client.receive() else {
            return false;
        };
        self.serve(client, &request);
        true
    }

    /// Answers a request.
    pub(crate) fn serve(&self, client: &Client, request: &Request) {
        let mut done = Done::begins(client, request);
        self.does(&mut done, &request.path, request);
        self.answer(client, &done);
    }

    /// Does for a request what this endpoint does.
    pub(crate) fn does(&self, done: &mut Done, path: &str, request: &Request) {
        let mut turn = Turn::begin(self.interpreter.as_ref());
        if let Err(error) = self.fault(&mut done.served, &mut turn, path, request.time()) {
            done.failed = Some(format!("{error:#}\n"));
        }
        if let Some(waited) = turn.end() {
            done.served.add(waited);
        }
    }

    /// Answers a request for which all is done.
    pub(crate) fn answer(&self, client: &Client, done: &Done) {
        let (status, body) = match &done.failed {
            None => (200, "done\n"),
            Some(error) => (503, error.as_str()),
        };
        self.ends(client, done.served, status, body);
    }

    /// All endpoints.
    fn fault(&self, served: &mut Served, turn: &mut Turn<'_>, path: &str, time: Duration) -> Result<()> {
        match path {
            "/ping" => {}
            "/burn" => computes(served, turn, time),
            "/blocking" => served.add(turn.without(|| {
                let from_ns = clock::now_ns();
                thread::sleep(time);
                Stretch::until_now(FaultKind::Sleep, from_ns, nanoseconds(time))
            })),
            "/hold" => served.add(turn.without(|| self.waits_for_nothing(time))),
            "/lock" => turn.without(|| self.sleeps_with_lock(served, time)),
            "/ask" => {
                let peer = self.downstream()?;
                let asked_ns = clock::now_ns();
                let answer = turn.without(|| peer::ask_in_poll(peer, time))?;
                served.add(answer.waited(asked_ns));
            }
            _ => anyhow::bail!("there is no such endpoint"),
        }
        Ok(())
    }

    /// Asks the peer, and is to go on with its answer.
    pub(crate) fn asks(&self, client: &Arc<Client>, request: &Request) -> Result<(TcpStream, Asked)> {
        let served = begin(client, request);
        let mut stream = peer::connect(self.downstream()?)?;
        let asked_ns = clock::now_ns();
        peer::ask(&mut stream, request.time())?;
        let asked = Asked {
            client: Arc::clone(client),
            served,
            asked_ns,
        };
        Ok((stream, asked))
    }

    /// Waits as for a result that does not come in time: on a condition variable.
    fn waits_for_nothing(&self, time: Duration) -> Stretch {
        let (never, told) = &self.never;
        let from_ns = clock::now_ns();
        let guard = never.lock().unwrap_or_else(PoisonError::into_inner);
        drop(told.wait_timeout_while(guard, time, |()| true));
        Stretch::until_now(FaultKind::Timer, from_ns, nanoseconds(time))
    }

    fn sleeps_with_lock(&self, served: &mut Served, time: Duration) {
        let from_ns = clock::now_ns();
        let mut released_ns = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let least_ns = released_ns.saturating_sub(from_ns);
        served.add(Stretch::until_now(FaultKind::Lock, from_ns, least_ns));
        let from_ns = clock::now_ns();
        thread::sleep(time);
        served.add(Stretch::until_now(FaultKind::Sleep, from_ns, nanoseconds(time)));
        *released_ns = clock::now_ns();
    }

    fn downstream(&self) -> Result<&str> {
        let peer = self.downstream.as_deref();
        peer.context("start the server with --downstream HOST:PORT")
    }

    fn ends(&self, client: &Client, mut served: Served, status: u16, body: &str) {
        served.end_ns = clock::now_ns();
        if let Some(truth) = &self.truth {
            truth.keep(served);
        }
        // Who went away wants no answer.
        let _ = client.answer(status, body);
    }
}

impl Done {
    /// Its handler begins now.
    pub(crate) fn begins(client: &Client, request: &Request) -> Self {
        Self {
            served: begin(client, request),
            failed: None,
        }
    }

    /// It has waited.
    pub(crate) fn adds(&mut self, wait: Stretch) {
        self.served.add(wait);
    }
}

impl Asked {
    /// The peer has answered.
    pub(crate) fn answered(&self, mut stream: &TcpStream, work: &Work) {
        let mut served = self.served;
        let (status, body) = match peer::receive(&mut stream) {
            Ok(answer) => {
                served.add(answer.waited(self.asked_ns));
                (200, answer.line)
            }
            Err(error) => (503, format!("{error:#}\n")),
        };
        work.ends(&self.client, served, status, &body);
    }
}

impl Request {
    /// The time that it asks for with `us`.
    fn time(&self) -> Duration {
        Duration::from_micros(MOST_US.min(self.number("us").unwrap_or(0)))
    }

    /// A number in its query.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        let mut fields = self.query.split('&').filter_map(|field| field.split_once('='));
        let (_, number) = fields.find(|(field, _)| *field == name)?;
        number.parse().ok()
    }
}

/// A request whose handler begins now. The pool or event loop that serves it stands for its runtime.
fn begin(client: &Client, request: &Request) -> Served {
    Served {
        id: id(&request.query).unwrap_or(0),
        tid: tid(),
        runtime: u64::try_from(client.place).ok(),
        start_ns: clock::now_ns(),
        ..Served::default()
    }
}

/// Computes for so long on the CPU.
fn computes(served: &mut Served, turn: &mut Turn<'_>, wanted: Duration) {
    let computing = Computing::begins();
    let before_ns = turn.waited_ns();
    let (mut computed, mut last) = (Duration::ZERO, Instant::now());
    while computed < wanted {
        let now = Instant::now();
        computed += now.saturating_duration_since(last).min(LONGEST_STEP);
        last = now;
        turn.offer();
    }
    for stretch in computing.ends(turn.waited_ns() - before_ns) {
        served.add(stretch);
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
