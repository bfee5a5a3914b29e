//! A pool of threads that take jobs from one queue, with a mutex and a condition variable.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};

use crate::clients::{Client, Request};
use crate::errands::{Errand, HandedBack};
use crate::event_loop::Watched;
use crate::work::Work;

/// What a thread of a pool is to do.
pub(crate) enum Job {
    /// Serve the connection until it is closed.
    Connection(Client),
    /// Read one request, answer it, and have the connection watched again.
    Readable(Arc<Client>, Arc<Watched>, u64),
    /// Answer a request that was read.
    Request(Arc<Client>, Request),
    /// Do something for a request that was read, and hand it back.
    Errand(Box<Errand>, Arc<HandedBack>),
}

/// Jobs that wait for a thread.
#[derive(Default)]
pub(crate) struct Pool {
    jobs: Mutex<VecDeque<Job>>,
    given: Condvar,
}

impl Pool {
    /// One with so many threads.
    pub(crate) fn start(threads: u16, work: &Arc<Work>) -> Result<Arc<Self>> {
        let pool = Arc::new(Self::default());
        for _ in 0..threads {
            let (pool, work) = (Arc::clone(&pool), Arc::clone(work));
            let thread = thread::Builder::new().name("worker".to_owned());
            let started = thread.spawn(move || {
                loop {
                    pool.take().run(&work);
                }
            });
            started.context("cannot start a thread")?;
        }
        Ok(pool)
    }

    pub(crate) fn give(&self, job: Job) {
        self.jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(job);
        self.given.notify_one();
    }

    fn take(&self) -> Job {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(job) = jobs.pop_front() {
                return job;
            }
            jobs = self.given.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Job {
    fn run(self, work: &Work) {
        match self {
            Self::Connection(client) => while work.serve_next(&client) {},
            Self::Readable(client, watched, token) => {
                if work.serve_next(&client) {
                    watched.watch_again(token, &client);
                } else {
                    watched.forget(token);
                }
            }
            Self::Request(client, request) => work.serve(&client, &request),
            Self::Errand(errand, to) => errand.run(&to, work),
        }
    }
}
