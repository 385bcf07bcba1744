//! What a contact is still to be told, and when: at once, and then not more often than every [`QUIET`] about one thing.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Time;

/// How long a contact is left alone about one thing after it was told of it.
pub const QUIET: Duration = Duration::from_secs(15 * 60);
/// Most things that a contact may be told about at a time; of more, only how many there were.
pub const MAX_THREADS: usize = 100;
/// Most events about one thing that are told in full; of more, only how many there were and the newest.
pub const MAX_KEPT: usize = 3;
/// Pauses after a message that could not be sent, in seconds; the last one again and again.
pub const PAUSES: [u64; 6] = [10, 30, 120, 600, 1_800, 3_600];

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Names it, so that it is told once.
    pub id: String,
    /// The event's name.
    pub name: String,
    /// What it is about, such as an integration's id.
    pub subject: String,
    /// When.
    pub at: Time,
    /// What the event says.
    pub data: Value,
}

/// Everything about one thing: a name and a subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thread {
    /// The events' name.
    pub name: String,
    /// What they are about.
    pub subject: String,
    /// How many are to be told.
    pub count: u64,
    /// The newest of them.
    pub newest: Vec<Notice>,
    /// When the first of them happened.
    pub first_at: Time,
    /// When the contact was told last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Time>,
    /// The one that came last, told or not.
    #[serde(default)]
    pub last_id: String,
}

/// What one contact is still to be told. Its size is bounded, however much happens and however long sending fails.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mailbox {
    /// By thing, in the order in which they came up.
    pub threads: Vec<Thread>,
    /// Events about further things, for which there was no room.
    pub left_out: u64,
    /// Attempts to send that failed since the last that did not.
    pub attempts: u32,
    /// No attempt before.
    pub next_try: Option<Time>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

/// A message: what is due, as it was when the message was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Message {
    /// By thing.
    pub threads: Vec<Thread>,
    /// Events about further things.
    pub left_out: u64,
}

impl Thread {
    fn is_due(&self, now: Time) -> bool {
        self.count > 0 && self.told_at.is_none_or(|t| t + QUIET <= now || now < t)
    }

    fn add(&mut self, notice: Notice) {
        if self.count == 0 {
            self.first_at = notice.at;
        }
        self.count += 1;
        self.last_id.clone_from(&notice.id);
        if self.newest.len() == MAX_KEPT {
            self.newest.remove(0);
        }
        self.newest.push(notice);
    }
}

impl Mailbox {
    /// Something happened. What came last about a thing is taken once.
    pub fn add(&mut self, notice: Notice) {
        let full = self.threads.len() >= MAX_THREADS;
        let known = self.threads.iter_mut().find(|t| t.name == notice.name && t.subject == notice.subject);
        match known {
            Some(thread) if thread.last_id == notice.id => {}
            Some(thread) => thread.add(notice),
            None if full => self.left_out += 1,
            None => {
                let (name, subject) = (notice.name.clone(), notice.subject.clone());
                let (first_at, newest) = (notice.at, Vec::new());
                let last_id = String::new();
                let mut thread = Thread { name, subject, count: 0, newest, first_at, told_at: None, last_id };
                thread.add(notice);
                self.threads.push(thread);
            }
        }
    }

    /// What is to be sent now, if anything.
    pub fn due(&self, now: Time) -> Option<Message> {
        if self.next_try.is_some_and(|t| now < t) {
            return None;
        }
        let threads: Vec<Thread> = self.threads.iter().filter(|t| t.is_due(now)).cloned().collect();
        let due = !threads.is_empty() || (self.threads.is_empty() && self.left_out > 0);
        due.then_some(Message { threads, left_out: self.left_out })
    }

    /// A message was sent; what came meanwhile stays.
    pub fn sent(&mut self, message: &Message, now: Time) {
        for told in &message.threads {
            let known = self.threads.iter_mut().find(|t| t.name == told.name && t.subject == told.subject);
            if let Some(thread) = known {
                thread.count = thread.count.saturating_sub(told.count);
                thread.newest.retain(|n| !told.newest.iter().any(|t| t.id == n.id));
                thread.first_at = thread.newest.first().map_or(now, |n| n.at);
                thread.told_at = Some(now);
            }
        }
        self.left_out = self.left_out.saturating_sub(message.left_out);
        (self.attempts, self.next_try, self.last_error) = (0, None, None);
    }

    /// A message could not be sent.
    pub fn failed(&mut self, why: &str, now: Time) {
        let pause = PAUSES[(self.attempts as usize).min(PAUSES.len() - 1)];
        self.attempts = self.attempts.saturating_add(1);
        self.next_try = Some(now + Duration::from_secs(pause));
        self.last_error = Some(why.to_owned());
    }

    /// Forgets things of which nothing is to be told and that may be told of at once when they come up again; whether
    /// nothing is left.
    pub fn tidy(&mut self, now: Time) -> bool {
        self.threads.retain(|t| t.count > 0 || t.told_at.is_some_and(|at| now < at + QUIET && at <= now));
        self.threads.is_empty() && self.left_out == 0
    }

