//! The signals, one a file. Alternatives for one signal stand side by side and share its work.

mod accept;
mod arrival;
mod connection;
mod found;
mod goroutines;
mod polls;
mod process;
mod receive;
mod sample;
mod seek;
mod send;
mod switch;
mod wakeup;
