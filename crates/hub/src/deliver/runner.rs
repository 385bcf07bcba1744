//! The task of a lane that is awake: reads, sends, commits. Every decision is [`Lane`]'s.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tillstream_model::integration::Settings;
use tillstream_model::lane::{Lane, Released};
use tillstream_model::selection::wants;
use tillstream_model::{Event, Seq, Time};
use tillstream_store::ReadLimit;
use tillstream_store::nodes::Lease;
use tillstream_store::state::{Attempt, Integration, LaneCommit, Replay};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::budget::Slot;
use super::commit::{self, Place, commit, log_entry, waiting};
use super::context::{Context, Exit};
use super::flight::{Flight, Launcher, Made, fly};
use super::handle::{Command, Handle, LaneStatus};
use super::replay::Replaying;
use super::routes::{Company, Waking};

/// Outcomes are committed when there are so many …
const COMMIT_OUTCOMES: usize = 1_000;
/// … or the oldest has waited this long, or an event waits for one of them.
const COMMIT_AFTER: Duration = Duration::from_millis(20);
/// What is read from the log at once.
const READ: ReadLimit = ReadLimit { events: 512, bytes: 512 << 10 };
/// The next read starts when fewer events than this are at hand.
const READ_BELOW: usize = 128;
/// Reads from memory before others get their turn.
const READS_IN_A_ROW: usize = 8;
/// How long a lane with nothing to do stays awake.
const LINGER: Duration = Duration::from_secs(2);
/// A lane whose receiver answered within this time may use the kept half of the budgets.
const ANSWERED_LATELY: Duration = Duration::from_secs(10);
/// How long an ending lane waits for what is under way.
const END_PATIENCE: Duration = Duration::from_secs(5);
/// Pause after the log could not be read.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// How often the oldest event is looked for.
const LOOK_FOR_OLDEST: Duration = Duration::from_secs(1);

type Reading = BoxFuture<'static, tillstream_store::Result<Vec<Arc<Event>>>>;
type Committing = BoxFuture<'static, (Released, tillstream_store::Result<()>)>;

/// A lane's task.
pub(super) struct Runner {
    pub(super) context: Arc<Context>,
    routes: Arc<Company>,
    handle: Arc<Handle>,
    inbox: mpsc::Receiver<Command>,
    pub(super) integration: Integration,
    lease: Lease,
    launcher: Arc<Launcher>,
    pub(super) lane: Lane<Arc<Event>>,
    pub(super) replaying: Option<Replaying>,
    /// A replay that is to start.
    pub(super) replay_due: Option<Replay>,
    buffer: VecDeque<Arc<Event>>,
    at_head: bool,
    reading: Option<Reading>,
    read_again: Option<Instant>,
    flying: JoinSet<Flight>,
    slot: Option<Slot>,
    slot_wait: Option<BoxFuture<'static, Option<Slot>>>,
    committing: Option<Committing>,
    outcomes_since: Option<Instant>,
    rows: Vec<Attempt>,
    answered_at: Option<Instant>,
    idle_since: Option<Instant>,
    oldest: Option<Time>,
    oldest_at: Option<Instant>,
    held: Option<oneshot::Receiver<()>>,
    expire_to: Option<(Seq, oneshot::Sender<()>)>,
    /// The cursor of the last commit that was started, and of the last one that is durable.
    saved_cursor: Seq,
    durable_cursor: Seq,
}

/// Why the loop ends.
enum Turn {
    On,
    Over(Exit),
}

impl Runner {
    /// Loads what was saved and starts where the waking lane stands. None: the integration is gone or stopped.
    pub(super) async fn load(
        context: Arc<Context>,
        routes: Arc<Company>,
        integration: Integration,
        lease: Lease,
        waking: Waking,
        inbox: mpsc::Receiver<Command>,
    ) -> tillstream_store::Result<Self> {
        let company = integration.company;
        let state = context.stores.state.lane(integration.no).await?;
        let floor = context.stores.log.floor(company).await?;
        let now = (context.clock)();
        let parked = state.parked.into_iter().map(waiting).collect();
        let mut lane = Lane::new(integration.settings.delivery.clone(), state.cursor, state.settled, parked, now);
        if let Some(from) = waking.from {
            lane.skip_to(from);
        }
        if let Some(memory) = waking.memory {
            lane.remember(*memory);
        }
        skip_gap(&context, &integration, lease.epoch(), &mut lane, floor, now).await?;
        let target = context.target(&integration).await?;
        let launcher = Arc::new(Launcher {
            company,
            no: integration.no,
            stores: context.stores.clone(),
            clock: context.clock.clone(),
            share: context.budget.share(company),
            target,
            replay: None,
        });
        Ok(Self {
            context,
            routes,
            handle: waking.handle,
            inbox,
            integration,
            lease,
            launcher,
            lane,
            replaying: None,
            replay_due: state.replay,
            buffer: VecDeque::new(),
            at_head: false,
            reading: None,
            read_again: None,
            flying: JoinSet::new(),
            slot: None,
            slot_wait: None,
            committing: None,
            outcomes_since: None,
            rows: Vec::new(),
            answered_at: None,
            idle_since: None,
            oldest: None,
            oldest_at: None,
            held: None,
            expire_to: None,
            saved_cursor: state.cursor,
            durable_cursor: state.cursor,
        })
    }

