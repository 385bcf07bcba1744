//! The data stream: what happens at a company's points of sale, pushed to its endpoints (`contracts/data-stream.md`).
//!
//! An event belongs to one of seven [`streams`]; an integration's [`settings`] say which of them it wants; the [`gate`]
//! decides; orders may carry their gross and net [`sales`]; the [`body`] is what goes out.

pub mod body;
mod exact;
pub mod gate;
pub mod literals;
mod money;
pub mod sales;
pub mod settings;
pub mod streams;

pub use gate::{Closed, Gates};
pub use sales::{Figures, Money, NoFigures, Rounding, Sales};
pub use settings::Streams;
pub use streams::Stream;
