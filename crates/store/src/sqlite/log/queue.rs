//! Appends on their way to the writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tillstream_model::{CompanyNo, Content};
use tokio::sync::{mpsc, oneshot};

use super::idempotency::Caller;
use crate::{Append, AppendError, Appended, Retention};

/// Most appends that wait, whatever their size.
const QUEUED_APPENDS: usize = 65_536;
/// Most events of one commit, unless a single append has more.
const GROUP_EVENTS: usize = 5_000;
/// Most bytes of one commit, unless a single append has more.
const GROUP_BYTES: usize = 4 << 20;

/// An append with all that can be computed beside the writer.
pub(super) struct Job {
    pub(super) company: CompanyNo,
    pub(super) retention: Retention,
    pub(super) events: Vec<NewEvent>,
    pub(super) bytes: usize,
    pub(super) reply: oneshot::Sender<Reply>,
}

/// What an append is told.
pub(super) type Answer = Result<Vec<Appended>, AppendError>;

/// An append's answer, and those of others of its commit to pass on.
pub(super) struct Reply {
    /// What this one is told.
    pub(super) own: Answer,
    _others: Others,
}

/// The answers of the other appends of a commit. They travel with the first one's, so that the writer's thread wakes a
/// single task and that one wakes the rest from inside the runtime, which costs a fraction. Sent when dropped, so none
/// gets lost when the first caller is gone.
struct Others(Vec<(oneshot::Sender<Reply>, Answer)>);

impl Drop for Others {
    fn drop(&mut self) {
        for (reply, own) in self.0.drain(..) {
            // Nobody waits any more when the caller was cancelled; the events stay.
            let _ = reply.send(Reply { own, _others: Others(Vec::new()) });
        }
    }
}

/// Tells every append of a commit.
pub(super) fn tell(mut answers: Vec<(oneshot::Sender<Reply>, Answer)>) {
    if let Some((first, own)) = answers.pop() {
        // A reply that is not taken is dropped here, and passes the others on all the same.
        let _ = first.send(Reply { own, _others: Others(answers) });
    }
}

/// An event before it has a position.
pub(super) struct NewEvent {
    pub(super) content: Content,
    pub(super) random: [u8; 10],
    pub(super) caller: Option<Caller>,
}

impl NewEvent {
    fn new(company: CompanyNo, content: Content) -> Self {
        let caller = Caller::of(company, &content);
        Self { content, random: rand::random(), caller }
    }
}

/// The way in. Closed when it is dropped.
pub(super) struct Queue {
    jobs: mpsc::Sender<Job>,
    waiting_bytes: Arc<AtomicUsize>,
    most_bytes: usize,
}

/// The way out, for the writer.
pub(super) struct Waiting {
    jobs: mpsc::Receiver<Job>,
    waiting_bytes: Arc<AtomicUsize>,
    /// How many appends the last group had: their callers are about to ask again.
    last: usize,
    /// How long a group that is smaller than the last one waits for them.
    patience: Duration,
}

/// A group waits for stragglers at most this part of the time that a commit takes …
const PATIENCE_PART: u32 = 2;
/// … and never longer than this.
const MAX_PATIENCE: Duration = Duration::from_millis(1);

/// A queue of at most this many bytes. A single append over the limit is taken when nothing else waits.
pub(super) fn queue(most_bytes: usize) -> (Queue, Waiting) {
    let (sender, receiver) = mpsc::channel(QUEUED_APPENDS);
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    let queue = Queue { jobs: sender, waiting_bytes: waiting_bytes.clone(), most_bytes };
    (queue, Waiting { jobs: receiver, waiting_bytes, last: 0, patience: Duration::ZERO })
}

impl Queue {
    /// Puts an append in and gives where its answer will come, or refuses it at once.
    pub(super) fn push(&self, append: Append) -> Result<oneshot::Receiver<Reply>, AppendError> {
        let bytes = append.events.iter().map(Content::size).sum();
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::AcqRel);
        if before > 0 && before + bytes > self.most_bytes {
            self.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
            return Err(self.behind());
        }
        let Append { company, retention, events } = append;
        let events = events.into_iter().map(|content| NewEvent::new(company, content)).collect();
        let (reply, answer) = oneshot::channel();
        self.jobs.try_send(Job { company, retention, events, bytes, reply }).map_err(|e| {
            self.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
            match e {
                mpsc::error::TrySendError::Full(_) => self.behind(),
                mpsc::error::TrySendError::Closed(_) => AppendError::Unavailable("the writer has stopped".into()),
            }
        })?;
        Ok(answer)
    }

    /// Whether anything would be taken now.
    pub(super) fn ready(&self) -> Result<(), AppendError> {
        if self.jobs.is_closed() {
            return Err(AppendError::Unavailable("the writer has stopped".into()));
        }
        let full = self.waiting_bytes.load(Ordering::Acquire) >= self.most_bytes || self.jobs.capacity() == 0;
        if full { Err(self.behind()) } else { Ok(()) }
    }

    fn behind(&self) -> AppendError {
        AppendError::Behind { waiting_bytes: self.most_bytes }
    }
}