    /// Runs until the lane sleeps, ends or fails.
    pub(super) async fn run(mut self) -> Exit {
        loop {
            self.take_events();
            self.read_replay();
            self.send();
            self.start_commit();
            self.finish_expiry();
            self.say();
            if self.may_sleep() && self.fall_asleep() {
                return Exit::Asleep;
            }
            if let Turn::Over(exit) = self.wait().await {
                return self.leave(exit).await;
            }
        }
    }

    /// A task that starts again must not read what is saved while a commit of this one is still to be written.
    async fn leave(mut self, exit: Exit) -> Exit {
        if let (Exit::Failed(_), Some(committing)) = (&exit, self.committing.take()) {
            let _ = committing.await;
        }
        exit
    }

    fn now(&self) -> Time {
        (self.context.clock)()
    }

    fn settings(&self) -> &Arc<Settings> {
        &self.integration.settings
    }

    /// Hands events to the lane, reading more as they are needed.
    fn take_events(&mut self) {
        if self.held.is_some() {
            return;
        }
        for _ in 0..READS_IN_A_ROW {
            self.take_buffered();
            if !self.reads_on() || !self.read_on() {
                return;
            }
        }
        self.read_again = Some(Instant::now());
    }

    fn take_buffered(&mut self) {
        let now = self.now();
        while !self.buffer.is_empty() && (self.lane.room(now) > 0 || self.expires_next()) {
            if let Some(event) = self.buffer.pop_front() {
                self.take(event);
            }
        }
    }

    fn reads_on(&self) -> bool {
        let wanted = self.lane.room(self.now()) > 0 || self.expire_to.is_some();
        let due = self.read_again.is_none_or(|t| t <= Instant::now());
        wanted && due && self.buffer.len() < READ_BELOW && !self.at_head && self.reading.is_none()
    }

    fn expires_next(&self) -> bool {
        let next = self.buffer.front().map_or(Seq::MAX, |e| e.seq);
        self.expire_to.as_ref().is_some_and(|(to, _)| next <= *to)
    }

    fn take(&mut self, event: Arc<Event>) {
        let expires = self.expire_to.as_ref().is_some_and(|(to, _)| event.seq <= *to);
        match wants(&self.integration.settings, &event) {
            Err(_) => self.lane.skip(event.seq),
            Ok(()) if expires => self.lane.expire(event.seq, event),
            Ok(()) => self.lane.offer(event.seq, event.content.key(), event.accepted_at, event),
        }
    }

    /// Reads what follows; whether events came at once.
    fn read_on(&mut self) -> bool {
        self.read_again = None;
        let last = self.buffer.back().map_or(self.lane.progress().read_to(), |e| e.seq);
        if self.buffer.is_empty() && self.routes.at_head(self.integration.no, &self.handle, last) {
            self.at_head = true;
            return false;
        }
        if last >= self.routes.routed() {
            return false;
        }
        let (log, company) = (self.context.stores.log.clone(), self.integration.company);
        let mut reading: Reading = async move { log.read(company, last, READ).await }.boxed();
        // What is in memory comes at once, without a trip through the scheduler.
        match (&mut reading).now_or_never() {
            Some(read) => self.read(read),
            None => {
                self.reading = Some(reading);
                false
            }
        }
    }

    fn read(&mut self, read: tillstream_store::Result<Vec<Arc<Event>>>) -> bool {
        match read {
            Ok(events) => {
                let came = !events.is_empty();
                self.buffer.extend(events);
                came
            }
            Err(e) => {
                tracing::warn!(integration = %self.settings().id, error = %e, "the log could not be read");
                self.read_again = Some(Instant::now() + READ_AGAIN);
                false
            }
        }
    }

