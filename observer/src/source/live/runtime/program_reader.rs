//! A thread of its own looks which runtimes programs have: to read a large program takes longer than the rings take to
//! fill.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use anyhow::{Context as _, Result};

use super::detection::{DetectedRuntime, Files};
use crate::model::full::Full;
use crate::model::id::Pid;
use crate::model::own_threads;
use crate::source::live::stacks::lets_others_go_first;

/// Questions that wait for their answers, at most. A process can have ended before it is its turn.
const MAX_WAITING: usize = 128;

/// A question about a process: the same number is another process or program later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) pid: Pid,
    number: u64,
}

/// What was found out about a process.
pub(super) struct Answer {
    pub(super) question: Question,
    pub(super) found: Option<DetectedRuntime>,
    /// What was not read of its files.
    pub(super) full: Full,
}

/// The thread, until this is dropped.
pub(super) struct ProgramReader {
    ask: SyncSender<Question>,
    answers: Receiver<Answer>,
    asked: u64,
}

impl ProgramReader {
    pub(super) fn begin() -> Result<Self> {
        let (ask, asked) = sync_channel(MAX_WAITING);
        let (answer, answers) = channel();
        thread::Builder::new()
            .name(own_threads::PROGRAMS.to_owned())
            .spawn(move || look(&asked, &answer))
            .context("cannot start the thread that looks into programs")?;
        Ok(Self {
            ask,
            answers,
            asked: 0,
        })
    }

    /// Asks which runtime process `pid` has. `None` where that has to wait.
    pub(super) fn ask(&mut self, pid: Pid) -> Option<Question> {
        self.asked += 1;
        let question = Question {
            pid,
            number: self.asked,
        };
        self.ask.try_send(question).is_ok().then_some(question)
    }

    /// What was found out since the last time.
    pub(super) fn answers(&self) -> impl Iterator<Item = Answer> {
        self.answers.try_iter()
    }
}

fn look(asked: &Receiver<Question>, answer: &Sender<Answer>) {
    lets_others_go_first();
    let mut files = Files::default();
    for question in asked {
        let full = Full::default();
        let found = files.look_at(question.pid, &full);
        let told = Answer {
            question,
            found,
            full,
        };
        if answer.send(told).is_err() {
            return;
        }
    }
}
