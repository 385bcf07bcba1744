//! Pages of lists.

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// At most as many as were asked for; may be fewer although more follow, when a filter looked at its fill.
    pub items: Vec<T>,
    /// Where the next page starts; None after the last one. Opaque to callers.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Of rows of which one more than `limit` was asked for; `place` says where the page after a row starts.
    pub(crate) fn of(mut rows: Vec<T>, limit: usize, place: impl Fn(&T) -> String) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(place);
        Self { items: rows, next }
    }

    /// Applies a function to each item.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), next: self.next }
    }
}
