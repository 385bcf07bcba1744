//! What the points of sale write: the documents under `data`. Every document is the struct that serialises to it.

mod deposit;
mod drawer;
mod life;
mod line;
mod menu;
mod order;
mod payment;
mod people;
mod punch;

pub use deposit::{Deposit, DepositStatus};
pub use drawer::{Drawer, Movement};
pub use life::{CashMove, Desk, Order};
pub use order::{OrderDocument, Origin};
pub use people::{Customer, Employee, staff};
pub use punch::{Punch, Shift};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Serialize, Serializer};

/// A moment in the spelling of the documents: UTC, always three decimals of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}

/// The document of `terminal.business_date`.
#[derive(Serialize)]
pub struct BusinessDate {
    /// The date that the terminal now works on.
    pub business_date: Date,
}
