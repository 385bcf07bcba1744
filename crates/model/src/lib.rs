//! What is true about Tillstream without I/O.
//!
//! Everything here is a plain function of its arguments: no clock, no network, no files, no randomness of its own.
//! Time, random numbers and ids come in as arguments, so every rule can be tested without a server.

pub mod business_date;
pub mod catalogue;
pub mod condition;
pub mod data_stream;
pub mod epochs;
pub mod event;
pub mod format;
pub mod id;
pub mod incoming;
pub mod integration;
pub mod json;
pub mod lane;
pub mod lookup;
pub mod mailbox;
pub mod operational;
pub mod path;
pub mod ranges;
pub mod relevance;
pub mod replay;
pub mod schedule;
pub mod selection;
pub mod time;
pub mod told;
pub mod trace;
pub mod verdict;
pub mod why;

pub use epochs::{Epochs, Position};
pub use event::{Content, Event};
pub use id::{CompanyNo, EventId, IntegrationNo, Seq};
pub use ranges::Ranges;
pub use time::Time;
pub use trace::Trace;
