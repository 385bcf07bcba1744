//! Which lanes could want an event, and where each lane stands. Decides who is woken; carries no events.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tillstream_model::catalogue::is_operational;
use tillstream_model::integration::Settings;
use tillstream_model::lane::Memory;
use tillstream_model::{CompanyNo, Event, IntegrationNo, Seq};

use super::handle::Handle;

/// All companies' routes.
#[derive(Default)]
pub(super) struct Routes(Mutex<HashMap<CompanyNo, Arc<Company>>>);

/// One company's routes.
#[derive(Default)]
pub(super) struct Company(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// Every event up to here was shown to every lane.
    routed: Seq,
    lanes: HashMap<IntegrationNo, Entry>,
    index: Index,
}

struct Entry {
    settings: Arc<Settings>,
    place: Place,
}

/// Where a lane stands.
enum Place {
    /// It runs and reads the log by itself.
    Reading(Arc<Handle>),
    /// It runs and has read everything; `wanted` is the first event since then that it could want.
    AtHead { handle: Arc<Handle>, read_to: Seq, wanted: Option<Seq> },
    /// No task; everything up to `read_to` is settled.
    Asleep(Sleeper),
}

/// A lane without a task.
pub(super) struct Sleeper {
    read_to: Seq,
    saved: Seq,
    memory: Option<Box<Memory>>,
}

/// A lane that is to start.
pub(super) struct Waking {
    pub(super) no: IntegrationNo,
    pub(super) settings: Arc<Settings>,
    pub(super) handle: Arc<Handle>,
    /// It has settled everything up to here; None: as saved.
    pub(super) from: Option<Seq>,
    pub(super) memory: Option<Box<Memory>>,
}

/// Names and entities to the lanes that select them.
#[derive(Default)]
struct Index {
    everything: BTreeSet<IntegrationNo>,
    selected: HashMap<Box<str>, BTreeSet<IntegrationNo>>,
}

impl Index {
    fn add(&mut self, no: IntegrationNo, settings: &Settings) {
        let events = &settings.events;
        if events.entities.is_empty() && events.names.is_empty() {
            self.everything.insert(no);
        }
        for word in events.entities.iter().chain(&events.names) {
            self.selected.entry(word.as_str().into()).or_default().insert(no);
        }
    }

    fn remove(&mut self, no: IntegrationNo) {
        self.everything.remove(&no);
        self.selected.retain(|_, lanes| {
            lanes.remove(&no);
            !lanes.is_empty()
        });
    }

    fn lanes(&self, event: &Event) -> impl Iterator<Item = IntegrationNo> + '_ {
        let content = &event.content;
        let unnamed = (!is_operational(&content.name)).then_some(&self.everything);
        let words = [self.selected.get(content.entity()), self.selected.get(&*content.name)];
        unnamed.into_iter().chain(words.into_iter().flatten()).flatten().copied()
    }
}

impl Routes {
    /// The company's routes; made when they are asked for first.
    pub(super) fn company(&self, no: CompanyNo) -> Arc<Company> {
        self.lock().entry(no).or_default().clone()
    }

