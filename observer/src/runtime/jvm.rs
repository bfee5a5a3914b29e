//! Java virtual machines: HotSpot, as OpenJDK and those made of it have it.

/// What a virtual machine does that every thread of its program waits for.
pub const STOP: &str = "safepoint";

/// The thread that stops all others at a safepoint and does meanwhile what only it may do, by the name that it gives
/// itself (`src/hotspot/share/runtime/vmThread.cpp`).
const VM_THREAD: &[u8] = b"VM Thread\0";

/// Whether a thread of this name can be the one that stops the others. Every process can name a thread so: what it does
/// must fit, too.
#[must_use]
pub fn may_be_vm_thread(comm: &[u8]) -> bool {
    comm.starts_with(VM_THREAD)
}
