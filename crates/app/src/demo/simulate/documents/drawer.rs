//! Cash drawers: one session a day, saved with every movement.

use super::super::ids::ObjectId;
use super::super::money::Cents;
use super::Moment;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

/// A drawer's session: the summary, and in `events` the one movement that caused the message (data stream
/// contract, "Envelope and entities").
///
/// `expectedAmount` is always starting amount + cash sales + paid in − cash refunds − paid out − pulls − tips.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drawer {
    /// Identity of the session.
    #[serde(rename = "_id")]
    pub id: ObjectId,
    pub site_id: String,
    pub terminal_id: String,
    pub drawer_number: u32,
    pub business_date: Date,
    status: Status,
    starting_amount: Cents,
    cash_sales: Cents,
    cash_refunds: Cents,
    paid_in: Cents,
    paid_out: Cents,
    cash_pulls: Cents,
    tips_out: Cents,
    expected_amount: Cents,
    #[serde(skip_serializing_if = "Option::is_none")]
    counted_amount: Option<Cents>,
    #[serde(skip_serializing_if = "Option::is_none")]
    over_short: Option<Cents>,
    participants: Vec<String>,
    last_modified: Moment,
    events: Vec<MovementRecord>,
}

/// What happens to a drawer, with positive amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// The session begins with the float.
    Open(Cents),
    /// Somebody becomes responsible.
    Assign,
    /// Somebody else may use it too.
    AddParticipant,
    /// Locked for a while.
    Suspend,
    /// Unlocked again.
    Resume,
    /// Cash of an order.
    Sale(Cents, ObjectId),
    /// Cash back for an order.
    Refund(Cents, ObjectId),
    /// Change brought.
    PaidIn(Cents),
    /// A supplier paid.
    PaidOut(Cents),
    /// Too much cash taken to the safe.
    CashPull(Cents),
    /// Tips handed to the staff.
    TipOut(Cents),
    /// Opened without reason.
    NoSale,
    /// Counted: what the count differs from what is expected.
    Count(Cents),
    /// The session ends.
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    New,
    Open,
    Suspended,
    /// No cash moves after the count, so that it stays true.
    Counted,
    Closed,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MovementRecord {
    #[serde(rename = "_id")]
    id: ObjectId,
    #[serde(rename = "type")]
    kind: &'static str,
    amount: Cents,
    at: Moment,
    employee_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<ObjectId>,
}

impl Drawer {
    /// A session that has not begun.
    pub fn new(id: ObjectId, site: &str, terminal: (&str, u32), date: Date, at: Timestamp) -> Drawer {
        Drawer {
            id,
            site_id: site.to_owned(),
            terminal_id: terminal.0.to_owned(),
            drawer_number: terminal.1,
            business_date: date,
            status: Status::New,
            starting_amount: Cents::ZERO,
            cash_sales: Cents::ZERO,
            cash_refunds: Cents::ZERO,
            paid_in: Cents::ZERO,
            paid_out: Cents::ZERO,
            cash_pulls: Cents::ZERO,
            tips_out: Cents::ZERO,
            expected_amount: Cents::ZERO,
            counted_amount: None,
            over_short: None,
            participants: Vec::new(),
            last_modified: Moment(at),
            events: Vec::new(),
        }
    }

    /// Whether cash can go in and out.
    pub fn is_open(&self) -> bool {
        self.status == Status::Open
    }

    /// Whether it is locked for a while.
    pub fn is_suspended(&self) -> bool {
        self.status == Status::Suspended
    }

    /// What should lie in it.
    pub fn expected(&self) -> Cents {
        self.expected_amount
    }

    /// What the bank gets after the count: what was taken to the safe before, and all but the float.
    pub fn to_deposit(&self) -> Cents {
        self.counted_amount.unwrap_or(self.expected_amount) + self.cash_pulls - self.starting_amount
    }

    /// Moves it: the summary follows and `events` holds this movement alone.
    pub fn record(&mut self, id: ObjectId, movement: Movement, employee: &str, at: Timestamp) {
        self.book(movement);
        self.turn(movement, employee);
        self.last_modified = Moment(at);
        self.events = vec![MovementRecord {
            id,
            kind: movement.kind(),
            amount: movement.amount(),
            at: Moment(at),
            employee_id: employee.to_owned(),
            order_id: movement.order(),
        }];
    }

    fn book(&mut self, movement: Movement) {
        match movement {
            Movement::Open(amount) => self.starting_amount += amount,
            Movement::Sale(amount, _) => self.cash_sales += amount,
            Movement::Refund(amount, _) => self.cash_refunds += amount,
            Movement::PaidIn(amount) => self.paid_in += amount,
            Movement::PaidOut(amount) => self.paid_out += amount,
            Movement::CashPull(amount) => self.cash_pulls += amount,
            Movement::TipOut(amount) => self.tips_out += amount,
            _ => {}
        }
        let came = self.starting_amount + self.cash_sales + self.paid_in;
        self.expected_amount = came - self.cash_refunds - self.paid_out - self.cash_pulls - self.tips_out;
    }

    fn turn(&mut self, movement: Movement, employee: &str) {
        match movement {
            Movement::Open(_) | Movement::Resume => self.status = Status::Open,
            Movement::Suspend => self.status = Status::Suspended,
            Movement::Close => self.status = Status::Closed,
            Movement::Assign | Movement::AddParticipant => self.join(employee),
            Movement::Count(difference) => {
                self.status = Status::Counted;
                self.counted_amount = Some(self.expected_amount + difference);
                self.over_short = Some(difference);
            }
            _ => {}
        }
    }

    fn join(&mut self, employee: &str) {
        if !self.participants.iter().any(|known| known == employee) {
            self.participants.push(employee.to_owned());
        }
    }
}

impl Movement {
    /// The literal in `events[].type`.
    fn kind(self) -> &'static str {
        match self {
            Movement::Open(_) => "open",
            Movement::Assign => "assign",
            Movement::AddParticipant => "add_participant",
            Movement::Suspend => "suspend",
            Movement::Resume => "resume",
            Movement::Sale(..) => "sale",
            Movement::Refund(..) => "refund",
            Movement::PaidIn(_) => "paid_in",
            Movement::PaidOut(_) => "paid_out",
            Movement::CashPull(_) => "cash_pull",
            Movement::TipOut(_) => "tip_out",
            Movement::NoSale => "no_sale",
            Movement::Count(_) => "count",
            Movement::Close => "close",
        }
    }

    /// The order it belongs to.
    pub fn order(self) -> Option<ObjectId> {
        match self {
            Movement::Sale(_, order) | Movement::Refund(_, order) => Some(order),
            _ => None,
        }
    }

    fn amount(self) -> Cents {
        match self {
            Movement::Open(amount)
            | Movement::Sale(amount, _)
            | Movement::Refund(amount, _)
            | Movement::PaidIn(amount)
            | Movement::PaidOut(amount)
            | Movement::CashPull(amount)
            | Movement::TipOut(amount)
            | Movement::Count(amount) => amount,
            _ => Cents::ZERO,
        }
    }
}