    fn answered_lately(&self) -> bool {
        self.answered_at.is_some_and(|t| t.elapsed() < ANSWERED_LATELY)
    }

    /// Starts as many attempts as the lane and the budgets allow.
    fn send(&mut self) {
        let (now, answered) = (self.now(), self.answered_lately());
        while self.slot_wait.is_none() {
            if self.slot.is_none() {
                self.slot = self.launcher.share.try_slot(answered);
            }
            let Some(slot) = self.slot.take() else {
                let share = self.launcher.share.clone();
                self.slot_wait = Some(async move { share.slot(answered).await }.boxed());
                return;
            };
            match self.lane.next(now) {
                Some(sending) => {
                    let launcher = self.launcher_of(sending.replay);
                    self.flying.spawn(fly(launcher, sending, slot, answered));
                }
                None => return,
            }
        }
    }

    /// What attempts need; those of a replay name it.
    fn launcher_of(&mut self, replay: bool) -> Arc<Launcher> {
        let id = self.replaying.as_ref().filter(|_| replay).map(|r| r.id.clone());
        if replay && self.launcher.replay != id {
            self.launcher = Arc::new(Launcher { replay: id, ..(*self.launcher).clone() });
        }
        self.launcher.clone()
    }

    fn landed(&mut self, flight: Flight) {
        match flight {
            Flight::Made(made) => self.made(*made),
            Flight::Unread(seq, error) => {
                tracing::warn!(integration = %self.settings().id, seq, error, "a parked event could not be read");
                self.lane.put_back(seq, None);
            }
            Flight::Lost(seq) => {
                tracing::error!(integration = %self.settings().id, seq, "a parked event is not in the log any more");
                self.lane.lost(seq);
            }
            Flight::Deleted(seq) => self.lane.lost(seq),
        }
    }

    fn made(&mut self, made: Made) {
        self.context.meters.attempt_seconds.record(f64::from(made.row.elapsed_ms) / 1_000.0);
        if made.ended.status.is_some() {
            self.answered_at = Some(Instant::now());
        }
        let (seq, now) = (made.event.seq, self.now());
        self.rows.push(made.row);
        match made.replay {
            false => self.lane.answered(seq, made.event, made.ended, now, rand::random()),
            true => self.lane.answered_replay(seq, made.event, made.ended, now, rand::random()),
        }
    }

    fn start_commit(&mut self) {
        self.lane.look(self.now());
        if !self.lane.has_outcomes() && self.rows.is_empty() {
            self.outcomes_since = None;
            return;
        }
        let since = *self.outcomes_since.get_or_insert_with(Instant::now);
        let due = since.elapsed() >= COMMIT_AFTER
            || self.lane.outcomes() >= COMMIT_OUTCOMES
            || self.lane.waits_for_commit()
            || self.expire_to.is_some();
        if due && self.committing.is_none() {
            self.committing = Some(self.commit_now());
        }
    }

    fn commit_now(&mut self) -> Committing {
        self.outcomes_since = None;
        let now = self.now();
        let mut outcomes = self.lane.take_outcomes(now);
        let released = outcomes.take_released();
        let replay = self.replay_commit(outcomes.replay.take());
        self.saved_cursor = outcomes.cursor;
        let context = self.context.clone();
        let place = Place { company: self.integration.company, no: self.integration.no, epoch: self.lease.epoch() };
        let rows = std::mem::take(&mut self.rows);
        async move { (released, commit(&context, place, (outcomes, replay), rows, now).await) }.boxed()
    }

    fn finish_expiry(&mut self) {
        let done = |(to, _): &(Seq, _)| self.lane.progress().cursor() >= *to || self.at_head;
        let committed = self.committing.is_none() && !self.lane.has_outcomes();
        if committed && self.expire_to.as_ref().is_some_and(done) {
            // Whoever asked may have gone.
            let _ = self.expire_to.take().map(|(_, ack)| ack.send(()));
        }
    }

    /// How far the lane has come as far as others may know: what is not durable yet does not count.
    fn committed_cursor(&self) -> Seq {
        let all = self.committing.is_none() && !self.lane.has_outcomes();
        if all { self.lane.progress().cursor() } else { self.durable_cursor }
    }

