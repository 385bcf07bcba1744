//! The feed target: a consumer asks for events, and its next question says what it has.
//!
//! A feed has no lane. Any node hands out events; what the consumer has is noted by the node that holds the
//! integration's bucket, under its lease like a lane's commit.

mod acknowledge;
mod expire;
mod pull;

pub use pull::{HANDED_BYTES, Handed};
