//! Samples of what threads run, with their stacks: large, few, and in a ring of their own.

use crate::limits::STACK_BYTES;

records! {
    /// Where a watched thread was when its CPU's sampling clock ticked.
    StackHead: 64 {
        /// When, ns.
        at_ns: u64,
        /// Runtime task that it was in, see [`crate::task`].
        task: u64,
        /// How much time it stands for, with all samples like it that had no stack, ns.
        stands_for_ns: u64,
        /// Instruction at which it was in user mode, or goes on there when its system call is over.
        ip: u64,
        /// Its stack pointer there.
        sp: u64,
        /// Its frame pointer there, if the program keeps any.
        bp: u64,
        /// Its process.
        tgid: u32,
        /// The thread.
        tid: u32,
        /// CPU on which it ran.
        cpu: u32,
        /// Bytes of `stack` that are filled, in a [`Stack`].
        stack_bytes: u32,
    }

    /// The same with its stack.
    Stack: 16448 {
        /// Where it was.
        head: StackHead,
        /// Its stack, from the stack pointer up.
        stack: [u8; STACK_BYTES],
    }
}
