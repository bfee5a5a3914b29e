//! hyper alone: this program accepts, and spawns the task of each connection itself.

use std::sync::Arc;

use anyhow::Result;
use axum::serve::Listener as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming as Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, http};
use hyper_util::rt::TokioIo;

use super::body::Content;
use crate::faults::{Shared, answer};
use crate::incoming::Incoming;
use crate::polled;

pub(super) async fn serve(mut incoming: Incoming, shared: Arc<Shared>) -> Result<()> {
    loop {
        let (stream, _) = incoming.accept().await;
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| handler(Arc::clone(&shared), request));
        polled::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn handler(shared: Arc<Shared>, request: Request<Body>) -> http::Result<Response<Content>> {
    let (head, body) = request.into_parts();
    // Without a body there is nothing to read. A client that breaks off gets an answer that it does not read.
    let _ = body.collect().await;
    let query = head.uri.query().unwrap_or_default();
    let (status, content) = Content::of(answer(&shared, head.uri.path(), query).await);
    Response::builder().status(status).body(content)
}
