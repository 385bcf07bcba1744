//! The inbox target: events go nowhere; the last ones can be looked at.

pub(super) mod send;
