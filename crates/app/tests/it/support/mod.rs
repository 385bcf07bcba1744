//! What the tests stand on: a real hub in a process of its own, a client, a receiver, and waiting without guessing.

pub mod api;
pub mod cli;
pub mod database;
pub mod events;
pub mod glimpse;
pub mod hub;
pub mod look;
pub mod people;
pub mod receiver;
pub mod signature;
pub mod stage;
pub mod stream;
pub mod values;
pub mod wait;

pub use api::{Answer, Api};
pub use cli::{Output, command, run};
pub use events::{event, order, slug};
pub use hub::{Hub, Setup};
pub use receiver::{Delivery, Receiver, Reply};
pub use stage::Stage;
pub use stream::Stream;
pub use wait::{SOON, eventually};
