//! observer on the live kernel. Each test starts the servers that it watches, triggers its own events, and
//! ends what it started. One at a time: they would disturb each other's timing.
//!
//! They need a kernel that lets this user load eBPF programs (root, as a rule). Elsewhere they are skipped
//! and say so, unless CI=true: then a test that cannot run has failed.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "in a test a panic is the message"
)]

mod accepting;
mod attach;
mod calls;
mod client;
mod clocks;
mod counts;
mod crowds;
mod documents;
mod endurance;
mod executors;
mod families;
mod files;
mod full_disks;
mod functions;
mod garbage;
mod go;
mod goroutines;
mod held;
mod kernel;
mod laws;
mod lifecycle;
mod long;
mod made;
mod marks;
mod measured;
mod memory;
mod names;
mod observation;
mod output;
mod overload;
mod parked;
mod polls;
mod pools;
mod programs;
mod protocols;
mod queues;
mod quota;
mod recording;
mod roles;
#[path = "../support/run.rs"]
mod run;
mod runtimes;
mod scheduled;
mod server;
mod serving;
mod short_lived;
mod stopped;
mod tasks;
mod theft;
mod together;
mod uploads;
mod waits;
