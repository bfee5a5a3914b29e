//! Servers whose first thread accepts connections and does nothing else.

use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result, bail};

use crate::clients::Endpoint;
use crate::pool::{Job, Pool};
use crate::work::Work;

/// Hands each connection to the pool of the place at which it came.
pub(crate) fn accept(places: Vec<Endpoint>, pools: Vec<Arc<Pool>>) -> Result<()> {
    let places = places.into_iter().zip(pools);
    for_each(places.collect(), |(place, pool)| {
        loop {
            pool.give(Job::Connection(place.accept()?));
        }
    })
}

/// A thread for each connection.
pub(crate) fn one_for_each(places: Vec<Endpoint>, work: &Arc<Work>) -> Result<()> {
    let work = Arc::clone(work);
    for_each(places, move |place| {
        loop {
            let (client, work) = (place.accept()?, Arc::clone(&work));
            let thread = thread::Builder::new().name("connection".to_owned());
            let started = thread.spawn(move || while work.serve_next(&client) {});
            started.context("cannot start a thread")?;
        }
    })
}

/// Runs one of these in a thread for each. None of them ends but by an error.
pub(crate) fn for_each<T: Send + 'static>(
    all: Vec<T>,
    run: impl Fn(T) -> Result<()> + Clone + Send + 'static,
) -> Result<()> {
    let started = all.into_iter().map(|one| {
        let run = run.clone();
        thread::spawn(move || run(one))
    });
    for thread in started.collect::<Vec<_>>() {
        match thread.join() {
            Ok(ended) => ended?,
            Err(_) => bail!("a thread panicked"),
        }
    }
    Ok(())
}
