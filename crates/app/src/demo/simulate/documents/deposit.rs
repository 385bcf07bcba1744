//! What a store brings to the bank.

use super::super::ids::ObjectId;
use super::super::money::Cents;
use super::Moment;
use jiff::civil::Date;
use serde::Serialize;

/// The cash of one business date on its way to the bank: open, then finalized or, counted wrong, deleted.
#[derive(Clone, Debug, Serialize)]
pub struct Deposit {
    /// Identity.
    #[serde(rename = "_id")]
    pub id: ObjectId,
    pub site_id: String,
    pub business_date: Date,
    pub status: DepositStatus,
    pub amount: Cents,
    pub currency: &'static str,
    pub bag_number: String,
    /// How many drawers' cash is in the bag.
    pub drawers: usize,
    pub created: Moment,
    pub last_modified: Moment,
}

/// How far a deposit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum DepositStatus {
    Open,
    Finalized,
    Deleted,
}
