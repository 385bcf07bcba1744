//! Appends on their way to the writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    pub(super) reply: oneshot::Sender<Result<Vec<Appended>, AppendError>>,
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
}

/// A queue of at most this many bytes. A single append over the limit is taken when nothing else waits.
pub(super) fn queue(most_bytes: usize) -> (Queue, Waiting) {
    let (sender, receiver) = mpsc::channel(QUEUED_APPENDS);
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    let queue = Queue { jobs: sender, waiting_bytes: waiting_bytes.clone(), most_bytes };
    (queue, Waiting { jobs: receiver, waiting_bytes })
}

impl Queue {
    /// Puts an append in and gives where its answer will come, or refuses it at once.
    pub(super) fn push(
        &self,
        append: Append,
    ) -> Result<oneshot::Receiver<Result<Vec<Appended>, AppendError>>, AppendError> {
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
        while events < GROUP_EVENTS && bytes < GROUP_BYTES {
            let Ok(job) = self.jobs.try_recv() else { break };
            events += job.events.len();
            bytes += job.bytes;
            group.push(job);
        }
        Some(group)
    }

    /// Notes that a group does not wait any more.
    pub(super) fn done(&self, bytes: usize) {
        self.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
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
        waiting.done(3 * one);
        assert!(queue.ready().is_ok());
        let _single = queue.push(append(4)).unwrap();
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
