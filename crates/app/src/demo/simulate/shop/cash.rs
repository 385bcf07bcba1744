//! Drawers and the way of their cash to the bank.

use super::super::agenda::later;
use super::super::documents::{Deposit, DepositStatus, Drawer, Moment, Movement};
use super::super::event::{Correlation, Event};
use super::super::money::Cents;
use super::{About, Bag, Plans, Shop, Task};
use jiff::Timestamp;
use jiff::civil::Date;

/// What lies in a drawer at the start.
const FLOAT: Cents = Cents(20_000);

/// More than this is not kept in a drawer.
const PULL_ABOVE: Cents = Cents(40_000);

/// How many in a thousand deposits turn out to be counted wrong.
const RECOUNTS_PER_MILLE: u32 = 100;

impl Shop {
    /// Every drawer's session begins.
    pub fn open_drawers(&mut self, at: Timestamp, plans: &mut Plans) {
        for till in 0..self.tills.len() {
            let terminal = &self.site.terminals[till];
            if !terminal.kind.has_drawer() {
                continue;
            }
            let id = self.dice.object_id(at);
            let date = self.tills[till].business_date;
            let owner = (terminal.id.as_str(), terminal.number);
            self.tills[till].drawer = Some(Drawer::new(id, &self.site.id, owner, date, at));
            let opened = later(at, self.dice.seconds(5, 60));
            plans.add(opened, Task::Move(till, Movement::Open(FLOAT)));
            plans.add(later(opened, self.dice.seconds(5, 60)), Task::Move(till, Movement::Assign));
            plans.add(later(opened, self.dice.seconds(600, 2_400)), Task::Surprise(till));
        }
    }

    /// Every drawer's session is brought to its end.
    pub fn close_drawers(&mut self, at: Timestamp, plans: &mut Plans) {
        for till in 0..self.tills.len() {
            if self.tills[till].drawer.is_none() {
                continue;
            }
            let tips = Cents(i64::from(self.dice.between(500, 4_000)));
            let differs = self.dice.chance(300);
            let difference = if differs { Cents(i64::from(self.dice.below(401)) - 200) } else { Cents::ZERO };
            let mut moment = at;
            for movement in [Movement::TipOut(tips), Movement::Count(difference), Movement::Close] {
                moment = later(moment, self.dice.seconds(60, 240));
                plans.add(moment, Task::Move(till, movement));
            }
        }
    }

    /// One movement; nothing when the drawer is gone or already as the movement would leave it.
    pub fn move_drawer(&mut self, till: usize, movement: Movement, at: Timestamp, plans: &mut Plans) -> Option<Event> {
        let mut drawer = self.tills[till].drawer.take()?;
        if movement == Movement::Resume && !drawer.is_suspended() {
            self.tills[till].drawer = Some(drawer);
            return None;
        }
        let employee = self.mover(till, movement, at);
        drawer.record(self.dice.object_id(at), movement, &employee, at);
        let event = self.drawer_event(till, &drawer, movement, at);
        if movement == Movement::Close {
            self.bag(&drawer, at, plans);
        } else {
            self.tills[till].drawer = Some(drawer);
        }
        Some(event)
    }

    /// Something that is not part of every day, then the next such thing; ends with the session.
    pub fn surprise(&mut self, till: usize, at: Timestamp, plans: &mut Plans) -> Option<Event> {
        let drawer = self.tills[till].drawer.as_ref()?;
        let (open, full) = (drawer.is_open(), drawer.expected() > PULL_ABOVE);
        plans.add(later(at, self.dice.seconds(1_200, 4_200)), Task::Surprise(till));
        if !open {
            return None;
        }
        let movement = if full { Movement::CashPull(FLOAT) } else { self.odd_movement() };
        if movement == Movement::Suspend {
            plans.add(later(at, self.dice.seconds(300, 900)), Task::Move(till, Movement::Resume));
        }
        self.move_drawer(till, movement, at, plans)
    }

    /// The deposit is saved: opened, then finalized, or deleted and counted again.
    pub fn bank(&mut self, mut deposit: Box<Deposit>, at: Timestamp, plans: &mut Plans) -> Event {
        deposit.last_modified = Moment(at);
        let about = About {
            name: "deposit.saved",
            till: None,
            business_date: deposit.business_date,
            entity_id: Some(deposit.id.to_string()),
            correlation: Correlation::default(),
        };
        let event = self.event(at, about, &*deposit);
        if let Some(next) = self.next_deposit(deposit, at) {
            plans.add(later(at, self.dice.seconds(900, 2_100)), Task::Bank(next));
        }
        event
    }

    fn next_deposit(&mut self, mut deposit: Box<Deposit>, at: Timestamp) -> Option<Box<Deposit>> {
        let next = match deposit.status {
            DepositStatus::Finalized => return None,
            DepositStatus::Deleted => DepositStatus::Open,
            DepositStatus::Open if self.dice.chance(RECOUNTS_PER_MILLE) => DepositStatus::Deleted,
            DepositStatus::Open => DepositStatus::Finalized,
        };
        if next == DepositStatus::Open {
            deposit.id = self.dice.object_id(at);
            deposit.created = Moment(at);
        }
        deposit.status = next;
        Some(deposit)
    }

    /// The cash of a closed drawer; the last one makes the deposit.
    fn bag(&mut self, drawer: &Drawer, at: Timestamp, plans: &mut Plans) {
        self.bag.amount += drawer.to_deposit();
        self.bag.drawers += 1;
        if self.tills.iter().any(|till| till.drawer.is_some()) {
            return;
        }
        let bag = std::mem::take(&mut self.bag);
        if bag.amount > Cents::ZERO {
            let due = later(at, self.dice.seconds(300, 1_200));
            let deposit = self.deposit(bag, drawer.business_date, due);
            plans.add(due, Task::Bank(Box::new(deposit)));
        }
    }

    fn deposit(&mut self, bag: Bag, business_date: Date, at: Timestamp) -> Deposit {
        Deposit {
            id: self.dice.object_id(at),
            site_id: self.site.id.clone(),
            business_date,
            status: DepositStatus::Open,
            amount: bag.amount,
            currency: "USD",
            bag_number: format!("B{:07}", self.dice.below(10_000_000)),
            drawers: bag.drawers,
            created: Moment(at),
            last_modified: Moment(at),
        }
    }

    fn drawer_event(&mut self, till: usize, drawer: &Drawer, movement: Movement, at: Timestamp) -> Event {
        let order_id = movement.order().map(|order| order.to_string());
        let about = About {
            name: "drawer.moved",
            till: Some(till),
            business_date: drawer.business_date,
            entity_id: Some(drawer.id.to_string()),
            correlation: Correlation { order_id, customer_id: None },
        };
        self.event(at, about, drawer)
    }

    fn odd_movement(&mut self) -> Movement {
        let amount = Cents(i64::from(self.dice.between(4, 60)) * 100);
        match self.dice.below(6) {
            0 => Movement::PaidIn(amount),
            1 => Movement::PaidOut(amount),
            2 => Movement::Suspend,
            3 => Movement::AddParticipant,
            _ => Movement::NoSale,
        }
    }

    fn mover(&mut self, till: usize, movement: Movement, at: Timestamp) -> String {
        if movement == Movement::AddParticipant {
            return self.dice.pick(&self.staff).id.clone();
        }
        self.clerk(till, at).id.clone()
    }
}
