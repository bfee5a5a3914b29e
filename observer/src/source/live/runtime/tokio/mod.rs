//! tokio in a running process: found in its files (`program`), its task ids proved on its threads' own variables
//! (`hunt` takes samples, `proof` judges them), and with `--polls` the functions found that are probed.

pub mod functions;
mod hunt;
mod program;
mod proof;

pub(super) use hunt::{Hunt, SearchPlace};
pub(super) use program::TokioImage;
