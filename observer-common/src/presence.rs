//! What the kernel half keeps of watched threads on a CPU.

records! {
    /// Watched threads on one CPU.
    Presence: 16 {
        /// Times that one came, for good.
        visits: u64,
        /// 1 while one is here.
        is_here: u64,
    }
}
