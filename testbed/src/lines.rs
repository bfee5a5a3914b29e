//! Files with one JSON object a line.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Result as IoResult, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Makes the file empty, so that a wrong path is known before there is something to write.
pub fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("cannot create {}", path.display()))
}

/// Writes one object a line, and nothing else.
pub fn write<T: Serialize>(path: &Path, objects: impl IntoIterator<Item = T>) -> Result<()> {
    let mut out = BufWriter::new(create(path)?);
    let written = || -> IoResult<()> {
        for object in objects {
            serde_json::to_writer(&mut out, &object)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}

/// One object from each line.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let parsed = BufReader::new(file)
        .lines()
        .map(|line| Ok(serde_json::from_str(&line?)?));
    parsed
        .collect::<Result<_>>()
        .with_context(|| format!("{} is not what it should be", path.display()))
}
