//! The newest events in memory, within one budget for all companies, and what is known of each company's log.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tillstream_model::time::DAY_MS;
use tillstream_model::{CompanyNo, Event, Seq, Time};

use super::closed::Closed;
use crate::ReadLimit;

/// Events leave the memory at this age, in days: before any retention ends, so that nothing that was dropped is read.
const MOST_DAYS: i64 = 2;

/// Erased events that are remembered, for those who hold a copy; the oldest positions are forgotten first.
const MOST_ERASED: usize = 100_000;

/// What is known of a company's log as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The last position.
    pub(crate) head: Seq,
    /// When it was accepted.
    pub(crate) head_at: Time,
    /// The last position that is no longer kept.
    pub(crate) floor: Seq,
}

/// Answers those who are up to date without a disk and without another thread.
pub(crate) struct Tail {
    most_bytes: usize,
    /// Whether anything was erased at all: asked for each attempt.
    any_erased: AtomicBool,
    closed: Arc<Closed>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    companies: HashMap<CompanyNo, Company>,
    /// Companies of the events in memory, oldest event first.
    order: VecDeque<CompanyNo>,
    bytes: usize,
    /// Events whose payload was erased: copies that were read before must not be used.
    erased: BTreeSet<(Seq, CompanyNo)>,
    /// How many segments were dropped: what the disk said before the last one may be out of date.
    drops: u64,
}

#[derive(Default)]
struct Company {
    summary: Summary,
    /// The last events, without a hole up to the head.
    events: VecDeque<Arc<Event>>,
}

impl Tail {
    /// Keeps at most this many bytes of events ([`tillstream_model::Content::size`]).
    pub(crate) fn new(most_bytes: usize) -> Self {
        Self { most_bytes, any_erased: AtomicBool::new(false), closed: Arc::default(), inner: Mutex::default() }
    }

    /// Forgets a company's events and takes no more: its log is closed and reads as empty.
    pub(crate) fn close(&self, company: CompanyNo) {
        let inner = &mut *self.lock();
        self.closed.add(company);
        if let Some(known) = inner.companies.insert(company, Company::default()) {
            inner.bytes -= known.events.iter().map(|e| e.content.size()).sum::<usize>();
            inner.order.retain(|no| *no != company);
        }
    }

    /// Whether a company's log is closed.
    pub(crate) fn is_closed(&self, company: CompanyNo) -> bool {
        self.closed.has(company)
    }

    /// The companies whose logs are closed.
    pub(crate) fn closed(&self) -> Arc<Closed> {
        self.closed.clone()
    }

    /// What is known of a company; None until somebody looked at the disk.
    pub(crate) fn summary(&self, company: CompanyNo) -> Option<Summary> {
        self.lock().companies.get(&company).map(|c| c.summary)
    }

    /// Notes what the disk says of a company, unless it is known already: then it may have moved on. `look` is repeated
    /// when a segment was dropped meanwhile.
    pub(crate) fn learn<E>(
        &self,
        company: CompanyNo,
        mut look: impl FnMut() -> Result<Summary, E>,
    ) -> Result<Summary, E> {
        loop {
            let drops = self.lock().drops;
            let summary = look()?;
            let mut inner = self.lock();
            if inner.drops == drops || inner.companies.contains_key(&company) {
                let new = || Company { summary, events: VecDeque::new() };
                return Ok(inner.companies.entry(company).or_insert_with(new).summary);
            }
        }
    }

    /// Adds committed events; each company's are in order. Where some are missing, those before them are forgotten.
    pub(crate) fn publish(&self, events: Vec<Arc<Event>>) {
        let inner = &mut *self.lock();
        for event in events {
            if self.closed.has(event.company) {
                continue;
            }
            let event = inner.without_erased(event);
            let company = inner.companies.entry(event.company).or_default();
            if event.seq <= company.summary.head {
                continue;
            }
            if event.seq > company.summary.head + 1 {
                inner.bytes -= company.events.iter().map(|e| e.content.size()).sum::<usize>();
                company.events.clear();
                inner.order.retain(|no| *no != event.company);
            }
            company.summary.head = event.seq;
            company.summary.head_at = event.accepted_at;
            inner.bytes += event.content.size();
            inner.order.push_back(event.company);
            company.events.push_back(event);
        }
        while inner.bytes > self.most_bytes && inner.evict() {}
    }

