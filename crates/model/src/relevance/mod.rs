//! Which versions of a record an integration is sent (`contracts/data-stream.md`, "Relevance key").
//!
//! A [`Key`] reads a record's identity and version out of an event's `data`. A [`Memory`] knows of one record what was
//! accepted for sending and what arrived, and decides about each event of it.
//!
//! What the caller owes for the promise that no older version arrives after a newer one:
//!
//! - at most one attempt of a record is under way, and its outcome is committed together with the memory before the next
//!   one of that record begins. A lane has that for entities; it holds for records when the identity is the entity's;
//! - [`Memory::offer`] is asked when an event is taken and again before each attempt;
//! - after a [`Decision::Send`] that *overtakes*, the memory is committed before the attempt: an older version may wait
//!   in a row of its own, and after a crash nothing else would keep it back;
//! - what [`Memory::rejected`] gives back becomes a waiting row in the commit of the rejection.

mod key;
mod mark;
mod memory;
mod version;

#[cfg(test)]
mod tests;

pub use key::{DEFAULT_KEY, Key, MAX_KEY_BYTES, MAX_KEY_PATHS, MIN_KEY_PATHS, NotAKey};
pub use mark::{DataHash, Identity, Mark, Record};
pub use memory::{Decision, MAX_BEHIND, Memory, Next, Why};
pub use version::{MAX_VERSION_BYTES, Version};
