//! What is not to be sent: it was given up already and keeps its entity back, or the log drops it.

use super::{Queues, Waiting};
use crate::event::EntityKey;
use crate::{Seq, Time};

impl<T> Queues<T> {
    /// How many were given up and keep their entity back.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// When the first of them lets its entity go.
    pub fn next_let_go(&self) -> Option<Time> {
        self.held.first().map(|(at, _)| *at)
    }

    /// Lets entities go: takes out those given up whose row is durable and of which `let_go` says so.
    pub fn take_held(&mut self, let_go: impl Fn(Time, Seq) -> bool) -> Vec<Waiting> {
        let chosen = self.held.iter().filter(|(at, seq)| !self.leaving.contains_key(seq) && let_go(*at, *seq));
        let chosen: Vec<(Time, Seq)> = chosen.copied().collect();
        let mut taken = Vec::with_capacity(chosen.len());
        for entry in chosen {
            self.held.remove(&entry);
            let Some(waiting) = self.parked.remove(&entry.1) else { continue };
            self.leaving.insert(waiting.seq, self.line_key(waiting.key));
            taken.push(waiting);
        }
        taken
    }

    /// Whether the row is that of one which keeps its entity back so far and is to be sent again; then it does no more.
    pub(super) fn is_tried_again(&mut self, waiting: &Waiting) -> bool {
        let known = self.parked.get(&waiting.seq).filter(|known| known.held && !waiting.held);
        let Some(entry) = known.map(|known| (known.next_at, known.seq)) else { return false };
        !self.leaving.contains_key(&waiting.seq) && self.held.remove(&entry)
    }

    /// Takes out everything parked up to a position that is not being sent; not what was given up already.
    pub fn take_parked_through(&mut self, seq: Seq) -> Vec<Waiting> {
        let parked = self.parked.range(..=seq).filter(|(s, w)| !w.held && !self.leaving.contains_key(s));
        let seqs: Vec<Seq> = parked.map(|(&s, _)| s).collect();
        let taken: Vec<Waiting> = seqs.iter().filter_map(|s| self.parked.remove(s)).collect();
        for w in &taken {
            self.due.remove(&(w.next_at, w.seq));
            let key = self.line_key(w.key);
            self.leaving.insert(w.seq, key);
            if let Some(line) = key.and_then(|key| self.lines.get_mut(&key)) {
                line.due = line.due.filter(|(_, s)| *s != w.seq);
            }
        }
        taken
    }

    /// Takes out everything read from the log up to a position that is not being sent.
    pub fn take_live_through(&mut self, seq: Seq) -> Vec<(Seq, T)> {
        let mut seqs: Vec<Seq> = self.live.keys().copied().filter(|&s| s <= seq).collect();
        seqs.sort_unstable();
        self.ready.retain(|&s| s > seq);
        let mut taken = Vec::with_capacity(seqs.len());
        for s in seqs {
            let Some(live) = self.live.remove(&s) else { continue };
            self.leave_line(s, self.line_key(live.key));
            taken.push((s, live.payload));
        }
        taken
    }

    fn leave_line(&mut self, seq: Seq, key: Option<EntityKey>) {
        self.leaving.insert(seq, key);
        if let Some(line) = key.and_then(|key| self.lines.get_mut(&key)) {
            let before = line.blocked.len();
            line.blocked.retain(|&s| s != seq);
            self.blocked -= before - line.blocked.len();
        }
    }
}
