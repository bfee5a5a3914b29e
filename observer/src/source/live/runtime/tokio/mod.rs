//! tokio in a running process: found in its files (`program`), its task ids proved on its threads' own variables
//! (`hunt` takes samples, `proof` judges them), and with `--polls` its functions found and probed.

mod functions;
mod hunt;
pub mod polls;
mod program;
mod proof;

pub(super) use hunt::{Hunt, SearchPlace};
pub(super) use program::TokioImage;