    /// When the oldest event was accepted. Looked up once a second: it goes over everything that the lane has taken.
    fn oldest(&mut self) -> Option<Time> {
        if self.oldest_at.is_none_or(|at| at.elapsed() >= LOOK_FOR_OLDEST) {
            self.oldest_at = Some(Instant::now());
            self.oldest = self.lane.oldest().or(self.buffer.front().map(|e| e.accepted_at));
        }
        self.oldest.filter(|_| !self.lane.is_idle())
    }

    fn say(&mut self) {
        let (now, oldest) = (self.now(), self.oldest());
        self.handle.say(LaneStatus {
            cursor: self.committed_cursor(),
            in_flight: self.lane.in_flight(),
            window: self.lane.window(now),
            parked: self.lane.parked(),
            held: self.lane.held(),
            health: self.lane.mode().into(),
            paused_until: self.lane.paused_until(),
            next_retry: self.lane.next_due(),
            oldest,
        });
    }

    fn may_sleep(&mut self) -> bool {
        let idle = self.at_head
            && self.lane.is_idle()
            && self.rows.is_empty()
            && self.committing.is_none()
            && self.buffer.is_empty()
            && self.held.is_none();
        if !idle {
            self.idle_since = None;
            return false;
        }
        self.idle_since.get_or_insert_with(Instant::now).elapsed() >= LINGER
    }

    fn fall_asleep(&mut self) -> bool {
        let asleep = self.inbox.is_empty()
            && self.routes.fall_asleep(self.integration.no, &self.handle, self.saved_cursor, self.lane.memory());
        if !asleep {
            self.idle_since = None;
        }
        asleep
    }

    async fn wait(&mut self) -> Turn {
        let deadline = self.deadline();
        tokio::select! {
            Some(landed) = self.flying.join_next(), if !self.flying.is_empty() => self.all_landed(landed),
            // What is under way is broken off: another node may send it again.
            () = self.lease.over(), if self.lease.ends() => return Turn::Over(Exit::Lost),
            (released, result) = some(&mut self.committing) => return self.committed(released, result),
            chunk = Self::next_chunk(&mut self.replaying) => self.take_chunk(chunk),
            read = some(&mut self.reading) => {
                self.reading = None;
                self.read(read);
            }
            slot = some(&mut self.slot_wait) => {
                self.slot_wait = None;
                self.slot = slot;
            }
            () = self.handle.rung() => self.woken(),
            command = self.inbox.recv() => return self.obey(command).await,
            _ = some(&mut self.held) => self.held = None,
            () = until(deadline) => {}
        }
        Turn::On
    }

    fn all_landed(&mut self, first: Result<Flight, tokio::task::JoinError>) {
        let mut next = Some(first);
        while let Some(landed) = next {
            match landed {
                Ok(flight) => self.landed(flight),
                Err(e) => tracing::error!(integration = %self.settings().id, error = %e, "an attempt broke off"),
            }
            next = self.flying.try_join_next();
        }
    }

    fn woken(&mut self) {
        if let Some(wanted) = self.routes.take_wanted(self.integration.no, &self.handle) {
            self.lane.skip_to(wanted - 1);
            self.at_head = false;
        }
    }

    fn committed(&mut self, released: Released, result: tillstream_store::Result<()>) -> Turn {
        self.committing = None;
        if let Err(e) = result {
            return Turn::Over(Exit::Failed(format!("outcomes could not be saved: {e}")));
        }
        self.lane.committed(released);
        self.durable_cursor = self.saved_cursor;
        self.replay_committed();
        if self.lane.is_stopped() && self.flying.is_empty() && !self.lane.has_outcomes() {
            return Turn::Over(Exit::Stopped);
        }
        Turn::On
    }

    /// When to go on although nothing happens.
    fn deadline(&mut self) -> Option<Instant> {
        let now = self.now();
        let commit = self.outcomes_since.filter(|_| self.committing.is_none()).map(|t| t + COMMIT_AFTER);
        let lane = self.lane.wake_at(now).filter(|_| self.slot_wait.is_none()).map(|at| Instant::now() + at.since(now));
        let sleep = self.idle_since.map(|t| t + LINGER);
        [commit, lane, sleep, self.read_again, self.replay_deadline()].into_iter().flatten().min()
    }