impl Waiting {
    /// Waits for an append and takes everything that waits with it, up to a group. None when the queue is closed.
    pub(super) fn group(&mut self) -> Option<Vec<Job>> {
        let first = self.jobs.blocking_recv()?;
        let (mut events, mut bytes, mut group) = (first.events.len(), first.bytes, vec![first]);
        let mut until = None;
        while events < GROUP_EVENTS && bytes < GROUP_BYTES {
            match self.jobs.try_recv() {
                Ok(job) => {
                    events += job.events.len();
                    bytes += job.bytes;
                    group.push(job);
                }
                Err(_) if group.len() >= self.last => break,
                Err(_) if Instant::now() < *until.get_or_insert_with(|| Instant::now() + self.patience) => {
                    std::thread::yield_now();
                }
                Err(_) => break,
            }
        }
        self.last = group.len();
        Some(group)
    }

    /// Notes that a group does not wait any more, and how long its commit took.
    ///
    /// Callers that were just answered ask again a moment later. Without waiting for them, half of them would always
    /// be in the commit under way and half in the next, and a commit costs nearly the same for half as many.
    pub(super) fn done(&mut self, bytes: usize, took: Duration) {
        self.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.patience = (took / PATIENCE_PART).min(MAX_PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::content;

    fn append(events: usize) -> Append {
        let events = (0..events).map(|_| content("order.saved", "x")).collect();
        Append { company: CompanyNo(1), retention: Retention::Month, events }
    }

    #[test]
    fn appends_are_refused_when_more_than_the_limit_would_wait() {
        let one = content("order.saved", "x").size();
        let (queue, mut waiting) = queue(3 * one);
        let _first = queue.push(append(2)).unwrap();
        let _second = queue.push(append(1)).unwrap();
        assert!(matches!(queue.ready(), Err(AppendError::Behind { .. })));
        assert!(
            matches!(queue.push(append(1)), Err(AppendError::Behind { waiting_bytes }) if waiting_bytes == 3 * one)
        );
        assert_eq!(waiting.group().map(|g| g.len()), Some(2));
        waiting.done(3 * one, Duration::ZERO);
        assert!(queue.ready().is_ok());
        let _single = queue.push(append(4)).unwrap();
    }

    #[test]
    fn a_group_waits_for_as_many_as_the_last_one_had_and_not_for_long() {
        let (queue, mut waiting) = queue(usize::MAX);
        let _answers: Vec<_> = (0..4).map(|_| queue.push(append(1)).unwrap()).collect();
        assert_eq!(waiting.group().map(|g| g.len()), Some(4));
        waiting.done(0, Duration::from_secs(60));
        std::thread::scope(|scope| {
            let _first = queue.push(append(1)).unwrap();
            scope.spawn(|| (0..3).map(|_| queue.push(append(1)).unwrap()).collect::<Vec<_>>());
            assert!(waiting.group().is_some_and(|g| !g.is_empty()));
        });
        while waiting.jobs.try_recv().is_ok() {}
        let _single = queue.push(append(1)).unwrap();
        let started = Instant::now();
        assert_eq!(waiting.group().map(|g| g.len()), Some(1));
        assert!(started.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn every_append_of_a_group_is_told_even_when_the_first_caller_is_gone() {
        for gone in [false, true] {
            let (senders, mut receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel()).unzip();
            if gone {
                receivers.pop();
            }
            tell(senders.into_iter().map(|s| (s, Ok(Vec::new()))).collect());
            if !gone {
                drop(receivers.pop());
            }
            assert!(receivers.into_iter().all(|mut r| r.try_recv().is_ok()));
        }
    }

    #[test]
    fn a_group_ends_when_it_has_its_events() {
        let (queue, mut waiting) = queue(usize::MAX);
        let answers: Vec<_> = (0..3).map(|_| queue.push(append(GROUP_EVENTS / 2)).unwrap()).collect();
        assert_eq!(waiting.group().map(|g| g.len()), Some(2));
        assert_eq!(waiting.group().map(|g| g.len()), Some(1));
        drop((queue, answers));
        assert!(waiting.group().is_none());
    }
}