    /// Takes away the payload of an event that was erased on disk.
    pub(crate) fn erase(&self, company: CompanyNo, seq: Seq) {
        let inner = &mut *self.lock();
        inner.erased.insert((seq, company));
        self.any_erased.store(true, Ordering::Release);
        if inner.erased.len() > MOST_ERASED {
            inner.erased.pop_first();
        }
        let Some(events) = inner.companies.get_mut(&company).map(|c| &mut c.events) else { return };
        let at = events.front().and_then(|first| seq.checked_sub(first.seq));
        let Some(event) = at.and_then(|at| events.get_mut(at as usize)) else { return };
        let bytes = event.content.size();
        *event = erased(event);
        inner.bytes -= bytes - event.content.size();
    }

    /// Whether the payload of this event was erased since this process began, as far as it is remembered.
    pub(crate) fn is_erased(&self, company: CompanyNo, seq: Seq) -> bool {
        self.any_erased.load(Ordering::Acquire) && self.lock().erased.contains(&(seq, company))
    }

    /// Forgets what is too old to be kept in memory.
    pub(crate) fn forget_old(&self, now: Time) {
        let inner = &mut *self.lock();
        let young = now.millis() - MOST_DAYS * DAY_MS;
        while inner.oldest().is_some_and(|at| at.millis() < young) && inner.evict() {}
    }

    /// Notes the new floors after a segment was dropped.
    pub(crate) fn dropped(&self, floors: impl Iterator<Item = (CompanyNo, Seq)>) {
        let mut inner = self.lock();
        inner.drops += 1;
        for (company, floor) in floors.filter(|(company, _)| !self.closed.has(*company)) {
            if let Some(company) = inner.companies.get_mut(&company) {
                company.summary.floor = company.summary.floor.max(floor);
            }
        }
    }

    /// The events after a position; None when the disk has to be asked.
    pub(crate) fn read(&self, company: CompanyNo, after: Seq, limit: ReadLimit) -> Option<Vec<Arc<Event>>> {
        let inner = self.lock();
        let company = inner.companies.get(&company)?;
        if after >= company.summary.head {
            return Some(Vec::new());
        }
        let first = company.events.front()?.seq;
        let skip = (after + 1).checked_sub(first)? as usize;
        let mut bytes = 0;
        let fits = |event: &&Arc<Event>| {
            let fits = bytes == 0 || bytes < limit.bytes;
            bytes += event.content.size();
            fits
        };
        Some(company.events.range(skip..).take(limit.events.max(1)).take_while(fits).cloned().collect())
    }

