//! actix-web: a thread that accepts, and workers with a runtime of one thread each, to which it deals the connections.

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt};
use anyhow::{Context as _, Result};

use super::body::Content;
use crate::faults::{Shared, answer};
use crate::runtimes::Threads;

pub(super) fn serve(listener: TcpListener, threads: &Threads, shared: Arc<Shared>) -> Result<()> {
    let shared = Data::from(shared);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .default_service(web::to(handler))
    })
    .workers(threads.workers.into())
    .worker_max_blocking_threads(threads.pool.into())
    .disable_signals()
    .listen(listener)
    .context("actix-web does not take the listener")?;
    rt::System::new()
        .block_on(server.run())
        .context("the server stopped")
}

/// The request's body is read first, as a handler does that takes one.
async fn handler(shared: Data<Shared>, request: HttpRequest, _body: Bytes) -> HttpResponse<Content> {
    let (status, content) = Content::of(answer(&shared, request.path(), request.query_string()).await);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::with_body(status, content)
}
