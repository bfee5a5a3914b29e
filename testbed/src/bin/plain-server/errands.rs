//! Requests that an event loop has read and cannot answer yet: a pool does jobs for them, which it hands back, and some
//! wait for a timer.

use std::collections::BTreeMap;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{read, write};
use testbed::clock;
use testbed::truth::{FaultKind, Stretch};

use crate::clients::{Client, Request};
use crate::pool::{Job, Pool};
use crate::work::{Done, Work};

/// What is below this is done in a job.
const JOB: &str = "/job";

/// A request that is not done.
pub(crate) struct Errand {
    client: Arc<Client>,
    request: Request,
    /// Nothing before its first job.
    done: Option<Done>,
    jobs_left: u64,
    /// When its last job was over, or its timer was set.
    since_ns: u64,
}

/// Jobs that are done, for the loop that gave them.
pub(crate) struct HandedBack {
    errands: Mutex<Vec<Errand>>,
    /// Wakes the loop.
    event: OwnedFd,
}

/// All errands of a loop.
pub(crate) struct Errands {
    /// One for each place.
    pools: Vec<Arc<Pool>>,
    pub(crate) handed_back: Arc<HandedBack>,
    /// Those that wait for a timer, by when it is due, ns.
    timers: BTreeMap<u64, Vec<Errand>>,
}

impl Errand {
    /// A thread of a pool does a job for it, and hands it back.
    pub(crate) fn run(mut self, to: &HandedBack, work: &Work) {
        self.does(work);
        self.jobs_left -= 1;
        self.since_ns = clock::now_ns();
        to.take_back(self);
    }

    fn does(&mut self, work: &Work) {
        let Self {
            client,
            request,
            done,
            ..
        } = self;
        let done = done.get_or_insert_with(|| Done::begins(client, request));
        let path = request.path.strip_prefix(JOB).unwrap_or(&request.path);
        work.does(done, path, request);
    }

    /// It has waited, for at least so long, since its last job was over or its timer was set.
    fn waited(&mut self, kind: FaultKind, least_ns: u64) {
        let wait = Stretch::until_now(kind, self.since_ns, least_ns);
        if let Some(done) = &mut self.done {
            done.adds(wait);
        }
    }

    fn answer(&self, work: &Work) {
        if let Some(done) = &self.done {
            work.answer(&self.client, done);
        }
    }

    /// What it waits for when its jobs are over.
    fn timer_ns(&self) -> Option<u64> {
        Some(1_000 * self.request.number("timer_us")?)
    }
}

impl HandedBack {
    fn take_back(&self, errand: Errand) {
        self.errands
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(errand);
        // It fails where it stands at its highest: then the loop has it to read.
        let _ = write(&self.event, &1_u64.to_ne_bytes());
    }

    fn take(&self) -> Vec<Errand> {
        let _ = read(&self.event, &mut [0; 8]);
        mem::take(&mut *self.errands.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AsFd for HandedBack {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

impl Errands {
    pub(crate) fn of(pools: Vec<Arc<Pool>>) -> Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let event = eventfd(0, flags).context("cannot make an eventfd")?;
        Ok(Self {
            pools,
            handed_back: Arc::new(HandedBack {
                errands: Mutex::default(),
                event,
            }),
            timers: BTreeMap::new(),
        })
    }

    /// A request was read.
    pub(crate) fn begin(&mut self, client: &Arc<Client>, request: Request, work: &Work) {
        let mut errand = Errand {
            client: Arc::clone(client),
            done: None,
            jobs_left: 0,
            since_ns: 0,
            request,
        };
        if errand.request.path.starts_with(JOB) {
            errand.jobs_left = errand.request.number("jobs").unwrap_or(1);
        } else {
            errand.does(work);
        }
        self.go_on(errand, work);
    }

    /// Goes on with those of which a job is over.
    pub(crate) fn take_back(&mut self, work: &Work) {
        for mut errand in self.handed_back.take() {
            errand.waited(FaultKind::HandedBack, u64::MAX);
            self.go_on(errand, work);
        }
    }

    /// Answers those whose timer is due.
    pub(crate) fn ring(&mut self, work: &Work) {
        let later = self.timers.split_off(&clock::now_ns());
        for mut errand in mem::replace(&mut self.timers, later).into_values().flatten() {
            errand.waited(FaultKind::Timer, errand.timer_ns().unwrap_or(0));
            errand.answer(work);
        }
    }

    /// How long until the first timer is due.
    pub(crate) fn until_due(&self) -> Option<Duration> {
        let (due_ns, _) = self.timers.first_key_value()?;
        Some(Duration::from_nanos(due_ns.saturating_sub(clock::now_ns())))
    }

    fn go_on(&mut self, mut errand: Errand, work: &Work) {
        if errand.jobs_left > 0 {
            let pool = &self.pools[errand.client.place];
            pool.give(Job::Errand(Box::new(errand), Arc::clone(&self.handed_back)));
        } else if let Some(timer_ns) = errand.timer_ns() {
            errand.since_ns = clock::now_ns();
            let due_ns = errand.since_ns + timer_ns;
            self.timers.entry(due_ns).or_default().push(errand);
        } else {
            errand.answer(work);
        }
    }
}
