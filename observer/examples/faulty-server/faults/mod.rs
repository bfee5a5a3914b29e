//! The endpoints. Each has exactly one fault, of a size that the request chooses; `/both` has two.
//!
//! One module for each kind of fault. Every handler tells its [`Visit`] what it did, which is kept with `--truth`.

mod computing;
mod disk;
mod locking;
mod memory;
mod size;
mod waiting;

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::routing::get;

use crate::downstream::Downstream;
use crate::gate::Gate;
use crate::truth::Truth;
use crate::visit::Visit;
use disk::Data;
use size::Kibibytes;

type Failure = (StatusCode, String);

/// What requests share.
pub(crate) struct Shared {
    pub(crate) truth: Option<Arc<Truth>>,
    locks: locking::Locks,
    downstream: Option<Downstream>,
    gate: Gate,
    files: PathBuf,
    data: Option<Data>,
}

/// What the endpoints need from outside.
pub(crate) struct Resources {
    pub(crate) truth: Option<Arc<Truth>>,
    pub(crate) downstream: Option<Downstream>,
    pub(crate) gate: Gate,
    pub(crate) files: PathBuf,
    pub(crate) data: Option<PathBuf>,
}

/// All endpoints.
pub(crate) fn router(resources: Resources) -> Result<Router> {
    let Resources {
        truth,
        downstream,
        gate,
        files,
        data,
    } = resources;
    let shared = Shared {
        truth,
        locks: locking::Locks::default(),
        downstream,
        gate,
        files,
        data: data.map(Data::open).transpose()?,
    };
    let router = Router::new()
        .route("/ping", get(ping))
        .route("/task", get(task))
        .route("/large", get(large))
        .route("/burn", get(computing::burn))
        .route("/both", get(computing::both))
        .route("/blocking", get(waiting::blocking))
        .route("/timer", get(waiting::timer))
        .route("/pool", get(waiting::pool))
        .route("/downstream", get(waiting::downstream))
        .route("/not-accepting", get(waiting::not_accepting))
        .route("/lock", get(locking::lock))
        .route("/async-lock", get(locking::async_lock))
        .route("/blocking-file", get(disk::synchronized))
        .route("/direct", get(disk::direct))
        .route("/touch", get(memory::touch))
        .route("/cold", get(memory::cold))
        .with_state(Arc::new(shared));
    Ok(router)
}

async fn ping(_visit: Visit) -> &'static str {
    "pong"
}

/// Tells the id of the task that serves the connection.
async fn task(_visit: Visit) -> String {
    tokio::task::id().to_string()
}

/// Sends more than the socket may take at once.
async fn large(_visit: Visit, Query(size): Query<Kibibytes>) -> Vec<u8> {
    size.filler()
}

fn unavailable(why: impl Display) -> Failure {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why:#}\n"))
}
