//! axum as most use it: a router, and `axum::serve`.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use super::body::Content;
use crate::faults::{Shared, answer};
use crate::incoming::Incoming;

pub(super) async fn serve(incoming: Incoming, shared: Arc<Shared>) -> Result<()> {
    let router = Router::new().fallback(handler).with_state(shared);
    axum::serve(incoming, router).await.context("the server stopped")
}

/// The request's body is read first, as a handler does that takes one.
async fn handler(State(shared): State<Arc<Shared>>, uri: Uri, _body: Bytes) -> Response {
    let (status, content) = Content::of(answer(&shared, uri.path(), uri.query().unwrap_or_default()).await);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Body::new(content)).into_response()
}
