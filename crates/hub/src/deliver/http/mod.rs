//! The HTTP target: one `POST` per event.

pub(super) mod request;
pub(super) mod send;
pub(super) mod token;
