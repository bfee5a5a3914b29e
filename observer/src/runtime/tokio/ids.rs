//! What the order of tokio's task ids says. It counts them up from 1, for all runtimes of a process, and gives none out
//! twice: a larger id is a task that was begun later.
//!
//! That is a rule of tokio alone. Go gives each of its processors a batch of ids, so there the larger one can be older.

use crate::model::id::TaskId;

/// What is known of the ids of a process's tasks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ids {
    /// The newest that was seen.
    newest: TaskId,
    /// The oldest that served a client.
    oldest_server: Option<TaskId>,
}

impl Ids {
    /// A task served a client.
    pub(crate) fn served(&mut self, id: TaskId) {
        self.newest = self.newest.max(id);
        self.oldest_server = Some(self.oldest_server.map_or(id, |oldest| oldest.min(id)));
    }

    /// A task is seen. Gives whether no newer one of its process was seen before.
    pub(crate) fn saw_newest(&mut self, id: TaskId) -> bool {
        let is_newest = id > self.newest;
        self.newest = self.newest.max(id);
        is_newest
    }

    /// Whether a task was begun before all that were seen serving clients.
    pub(crate) fn is_older_than_servers(&self, id: TaskId) -> bool {
        self.oldest_server.is_none_or(|oldest| id < oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_the_newest_once_and_older_than_servers_until_one_before_it_serves() {
        let mut ids = Ids::default();
        assert!(ids.is_older_than_servers(TaskId(9)));
        assert!(ids.saw_newest(TaskId(9)));
        assert!(!ids.saw_newest(TaskId(9)) && !ids.saw_newest(TaskId(8)));
        ids.served(TaskId(12));
        assert!(!ids.saw_newest(TaskId(12)) && ids.saw_newest(TaskId(13)));
        assert!(ids.is_older_than_servers(TaskId(9)) && !ids.is_older_than_servers(TaskId(12)));
        ids.served(TaskId(5));
        assert!(!ids.is_older_than_servers(TaskId(9)));
    }
}