    /// Every company's routes.
    pub(super) fn all(&self) -> Vec<(CompanyNo, Arc<Company>)> {
        self.lock().iter().map(|(no, c)| (*no, c.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CompanyNo, Arc<Company>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Company {
    /// Up to where events were shown to the lanes.
    pub(super) fn routed(&self) -> Seq {
        self.lock().routed
    }

    /// Shows events to the lanes: wakes those that wait at the head, and returns the sleepers that are to start.
    pub(super) fn route(&self, events: &[Arc<Event>]) -> Vec<Waking> {
        let mut table = self.lock();
        let table = &mut *table;
        let mut waking = Vec::new();
        for event in events.iter().filter(|e| e.seq > table.routed) {
            for no in table.index.lanes(event) {
                if let Some(entry) = table.lanes.get_mut(&no) {
                    waking.extend(entry.show(no, event));
                }
            }
        }
        table.routed = events.last().map_or(table.routed, |e| table.routed.max(e.seq));
        waking
    }

    /// Adds a lane that has settled everything up to `cursor`. It sleeps if it missed nothing that was shown to others
    /// and has nothing left to do; what to start otherwise. `head` is a position that the log has reached.
    pub(super) fn add(
        &self,
        no: IntegrationNo,
        settings: Arc<Settings>,
        cursor: Seq,
        unfinished: bool,
        head: Seq,
    ) -> Option<Waking> {
        let mut table = self.lock();
        table.begin(head);
        if unfinished || cursor < table.routed {
            return Some(table.insert_reading(no, settings));
        }
        let place = Place::Asleep(Sleeper { read_to: cursor, saved: cursor, memory: None });
        table.insert(no, Entry { settings, place });
        None
    }

    /// Adds a lane that starts now. `head` is a position that the log has reached.
    pub(super) fn add_reading(&self, no: IntegrationNo, settings: Arc<Settings>, head: Seq) -> Waking {
        let mut table = self.lock();
        table.begin(head);
        table.insert_reading(no, settings)
    }

    /// Adds a lane once more whose task under this handle failed. None: it was taken out meanwhile.
    pub(super) fn add_again(&self, no: IntegrationNo, settings: Arc<Settings>, failed: &Arc<Handle>) -> Option<Waking> {
        let mut table = self.lock();
        table.runs_under(no, failed).then(|| table.insert_reading(no, settings))
    }

    /// New settings for a lane; false when there is none.
    pub(super) fn update(&self, no: IntegrationNo, settings: Arc<Settings>) -> bool {
        let mut table = self.lock();
        let Some(entry) = table.lanes.get_mut(&no) else { return false };
        entry.settings = settings.clone();
        table.index.remove(no);
        table.index.add(no, &settings);
        true
    }

    /// The lane's handle; what to start when it sleeps. None: there is no such lane.
    pub(super) fn awake(&self, no: IntegrationNo) -> Option<Result<Arc<Handle>, Waking>> {
        let mut table = self.lock();
        let entry = table.lanes.get_mut(&no)?;
        match entry.handle() {
            Some(handle) => Some(Ok(handle)),
            None => entry.wake(no).map(Err),
        }
    }

    /// Takes a lane out; its handle, if it runs.
    pub(super) fn remove(&self, no: IntegrationNo) -> Option<Arc<Handle>> {
        let mut table = self.lock();
        table.index.remove(no);
        table.lanes.remove(&no).and_then(|e| e.handle())
    }

    /// Takes a lane out, if it still runs under this handle.
    pub(super) fn remove_if(&self, no: IntegrationNo, handle: &Arc<Handle>) {
        let mut table = self.lock();
        if table.runs_under(no, handle) {
            table.index.remove(no);
            table.lanes.remove(&no);
        }
    }

    /// A lane has read up to `read_to`: whether that is all there is, so that it is woken when more comes.
    pub(super) fn at_head(&self, no: IntegrationNo, handle: &Arc<Handle>, read_to: Seq) -> bool {
        let mut table = self.lock();
        let current = read_to >= table.routed && table.runs_under(no, handle);
        match table.lanes.get_mut(&no) {
            Some(entry) if current => {
                entry.place = Place::AtHead { handle: handle.clone(), read_to, wanted: None };
                true
            }
            _ => false,
        }
    }

    /// For a lane at the head: the first event since then that it could want. It reads by itself again.
    pub(super) fn take_wanted(&self, no: IntegrationNo, handle: &Arc<Handle>) -> Option<Seq> {
        let mut table = self.lock();
        if !table.runs_under(no, handle) {
            return None;
        }
        let entry = table.lanes.get_mut(&no)?;
        let Place::AtHead { wanted: Some(seq), .. } = entry.place else { return None };
        entry.place = Place::Reading(handle.clone());
        Some(seq)
    }

    /// Takes a lane away from the head, so that it reads by itself again: up to where nothing came that it could want
    /// with the settings that it is known with. None: it was not there.
    pub(super) fn leave_head(&self, no: IntegrationNo, handle: &Arc<Handle>) -> Option<Seq> {
        let mut table = self.lock();
        let (runs, routed) = (table.runs_under(no, handle), table.routed);
        let entry = table.lanes.get_mut(&no).filter(|_| runs)?;
        let Place::AtHead { read_to, wanted, .. } = entry.place else { return None };
        entry.place = Place::Reading(handle.clone());
        Some(wanted.map_or(read_to.max(routed), |seq| seq - 1))
    }

    /// A lane at the head wants to end its task: whether it may. It may not when an event came in between.
    pub(super) fn fall_asleep(
        &self,
        no: IntegrationNo,
        handle: &Arc<Handle>,
        saved: Seq,
        memory: Option<Memory>,
    ) -> bool {
        let mut table = self.lock();
        if !table.runs_under(no, handle) {
            return true;
        }
        let Some(entry) = table.lanes.get_mut(&no) else { return true };
        match entry.place {
            Place::AtHead { read_to, wanted: None, .. } => {
                entry.place = Place::Asleep(Sleeper { read_to, saved, memory: memory.map(Box::new) });
                true
            }
            _ => false,
        }
    }

    /// Sleepers whose saved cursor is behind, with the position that may be saved; they count as saved from now on.
    pub(super) fn unsaved_sleepers(&self) -> Vec<(IntegrationNo, Seq)> {
        let mut table = self.lock();
        let routed = table.routed;
        let mut list = Vec::new();
        for (no, entry) in &mut table.lanes {
            if let Place::Asleep(s) = &mut entry.place {
                s.read_to = s.read_to.max(routed);
                if s.saved < s.read_to {
                    s.saved = s.read_to;
                    list.push((*no, s.read_to));
                }
            }
        }
        list
    }

    /// The settings that a lane is known with; None: there is no such lane.
    pub(super) fn settings(&self, no: IntegrationNo) -> Option<Arc<Settings>> {
        self.lock().lanes.get(&no).map(|entry| entry.settings.clone())
    }

    /// All lanes.
    pub(super) fn lanes(&self) -> Vec<IntegrationNo> {
        self.lock().lanes.keys().copied().collect()
    }

    /// All lanes with what they are known with, and their handles if they are awake.
    pub(super) fn entries(&self) -> Vec<(IntegrationNo, Arc<Settings>, Option<Arc<Handle>>)> {
        self.lock().lanes.iter().map(|(no, entry)| (*no, entry.settings.clone(), entry.handle())).collect()
    }

    /// Handles of all lanes that run.
    pub(super) fn handles(&self) -> Vec<Arc<Handle>> {
        self.lock().lanes.values().filter_map(Entry::handle).collect()
    }

    /// The lane's handle, or up to where a sleeper has settled everything.
    pub(super) fn look(&self, no: IntegrationNo) -> Option<Result<Arc<Handle>, Seq>> {
        let table = self.lock();
        let entry = table.lanes.get(&no)?;
        Some(match &entry.place {
            Place::Asleep(s) => Err(s.read_to.max(table.routed)),
            Place::Reading(handle) | Place::AtHead { handle, .. } => Ok(handle.clone()),
        })
    }

    /// For a lane that waits at the head: up to where it has read, and up to where nothing came that it could want.
    pub(super) fn passed(&self, no: IntegrationNo) -> Option<(Seq, Seq)> {
        let table = self.lock();
        match table.lanes.get(&no)?.place {
            Place::AtHead { read_to, wanted: None, .. } => Some((read_to, read_to.max(table.routed))),
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// While there are no lanes, what was not shown to them is in the past: those that are behind read it by
    /// themselves. Once there are, all that comes is shown to them, whatever the log has reached meanwhile.
    fn begin(&mut self, head: Seq) {
        if self.lanes.is_empty() {
            self.routed = self.routed.max(head);
        }
    }

    fn runs_under(&self, no: IntegrationNo, handle: &Arc<Handle>) -> bool {
        self.lanes.get(&no).and_then(Entry::handle).is_some_and(|h| Arc::ptr_eq(&h, handle))
    }

    fn insert_reading(&mut self, no: IntegrationNo, settings: Arc<Settings>) -> Waking {
        let handle = Handle::new();
        let entry = Entry { settings: settings.clone(), place: Place::Reading(handle.clone()) };
        self.insert(no, entry);
        Waking { no, settings, handle, from: None, memory: None }
    }

    fn insert(&mut self, no: IntegrationNo, entry: Entry) {
        self.index.remove(no);
        self.index.add(no, &entry.settings);
        self.lanes.insert(no, entry);
    }
}

impl Entry {
    fn show(&mut self, no: IntegrationNo, event: &Event) -> Option<Waking> {
        if !self.settings.availability.of(event.content.site.as_deref()) {
            return None;
        }
        match &mut self.place {
            Place::AtHead { handle, read_to, wanted } if event.seq > *read_to && wanted.is_none() => {
                *wanted = Some(event.seq);
                handle.ring();
                None
            }
            Place::Asleep(s) if event.seq > s.read_to => {
                s.read_to = event.seq - 1;
                self.wake(no)
            }
            _ => None,
        }
    }

    fn wake(&mut self, no: IntegrationNo) -> Option<Waking> {
        let Place::Asleep(sleeper) = &mut self.place else { return None };
        let (from, memory) = (Some(sleeper.read_to), sleeper.memory.take());
        let handle = Handle::new();
        self.place = Place::Reading(handle.clone());
        Some(Waking { no, settings: self.settings.clone(), handle, from, memory })
    }

    fn handle(&self) -> Option<Arc<Handle>> {
        match &self.place {
            Place::Reading(handle) | Place::AtHead { handle, .. } => Some(handle.clone()),
            Place::Asleep(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tillstream_model::{EventId, Time};
    use tillstream_store::suite;

    const A: IntegrationNo = IntegrationNo(1);
    const B: IntegrationNo = IntegrationNo(2);

    fn settings() -> Arc<Settings> {
        Arc::new(suite::settings("a", "secret"))
    }

    fn events(seqs: std::ops::RangeInclusive<Seq>) -> Vec<Arc<Event>> {
        let at = Time::from_millis(1);
        let event = |seq| Event {
            company: CompanyNo(1),
            seq,
            id: EventId::new(at, [1; 10]),
            accepted_at: at,
            content: suite::content("order.saved", "x"),
        };
        seqs.map(|seq| Arc::new(event(seq))).collect()
    }

    fn woken(routes: &Company, seqs: std::ops::RangeInclusive<Seq>) -> Vec<(IntegrationNo, Option<Seq>)> {
        routes.route(&events(seqs)).into_iter().map(|w| (w.no, w.from)).collect()
    }

    #[test]
    fn a_lane_that_is_added_behind_what_was_shown_reads_by_itself() {
        let routes = Company::default();
        assert!(routes.add(A, settings(), 5, false, 5).is_none(), "it missed nothing");
        assert_eq!(woken(&routes, 6..=8), [(A, Some(5))]);
        // Its head was looked up before 6 to 8 were shown to the other one.
        assert!(routes.add(B, settings(), 5, false, 5).is_some());
    }

    #[test]
    fn a_lane_that_is_added_takes_nothing_away_from_those_that_are_there() {
        for reading in [false, true] {
            let routes = Company::default();
            assert!(routes.add(A, settings(), 5, false, 5).is_none());
            // The log has reached 8 by now, and nobody was shown 6 to 8.
            let started = match reading {
                true => Some(routes.add_reading(B, settings(), 8)),
                false => routes.add(B, settings(), 8, false, 8),
            };
            assert_eq!((started.is_some(), routes.routed()), (reading, 5));
            assert_eq!(woken(&routes, 6..=9).first(), Some(&(A, Some(5))));
        }
    }

    #[test]
    fn a_lane_with_something_left_to_do_starts() {
        assert!(Company::default().add(A, settings(), 5, true, 5).is_some());
        assert!(Company::default().add(A, settings(), 4, false, 5).is_some());
        assert!(Company::default().add(A, settings(), 6, false, 5).is_none());
    }

    #[test]
    fn a_lane_that_is_held_passes_what_it_did_not_want_and_reads_by_itself_from_there() {
        let routes = Company::default();
        let lane = routes.add_reading(A, settings(), 5);
        assert!(routes.leave_head(A, &lane.handle).is_none(), "it is not at the head");
        assert!(routes.at_head(A, &lane.handle, 5));
        let mut off = suite::settings("a", "secret");
        off.availability.default = false;
        assert!(routes.update(A, Arc::new(off)));
        routes.route(&events(6..=8));
        assert_eq!(routes.leave_head(A, &lane.handle), Some(8));
        // What comes while its settings are saved is not shown to it: it reads that by itself, with the new ones.
        routes.route(&events(9..=9));
        assert!(routes.take_wanted(A, &lane.handle).is_none() && !routes.at_head(A, &lane.handle, 8));
        assert!(routes.at_head(A, &lane.handle, 9));
        assert!(routes.update(A, settings()));
        routes.route(&events(10..=12));
        assert_eq!(routes.leave_head(A, &lane.handle), Some(9), "10 is wanted");
    }

    #[test]
    fn a_lane_that_was_taken_out_or_replaced_does_not_start_again() {
        let routes = Company::default();
        let first = routes.add_reading(A, settings(), 0);
        let second = routes.add_again(A, settings(), &first.handle);
        assert!(second.is_some());
        assert!(routes.add_again(A, settings(), &first.handle).is_none(), "another task runs it");
        routes.remove(A);
        assert!(second.is_some_and(|s| routes.add_again(A, settings(), &s.handle).is_none()));
    }
}
