//! Attaches programs that do nothing to the hooks that observer would use, until standard input closes: the price
//! of being attached at all, against which `cargo xtask bench` holds observer's own.

use std::io::{copy, sink, stdin};

use anyhow::{Context as _, Result};
use aya::{Btf, EbpfLoader, include_bytes_aligned};
use observer::source::live::{offsets, signals};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/observer-ebpf-empty"));

fn main() -> Result<()> {
    let btf = Btf::from_sys_fs().context("cannot read the kernel's BTF")?;
    let mut ebpf = EbpfLoader::new()
        .btf(Some(&btf))
        .load(OBJECT)
        .context("the kernel refused to load the empty programs")?;
    signals::require(&signals::attach_object(&mut ebpf, &btf, &offsets::kernel_btf()?))?;
    println!("attached");
    copy(&mut stdin().lock(), &mut sink()).context("cannot wait for the end of standard input")?;
    Ok(())
}