    async fn obey(&mut self, command: Option<Command>) -> Turn {
        match command {
            None => return Turn::Over(Exit::Failed("the lane lost its inbox".into())),
            Some(Command::Reload(done)) => {
                // What is being committed is what others have seen, or will by the time the rest is read.
                if let Some(committing) = self.committing.take() {
                    let (released, result) = committing.await;
                    if let Turn::Over(exit) = self.committed(released, result) {
                        return Turn::Over(exit);
                    }
                }
                if let Err(e) = self.reload().await {
                    return Turn::Over(Exit::Failed(e.to_string()));
                }
                let _ = done.send(());
            }
            Some(Command::Hold(taken, until)) => {
                if let Some(passed) = self.routes.leave_head(self.integration.no, &self.handle) {
                    self.lane.skip_to(passed);
                    self.at_head = false;
                }
                if taken.send(self.lane.progress().read_to()).is_ok() {
                    self.held = Some(until);
                }
            }
            Some(Command::Expire(to, done)) => {
                self.lane.expire_through(to);
                self.expire_to = Some((to, done));
            }
            Some(Command::ReleaseBrake(done)) => {
                self.lane.release_brake(self.now());
                let _ = done.send(());
            }
            Some(Command::End { at_once, done }) => {
                self.end(at_once).await;
                drop(done);
                return Turn::Over(Exit::Ended);
            }
        }
        Turn::On
    }

    /// Takes up saved settings and rows that others parked.
    async fn reload(&mut self) -> tillstream_store::Result<()> {
        let id = self.settings().id.clone();
        let Some(fresh) = self.context.stores.state.integration(self.integration.company, &id).await? else {
            return Ok(());
        };
        if fresh.no != self.integration.no {
            return Ok(());
        }
        let (old, new) = (&self.settings().delivery, &fresh.settings.delivery);
        let reordered = old.ordering != new.ordering;
        self.lane.set_rules(new.clone(), self.now());
        let target = self.context.target(&fresh).await?;
        self.launcher = Arc::new(Launcher { target, ..(*self.launcher).clone() });
        self.integration = fresh;
        if reordered {
            tracing::info!(integration = %id, "the changed order takes effect with the next start of the lane");
        }
        let saved = self.context.stores.state.lane(self.integration.no).await?;
        self.lane.take_up_parked(saved.parked.into_iter().map(waiting).collect());
        self.take_up_replay(saved.replay);
        Ok(())
    }

    /// Ends in good order: what is under way gets some time, everything known is committed.
    async fn end(&mut self, at_once: bool) {
        self.lane.stop();
        let patience = if at_once { Duration::ZERO } else { END_PATIENCE };
        let give_up = Instant::now() + patience;
        while let Ok(Some(landed)) = tokio::time::timeout_at(give_up, self.flying.join_next()).await {
            self.all_landed(landed);
        }
        self.flying.shutdown().await;
        if let Err(e) = self.commit_the_rest().await {
            tracing::warn!(integration = %self.settings().id, error = %e, "the last outcomes could not be saved; those events are sent again");
        }
    }

    /// Commits what is known. Nothing after a commit that failed: the cursor would pass what it was to save.
    async fn commit_the_rest(&mut self) -> tillstream_store::Result<()> {
        if let Some(committing) = self.committing.take() {
            let (released, result) = committing.await;
            result?;
            self.lane.committed(released);
        }
        if self.lane.has_outcomes() || !self.rows.is_empty() || self.lane.progress().cursor() > self.saved_cursor {
            self.commit_now().await.1?;
        }
        Ok(())
    }
}

/// Waits for an optional future; for ever when there is none.
async fn some<F: Future + Unpin>(future: &mut Option<F>) -> F::Output {
    match future {
        Some(f) => f.await,
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What the log dropped while the integration was stopped is skipped and said.
async fn skip_gap(
    context: &Context,
    integration: &Integration,
    epoch: u64,
    lane: &mut Lane<Arc<Event>>,
    floor: Seq,
    now: Time,
) -> tillstream_store::Result<()> {
    let from = lane.progress().read_to();
    if from >= floor {
        return Ok(());
    }
    lane.skip_to(floor);
    let reason = format!("{} events after position {from} had passed their retention", floor - from);
    let commit = LaneCommit {
        epoch,
        cursor: lane.progress().cursor(),
        settled: lane.progress().settled().clone(),
        log: vec![log_entry("gap_skipped", reason, now)],
        ..LaneCommit::default()
    };
    context.stores.state.commit(integration.no, commit).await?;
    tracing::info!(integration = %integration.settings.id, actor = commit::SYSTEM, "skipped a gap");
    Ok(())
}
