//! Loads and attaches programs as they were compiled, past aya, where aya would change them; and loads those of probes
//! on many places, which it cannot attach.
//!
//! Where `bpf_probe_read_kernel` is missing, aya takes the kernel for one before 5.5, and makes reads of user memory
//! too into calls of the older `bpf_probe_read`. Lockdown `confidentiality` takes both of these away, and leaves
//! `bpf_probe_read_user`: there the programs load only unchanged. Maps stay aya's.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

use anyhow::{Context as _, Result, bail};
use aya::maps::Map;
use aya::{Btf, Ebpf};
use aya_obj::btf::BtfKind;
use aya_obj::generated::{bpf_attach_type, bpf_cmd, bpf_prog_type};
use aya_obj::{Object, ProgramSection};

use super::signals::Hook;

/// Whether aya would change the programs for this kernel.
pub(super) fn is_needed() -> bool {
    !aya::features().bpf_probe_read_kernel()
}

/// The programs of an object, with the maps that aya has made.
pub(super) struct Programs(Object);

impl Programs {
    /// Takes them from `object`, which `ebpf` was loaded from.
    pub(super) fn new(object: &[u8], ebpf: &Ebpf) -> Result<Self> {
        let mut object = Object::parse(object).context("cannot read the compiled object")?;
        let maps = std::mem::take(&mut object.maps);
        let mut made = Vec::new();
        for (name, map) in ebpf.maps() {
            let compiled = maps
                .get(name)
                .with_context(|| format!("the compiled object has no map {name}"))?;
            made.push((name, descriptor(map)?, compiled));
        }
        let sections = object.functions.keys().map(|(section, _)| *section).collect();
        object
            .relocate_maps(made.into_iter(), &sections)
            .context("cannot give the programs their maps")?;
        object
            .relocate_calls(&sections)
            .context("cannot link the programs")?;
        Ok(Self(object))
    }

    /// Loads a program for a hook: to be attached with [`attach`], to hang on a clock, or for many places in user code
    /// at once.
    pub(super) fn load(&self, name: &str, hook: Hook, btf: &Btf) -> Result<OwnedFd> {
        let program = self
            .0
            .programs
            .get(name)
            .with_context(|| format!("program {name} is not in the compiled object"))?;
        let tracing = |attach_type, type_name: String, kind| -> Result<_> {
            let id = btf.id_by_type_name_kind(&type_name, kind)?;
            Ok((bpf_prog_type::BPF_PROG_TYPE_TRACING, attach_type as u32, id))
        };
        let (kind, attach_type, attach_type_id) = match hook {
            Hook::Tracepoint(_, name) => tracing(
                bpf_attach_type::BPF_TRACE_RAW_TP,
                format!("btf_trace_{name}"),
                BtfKind::Typedef,
            )?,
            Hook::Entry(_, name) => {
                tracing(bpf_attach_type::BPF_TRACE_FENTRY, name.to_owned(), BtfKind::Func)?
            }
            Hook::Exit(_, name, _) => {
                tracing(bpf_attach_type::BPF_TRACE_FEXIT, name.to_owned(), BtfKind::Func)?
            }
            Hook::Iterator(_, name) => tracing(
                bpf_attach_type::BPF_TRACE_ITER,
                format!("bpf_iter_{name}"),
                BtfKind::Func,
            )?,
            Hook::Clock(_) => (bpf_prog_type::BPF_PROG_TYPE_PERF_EVENT, 0, 0),
            Hook::Probe { .. } => (
                bpf_prog_type::BPF_PROG_TYPE_KPROBE,
                bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32,
                0,
            ),
        };
        let instructions = &self.0.functions[&program.function_key()].instructions;
        load(instructions, &program.license, kind, attach_type, attach_type_id)
            .context("the BPF_PROG_LOAD syscall failed")
    }

    /// Whether a program for user code is to run when a function returns, and not when it begins.
    pub(super) fn is_at_return(&self, name: &str) -> bool {
        let program = self.0.programs.get(name);
        program.is_some_and(|program| matches!(program.section, ProgramSection::URetProbe { .. }))
    }
}

/// Attaches a program to the hook that it was loaded for. It stays attached while the link that is given stays open.
pub(super) fn attach(program: &impl AsFd) -> Result<OwnedFd> {
    let open = RawTracepointOpen {
        name: 0,
        program: program.as_fd().as_raw_fd().cast_unsigned(),
        reserved: 0,
    };
    bpf(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &open).context("the BPF_RAW_TRACEPOINT_OPEN syscall failed")
}

/// The descriptor of a map, of the types that the kernel half has.
fn descriptor(map: &Map) -> Result<RawFd> {
    let data = match map {
        Map::Array(data)
        | Map::ArrayOfMaps(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::RingBuf(data)
        | Map::SkStorage(data)
        | Map::Unsupported(data) => data,
        other => bail!("the kernel half has a map of a type that it did not have: {other:?}"),
    };
    Ok(data.fd().as_fd().as_raw_fd())
}

/// `union bpf_attr` of `BPF_PROG_LOAD`, up to the last field that is set here (`include/uapi/linux/bpf.h`).
#[repr(C)]
struct ProgramLoad {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
    types: u32,
    function_info_size: u32,
    function_info: u64,
    function_info_count: u32,
    line_info_size: u32,
    line_info: u64,
    line_info_count: u32,
    attach_type_id: u32,
}

const _: () = assert!(size_of::<ProgramLoad>() == 112);

/// `union bpf_attr` of `BPF_RAW_TRACEPOINT_OPEN`. Programs that know what they attach to give no name.
#[repr(C)]
struct RawTracepointOpen {
    name: u64,
    program: u32,
    reserved: u32,
}

fn load(
    instructions: &[aya_obj::generated::bpf_insn],
    license: &CString,
    kind: bpf_prog_type,
    attach_type: u32,
    attach_type_id: u32,
) -> Result<OwnedFd> {
    let load = ProgramLoad {
        kind: kind as u32,
        instruction_count: u32::try_from(instructions.len())?,
        instructions: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        attach_type,
        attach_type_id,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name: [0; 16],
        interface: 0,
        types: 0,
        function_info_size: 0,
        function_info: 0,
        function_info_count: 0,
        line_info_size: 0,
        line_info: 0,
        line_info_count: 0,
    };
    Ok(bpf(bpf_cmd::BPF_PROG_LOAD, &load)?)
}

/// Calls `bpf(2)` with a command that gives a new descriptor.
pub(super) fn bpf<Attributes>(command: bpf_cmd, attributes: &Attributes) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads as many bytes as it is told, of a structure that lives on the stack; what the
    // structure points to outlives the call, and nothing is written.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            &raw const *attributes,
            size_of::<Attributes>(),
        )
    };
    let descriptor = RawFd::try_from(result).map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))?;
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
