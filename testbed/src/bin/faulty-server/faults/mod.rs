//! The endpoints. Each has exactly one fault, of a size that the request chooses; `/both` has two.
//!
//! One module for each kind of fault. Every handler tells its [`Visit`] what it did, which is kept with `--truth`. None
//! knows which framework received the request.

mod computing;
mod disk;
mod locking;
mod memory;
mod size;
mod streamed;
mod tasks;
mod waiting;

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use serde::de::DeserializeOwned;

use crate::downstream::Downstream;
use crate::incoming::Gate;
use crate::polled;
use crate::truth::Truth;
use crate::visit::Visit;
use disk::Data;
use size::{Count, Kibibytes};
pub(crate) use streamed::Streamed;

/// What is answered.
pub(crate) struct Answer {
    /// Of HTTP.
    pub(crate) status: u16,
    pub(crate) body: Body,
    /// The head is sent before the body is there.
    pub(crate) in_halves: bool,
}

/// What an answer is made of.
pub(crate) enum Body {
    Bytes(Vec<u8>),
    File(Box<Streamed>),
}

/// What is answered instead.
struct Failure(Answer);

/// What requests share.
pub(crate) struct Shared {
    truth: Option<Arc<Truth>>,
    locks: locking::Locks,
    clerk: tasks::Clerk,
    downstream: Option<Downstream>,
    gate: Option<Gate>,
    files: PathBuf,
    data: Option<Data>,
}

/// What the endpoints need from outside.
pub(crate) struct Resources {
    pub(crate) truth: Option<Arc<Truth>>,
    pub(crate) downstream: Option<Downstream>,
    pub(crate) gate: Option<Gate>,
    pub(crate) files: PathBuf,
    pub(crate) data: Option<PathBuf>,
}

impl Shared {
    pub(crate) fn new(resources: Resources) -> Result<Self> {
        let Resources {
            truth,
            downstream,
            gate,
            files,
            data,
        } = resources;
        Ok(Self {
            truth,
            locks: locking::Locks::default(),
            clerk: tasks::Clerk::default(),
            downstream,
            gate,
            files,
            data: data.as_deref().map(Data::open).transpose()?,
        })
    }

    fn downstream(&self) -> Result<&Downstream, Failure> {
        let downstream = self.downstream.as_ref();
        downstream.ok_or_else(|| unavailable("start the server with --downstream HOST:PORT"))
    }

    fn data(&self) -> Result<&Data, Failure> {
        let data = self.data.as_ref();
        data.ok_or_else(|| unavailable("start the server with --data FILE"))
    }
}

/// Answers a request. With `/spawned` before its path that is done at once, and the fault happens in a task of its own.
pub(crate) async fn answer(shared: &Arc<Shared>, path: &str, query: &str) -> Answer {
    let mut visit = Visit::of_a_request(shared.truth.clone(), query);
    if let Some(path) = path.strip_prefix("/spawned") {
        let (shared, path, query) = (Arc::clone(shared), path.to_owned(), query.to_owned());
        polled::spawn(async move {
            let mut visit = Visit::of_a_task(shared.truth.clone());
            // Nobody waits for the answer.
            let _ = fault(&mut visit, &shared, &path, &query).await;
        });
        return "spawned\n".into();
    }
    let answer = fault(&mut visit, shared, path, query).await;
    let mut answer = answer.unwrap_or_else(|Failure(answer)| answer);
    if let Body::File(file) = &mut answer.body {
        // Its handler's part is over, and the request's is not.
        file.goes_on(visit);
    }
    answer
}

/// All endpoints.
async fn fault(visit: &mut Visit, shared: &Shared, path: &str, query: &str) -> Result<Answer, Failure> {
    Ok(match path {
        "/ping" => "pong".into(),
        "/task" => own_task().into(),
        "/yields" => yields(&read(query)?).await.into(),
        "/halves" => Answer {
            in_halves: true,
            .."the second half\n".into()
        },
        // More than the socket may take at once.
        "/large" => read::<Kibibytes>(query)?.filler().into(),
        "/file" => streamed::file(shared, &read(query)?).await?,
        "/burn" => computing::burn(visit, &read(query)?).into(),
        "/both" => computing::both(visit, &read(query)?).into(),
        "/blocking" => waiting::blocking(visit, &read(query)?).into(),
        "/timer" => waiting::timer(visit, &read(query)?).await.into(),
        "/pool" => waiting::pool(visit, &read(query)?).await?.into(),
        "/downstream" => waiting::downstream(visit, shared, &read(query)?).await?.into(),
        "/ask" => waiting::ask(visit, shared, &read(query)?)?.into(),
        "/not-accepting" => waiting::not_accepting(visit, shared, &read(query)?).await?.into(),
        "/lock" => locking::lock(visit, &shared.locks, &read(query)?).into(),
        "/async-lock" => locking::async_lock(visit, &shared.locks, &read(query)?)
            .await
            .into(),
        "/join" => tasks::join(visit, &read(query)?).await?.into(),
        "/channel" => tasks::channel(visit, &shared.clerk, &read(query)?).await?.into(),
        "/wake-first" => tasks::wake_first(visit, &read(query)?).await?.into(),
        "/block-in-place" => tasks::in_place(visit, &read(query)?).into(),
        "/blocking-file" => disk::synchronized(visit, shared, &read(query)?)?.into(),
        "/direct" => disk::direct(visit, shared, &read(query)?)?.into(),
        "/touch" => memory::touch(visit, &read(query)?).into(),
        "/cold" => memory::cold(visit, shared, &read(query)?)?.into(),
        _ => match path.strip_prefix("/forward") {
            Some(path) => waiting::forward(shared, path, query).await?.into(),
            None => return Err(Failure::new(404, "there is no such endpoint")),
        },
    })
}

/// The id of the runtime task that serves the request, where there is one.
fn own_task() -> String {
    tokio::task::try_id().map_or_else(String::new, |id| id.to_string())
}

/// Has a task of its own, which is polled once more than it yields.
async fn yields(count: &Count) -> &'static str {
    let times = count.times;
    let task = polled::spawn(async move {
        for _ in 0..times {
            tokio::task::yield_now().await;
        }
    });
    task.await.map_or("failed\n", |()| "yielded\n")
}

fn read<T: DeserializeOwned>(query: &str) -> Result<T, Failure> {
    serde_urlencoded::from_str(query).map_err(|error| Failure::new(400, error))
}

fn unavailable(why: impl Display) -> Failure {
    Failure::new(503, why)
}

impl Failure {
    fn new(status: u16, why: impl Display) -> Self {
        Self(Answer {
            status,
            body: Body::Bytes(format!("{why:#}\n").into()),
            in_halves: false,
        })
    }
}

impl<T: Into<Vec<u8>>> From<T> for Answer {
    fn from(body: T) -> Self {
        Self {
            status: 200,
            body: Body::Bytes(body.into()),
            in_halves: false,
        }
    }
}