    /// How many events are to be told.
    pub fn waiting(&self) -> u64 {
        self.threads.iter().map(|t| t.count).sum::<u64>() + self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time::from_millis(1_795_255_200_000);

    fn notice(n: usize, subject: &str) -> Notice {
        let (id, name) = (format!("n{n}"), "integration.failing".to_owned());
        Notice { id, name, subject: subject.into(), at: START, data: Value::Null }
    }

    fn after(seconds: u64) -> Time {
        START + Duration::from_secs(seconds)
    }

    fn send(mailbox: &mut Mailbox, now: Time) -> Vec<(String, u64)> {
        let Some(message) = mailbox.due(now) else { return Vec::new() };
        mailbox.sent(&message, now);
        message.threads.into_iter().map(|t| (t.subject, t.count)).collect()
    }

    #[test]
    fn a_thing_is_told_at_once_and_then_summed_up_every_quarter_of_an_hour() {
        let mut mailbox = Mailbox::default();
        mailbox.add(notice(1, "erp"));
        assert_eq!(send(&mut mailbox, START), [("erp".to_owned(), 1)]);
        for n in 2..9 {
            mailbox.add(notice(n, "erp"));
        }
        mailbox.add(notice(9, "crm"));
        assert_eq!(send(&mut mailbox, after(1)), [("crm".to_owned(), 1)], "another thing does not wait");
        assert!(mailbox.due(START + (QUIET - Duration::from_millis(1))).is_none());
        let summed = mailbox.due(START + QUIET).unwrap().threads.remove(0);
        assert_eq!((summed.count, summed.newest.len()), (7, MAX_KEPT));
        assert_eq!(summed.newest.last().unwrap().id, "n8");
        assert_eq!(send(&mut mailbox, START + QUIET), [("erp".to_owned(), 7)]);
        assert!(!mailbox.tidy(START + QUIET));
        assert!(mailbox.tidy(START + QUIET + QUIET) && mailbox.due(after(9_999)).is_none());
    }

    #[test]
    fn what_comes_while_a_message_is_sent_stays() {
        let mut mailbox = Mailbox::default();
        mailbox.add(notice(1, "erp"));
        let message = mailbox.due(START).unwrap();
        mailbox.add(notice(2, "erp"));
        mailbox.sent(&message, START);
        assert_eq!(mailbox.waiting(), 1);
        assert_eq!(mailbox.due(START + QUIET).unwrap().threads[0].newest[0].id, "n2");
    }

    #[test]
    fn the_same_event_is_told_once() {
        let mut mailbox = Mailbox::default();
        mailbox.add(notice(1, "erp"));
        mailbox.add(notice(1, "erp"));
        assert_eq!(mailbox.waiting(), 1);
        send(&mut mailbox, START);
        mailbox.add(notice(1, "erp"));
        assert_eq!(mailbox.waiting(), 0);
    }

    #[test]
    fn pauses_grow_while_sending_fails_and_nothing_is_lost() {
        let mut mailbox = Mailbox::default();
        mailbox.add(notice(1, "erp"));
        let mut now = START;
        for pause in PAUSES.into_iter().chain([3_600]) {
            assert!(mailbox.due(now).is_some());
            mailbox.failed("refused", now);
            assert!(mailbox.due(now + Duration::from_secs(pause - 1)).is_none());
            now = now + Duration::from_secs(pause);
        }
        assert_eq!((mailbox.attempts, mailbox.last_error.as_deref()), (7, Some("refused")));
        assert_eq!(send(&mut mailbox, now), [("erp".to_owned(), 1)]);
        assert_eq!((mailbox.attempts, mailbox.next_try, mailbox.last_error), (0, None, None));
    }

    #[test]
    fn a_mailbox_has_room_for_so_many_things_and_counts_the_others() {
        let mut mailbox = Mailbox::default();
        for n in 0..MAX_THREADS + 3 {
            mailbox.add(notice(n, &format!("s{n}")));
        }
        assert_eq!((mailbox.threads.len(), mailbox.left_out), (MAX_THREADS, 3));
        let message = mailbox.due(START).unwrap();
        assert_eq!((message.threads.len(), message.left_out), (MAX_THREADS, 3));
        mailbox.sent(&message, START);
        assert_eq!(mailbox.waiting(), 0);
    }

    #[test]
    fn a_mailbox_reads_back_as_it_was_written() {
        let mut mailbox = Mailbox::default();
        mailbox.add(notice(1, "erp"));
        mailbox.failed("refused", START);
        let text = serde_json::to_string(&mailbox).unwrap();
        assert_eq!(serde_json::from_str::<Mailbox>(&text).unwrap(), mailbox);
        assert_eq!(serde_json::from_str::<Mailbox>("{}").unwrap(), Mailbox::default());
    }
}
