//! Appends on their way to the writer.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tillstream_model::{CompanyNo, Content};
use tokio::sync::oneshot;

use super::caller::Caller;
use crate::{Append, AppendError, Appended, Retention};

/// Most appends that wait, whatever their size.
const QUEUED_APPENDS: usize = 65_536;
/// Most events of one commit, unless a single append has more.
const GROUP_EVENTS: usize = 5_000;
/// Most bytes of one commit, unless a single append has more.
const GROUP_BYTES: usize = 4 << 20;

/// An append with all that can be computed beside the writer.
pub(crate) struct Job {
    pub(crate) company: CompanyNo,
    pub(crate) retention: Retention,
    pub(crate) events: Vec<NewEvent>,
    pub(crate) bytes: usize,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// What an append is told.
pub(crate) type Answer = Result<Vec<Appended>, AppendError>;

/// An append's answer, and those of others of its commit to pass on.
pub(crate) struct Reply {
    /// What this one is told.
    pub(crate) own: Answer,
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
pub(crate) fn tell(mut answers: Vec<(oneshot::Sender<Reply>, Answer)>) {
    if let Some((first, own)) = answers.pop() {
        // A reply that is not taken is dropped here, and passes the others on all the same.
        let _ = first.send(Reply { own, _others: Others(answers) });
    }
}

/// An event before it has a position.
pub(crate) struct NewEvent {
    pub(crate) content: Content,
    pub(crate) random: [u8; 10],
    pub(crate) caller: Option<Caller>,
}

impl NewEvent {
    fn new(company: CompanyNo, content: Content) -> Self {
        let caller = Caller::of(company, &content);
        Self { content, random: rand::random(), caller }
    }
}

/// A group waits for stragglers at most this part of the time that a commit takes …
const PATIENCE_PART: u32 = 2;
/// … and never longer than this.
const MAX_PATIENCE: Duration = Duration::from_millis(1);

/// The way in. Closed when it is dropped.
pub(crate) struct Queue {
    shared: Arc<Shared>,
    most_bytes: usize,
}

/// The way out, for the writer. Closed when it is dropped.
pub(crate) struct Waiting {
    shared: Arc<Shared>,
    /// How many appends the last group had.
    last: usize,
    /// Until when, and up to how many, a group waits for the callers that were just answered.
    stragglers: Option<(Instant, usize)>,
}

#[derive(Default)]
struct Shared {
    line: Mutex<Line>,
    enough: Condvar,
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    /// Bytes that wait or are being written.
    bytes: usize,
    closed: bool,
    /// The writer sleeps until so many appends wait; 0 while it is awake.
    wanted: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.enough.notify_all();
    }
}

/// A queue of at most this many bytes. A single append over the limit is taken when nothing else waits.
pub(crate) fn queue(most_bytes: usize) -> (Queue, Waiting) {
    let shared = Arc::new(Shared::default());
    (Queue { shared: shared.clone(), most_bytes }, Waiting { shared, last: 0, stragglers: None })
}

impl Queue {
    /// Puts an append in and gives where its answer will come, or refuses it at once.
    pub(crate) fn push(&self, append: Append) -> Result<oneshot::Receiver<Reply>, AppendError> {
        let Append { company, retention, events } = append;
        let bytes = events.iter().map(Content::size).sum();
        let events = events.into_iter().map(|content| NewEvent::new(company, content)).collect();
        let (reply, answer) = oneshot::channel();
        let mut line = self.shared.lock();
        self.takes(&line, bytes)?;
        line.bytes += bytes;
        line.jobs.push_back(Job { company, retention, events, bytes, reply });
        if line.wanted > 0 && line.jobs.len() >= line.wanted {
            self.shared.enough.notify_one();
        }
        Ok(answer)
    }

    /// Whether anything would be taken now.
    pub(crate) fn ready(&self) -> Result<(), AppendError> {
        self.takes(&self.shared.lock(), 1)
    }

    fn takes(&self, line: &Line, bytes: usize) -> Result<(), AppendError> {
        if line.closed {
            return Err(AppendError::Unavailable("the writer has stopped".into()));
        }
        let full = line.bytes > 0 && line.bytes + bytes > self.most_bytes;
        if full || line.jobs.len() >= QUEUED_APPENDS {
            return Err(AppendError::Behind { waiting_bytes: self.most_bytes });
        }
        Ok(())
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Waiting {
    /// Waits for an append and takes everything that waits with it, up to a group. None when the queue is closed and
    /// empty.
    pub(crate) fn group(&mut self) -> Option<Vec<Job>> {
        let mut line = self.shared.lock();
        line.wanted = 1;
        line = self
            .shared
            .enough
            .wait_while(line, |l| l.jobs.is_empty() && !l.closed)
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((until, count)) = self.stragglers.take() {
            line.wanted = count;
            let patience = until.saturating_duration_since(Instant::now());
            let more = |l: &mut Line| l.jobs.len() < count && !l.closed;
            line =
                self.shared.enough.wait_timeout_while(line, patience, more).unwrap_or_else(PoisonError::into_inner).0;
        }
        line.wanted = 0;
        let group = line.take_group();
        self.last = group.len();
        (!group.is_empty()).then_some(group)
    }

    /// Takes everything that waits, to be refused.
    pub(crate) fn take_all(&self) -> Vec<Job> {
        let mut line = self.shared.lock();
        line.bytes -= line.jobs.iter().map(|j| j.bytes).sum::<usize>();
        line.jobs.drain(..).collect()
    }

    /// Whether nothing will come any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.shared.lock().closed
    }

    /// Notes that a group does not wait any more, and how long its commit took.
    ///
    /// Callers that were just answered ask again a moment later. Without waiting for them, half of them would always
    /// be in the commit under way and half in the next, and a commit costs nearly the same for half as many.
    pub(crate) fn done(&mut self, bytes: usize, took: Duration) {
        let mut line = self.shared.lock();
        line.bytes -= bytes;
        let patience = (took / PATIENCE_PART).min(MAX_PATIENCE);
        self.stragglers = Some((Instant::now() + patience, line.jobs.len() + self.last));
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.shared.close();
        // Who still waits is told so by losing its answer.
        self.shared.lock().jobs.clear();
    }
}

impl Line {
    fn take_group(&mut self) -> Vec<Job> {
        let (mut events, mut bytes, mut count) = (0, 0, 0);
        for job in &self.jobs {
            if events >= GROUP_EVENTS || bytes >= GROUP_BYTES {
                break;
            }
            events += job.events.len();
            bytes += job.bytes;
            count += 1;
        }
        self.jobs.drain(..count).collect()
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
    fn a_group_waits_for_the_callers_just_answered_and_not_for_long() {
        let (queue, mut waiting) = queue(usize::MAX);
        let mut answers: Vec<_> = (0..3).map(|_| queue.push(append(1)).unwrap()).collect();
        assert_eq!(waiting.group().map(|g| g.len()), Some(3));
        answers.push(queue.push(append(1)).unwrap());
        waiting.done(0, Duration::from_secs(60));
        assert_eq!(waiting.stragglers.map(|(_, count)| count), Some(4));
        let started = Instant::now();
        assert_eq!(waiting.group().map(|g| g.len()), Some(1));
        assert!(started.elapsed() >= MAX_PATIENCE && started.elapsed() < Duration::from_secs(1));
        waiting.done(0, Duration::from_secs(60));
        answers.extend((0..4).map(|_| queue.push(append(1)).unwrap()));
        assert_eq!(waiting.group().map(|g| g.len()), Some(4));
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