    /// The event at a position, if it is in memory.
    pub(crate) fn get(&self, company: CompanyNo, seq: Seq) -> Option<Arc<Event>> {
        let inner = self.lock();
        let events = &inner.companies.get(&company)?.events;
        let at = seq.checked_sub(events.front()?.seq)?;
        events.get(at as usize).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The event without its payload.
fn erased(event: &Event) -> Arc<Event> {
    let mut event = event.clone();
    event.content.erase();
    Arc::new(event)
}

impl Inner {
    /// What was read before its payload was erased loses it here.
    fn without_erased(&self, event: Arc<Event>) -> Arc<Event> {
        match self.erased.contains(&(event.seq, event.company)) && !event.content.is_erased() {
            true => erased(&event),
            false => event,
        }
    }

    /// When the oldest event was accepted.
    fn oldest(&self) -> Option<Time> {
        let company = self.companies.get(self.order.front()?)?;
        company.events.front().map(|e| e.accepted_at)
    }

    /// Forgets the oldest event; whether there was one.
    fn evict(&mut self) -> bool {
        let Some(company) = self.order.pop_front().and_then(|no| self.companies.get_mut(&no)) else { return false };
        if let Some(event) = company.events.pop_front() {
            self.bytes -= event.content.size();
        }
        if company.events.is_empty() {
            company.events = VecDeque::new();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::content;
    use tillstream_model::EventId;

    const A: CompanyNo = CompanyNo(1);
    const B: CompanyNo = CompanyNo(2);

    fn event(company: CompanyNo, seq: Seq) -> Arc<Event> {
        let at = Time::from_millis(1);
        Arc::new(Event {
            company,
            seq,
            id: EventId::new(at, [1; 10]),
            accepted_at: at,
            content: content("order.saved", "x"),
        })
    }

    fn seqs(tail: &Tail, company: CompanyNo, after: Seq) -> Option<Vec<Seq>> {
        let limit = ReadLimit { events: 100, bytes: usize::MAX };
        tail.read(company, after, limit).map(|list| list.iter().map(|e| e.seq).collect())
    }

    #[test]
    fn an_erased_event_loses_its_payload_also_when_it_comes_late() {
        let tail = Tail::new(1 << 20);
        tail.publish(vec![event(A, 1), event(A, 2)]);
        tail.erase(A, 2);
        tail.erase(A, 3);
        tail.publish(vec![event(A, 3), event(A, 4)]);
        let left: Vec<bool> = (1..=4).map(|seq| tail.get(A, seq).unwrap().content.is_erased()).collect();
        assert_eq!(left, [false, true, true, false]);
        assert!(tail.is_erased(A, 2) && !tail.is_erased(A, 1) && !tail.is_erased(B, 2));
        tail.publish(vec![event(A, 9)]);
        assert_eq!(tail.lock().bytes, event(A, 9).content.size(), "what was erased counts as what is left of it");
    }

    #[test]
    fn so_many_erased_events_are_remembered_and_the_oldest_positions_go_first() {
        let tail = Tail::new(0);
        (1..=MOST_ERASED as Seq).for_each(|seq| tail.erase(A, seq));
        assert!(tail.is_erased(A, 1));
        tail.erase(B, 2);
        assert!(!tail.is_erased(A, 1) && tail.is_erased(B, 2) && tail.is_erased(A, MOST_ERASED as Seq));
    }

    #[test]
    fn a_closed_log_is_empty_and_takes_nothing_and_the_others_stay() {
        let tail = Tail::new(1 << 20);
        tail.publish(vec![event(A, 1), event(B, 1), event(A, 2)]);
        tail.close(A);
        tail.publish(vec![event(A, 3), event(B, 2)]);
        assert_eq!((seqs(&tail, A, 0), seqs(&tail, B, 0)), (Some(vec![]), Some(vec![1, 2])));
        assert_eq!(tail.summary(A), Some(Summary::default()));
        assert_eq!(tail.lock().bytes, 2 * event(B, 1).content.size());
        assert!(tail.is_closed(A) && !tail.is_closed(B));
    }

    #[test]
    fn the_oldest_events_of_all_companies_go_when_the_budget_is_used_up() {
        let tail = Tail::new(3 * event(A, 1).content.size());
        tail.publish(vec![event(A, 1), event(B, 1), event(A, 2)]);
        assert_eq!(seqs(&tail, A, 0), Some(vec![1, 2]));
        tail.publish(vec![event(A, 3)]);
        assert_eq!(seqs(&tail, A, 0), None, "the first is on disk only");
        assert_eq!(seqs(&tail, A, 1), Some(vec![2, 3]));
        tail.publish(vec![event(A, 4)]);
        assert_eq!(seqs(&tail, B, 0), None);
        assert_eq!(seqs(&tail, B, 1), Some(vec![]), "nothing can be there");
    }

    #[test]
    fn events_leave_before_any_retention_ends() {
        let tail = Tail::new(1 << 20);
        tail.publish(vec![event(A, 1), event(B, 1), event(A, 2)]);
        let end = Time::from_millis(1 + MOST_DAYS * DAY_MS);
        tail.forget_old(end);
        assert_eq!(seqs(&tail, A, 0), Some(vec![1, 2]));
        tail.forget_old(Time::from_millis(end.millis() + 1));
        assert_eq!((seqs(&tail, A, 0), seqs(&tail, A, 2)), (None, Some(vec![])));
        assert_eq!(tail.summary(A).map(|s| s.head), Some(2), "the head stays known");
        assert!(crate::Retention::ALL.iter().all(|r| r.days() > MOST_DAYS));
    }

    #[test]
    fn what_the_disk_said_never_takes_a_head_back() {
        let tail = Tail::new(1 << 20);
        tail.publish(vec![event(A, 5)]);
        let disk = || Ok::<_, ()>(Summary { head: 4, ..Summary::default() });
        assert_eq!(tail.learn(A, disk).map(|s| s.head), Ok(5));
        assert_eq!(tail.summary(B), None);
        assert_eq!(tail.learn(B, disk).map(|s| s.head), Ok(4));
    }

    #[test]
    fn the_disk_is_asked_again_when_a_segment_was_dropped_meanwhile() {
        let tail = Tail::new(1 << 20);
        let mut looks = 0;
        let look = || {
            looks += 1;
            if looks == 1 {
                tail.dropped([(A, 3)].into_iter());
            }
            Ok::<_, ()>(Summary { floor: if looks == 1 { 0 } else { 3 }, ..Summary::default() })
        };
        assert_eq!(tail.learn(A, look).map(|s| s.floor), Ok(3));
        assert_eq!(looks, 2);
    }

    #[test]
    fn a_single_event_over_the_budget_is_not_kept() {
        let tail = Tail::new(1);
        tail.publish(vec![event(A, 1)]);
        assert!(tail.get(A, 1).is_none());
        assert_eq!(tail.summary(A).map(|s| s.head), Some(1));
    }
}
