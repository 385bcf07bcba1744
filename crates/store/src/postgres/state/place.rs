//! Places in the list of attempts.

/// A place in the list: time, seq, number and integration. Newer ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) at: i64,
    pub(super) seq: i64,
    pub(super) number: i64,
    pub(super) integration: i64,
}

impl Place {
    /// Before everything at or after `at`.
    pub(super) const fn start_of(at: i64) -> Self {
        Self { at, seq: 0, number: 0, integration: 0 }
    }

    /// Reads [`Place::text`].
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|p| p.parse().ok());
        let mut next = || parts.next().flatten();
        let place = Self { at: next()?, seq: next()?, number: next()?, integration: next()? };
        parts.next().is_none().then_some(place)
    }

    /// As pages name it.
    pub(super) fn text(self) -> String {
        format!("{}.{}.{}.{}", self.at, self.seq, self.number, self.integration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_place_reads_back_as_written(at: i64, seq: i64, number: i64, integration: i64) {
            let place = Place { at, seq, number, integration };
            prop_assert_eq!(Place::parse(&place.text()), Some(place));
        }

        #[test]
        fn any_text_is_a_place_or_refused(text: String) {
            let _ = Place::parse(&text);
        }
    }
}
