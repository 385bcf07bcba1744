//! How orders are paid.

use super::super::dice::Dice;
use super::super::ids::ObjectId;
use super::super::money::{Cents, Rate};
use jiff::Timestamp;
use serde::Serialize;

/// The payments of an order.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PaymentInfo {
    pub payments: Vec<Payment>,
    /// Fingerprint of the terminal's signature strip; only with a card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_code: Option<String>,
}

/// One payment; negative when it goes back to the guest.
#[derive(Clone, Debug, Serialize)]
pub struct Payment {
    #[serde(rename = "_id")]
    id: ObjectId,
    #[serde(rename = "type")]
    pub kind: PaymentKind,
    pub status: PaymentStatus,
    /// Without the tip.
    pub amount: Cents,
    pub tip: Cents,
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<Card>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    notes: Option<Notes>,
}

/// What a guest pays with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentKind {
    Card,
    Cash,
    GiftCard,
}

/// Whether the money counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    Approved,
    Refunded,
    Voided,
}

/// What may be kept of a card: never its number.
#[derive(Clone, Debug, Serialize)]
struct Card {
    brand: &'static str,
    masked_number: String,
    entry_mode: &'static str,
    authorization_code: String,
}

/// Cash over the counter.
#[derive(Clone, Debug, Serialize)]
struct Notes {
    tendered: Cents,
    change: Cents,
}

const BRANDS: [&str; 4] = ["visa", "mastercard", "amex", "discover"];
const ENTRY_MODES: [&str; 3] = ["contactless", "chip", "online"];

/// Guests pay with full multiples of this.
const NOTE: Cents = Cents(500);

impl PaymentInfo {
    /// Pays `total`, in one or two parts, a part of them in cash where cash is taken. A negative total is paid
    /// back in one part.
    pub fn settle(dice: &mut Dice, at: Timestamp, total: Cents, takes_cash: bool) -> PaymentInfo {
        let split = total > Cents(2_000) && dice.chance(80);
        let first = if split { total.share(Rate(5_000)) } else { total };
        let mut payments = vec![Payment::new(dice, at, first, takes_cash)];
        if split {
            payments.push(Payment::new(dice, at, total - first, takes_cash));
        }
        let by_card = payments.iter().any(|payment| payment.kind == PaymentKind::Card);
        let hash_code = by_card.then(|| format!("{:016x}", dice.word()));
        PaymentInfo { payments, hash_code }
    }

    /// What was paid and not voided, without tips.
    pub fn paid(&self) -> Cents {
        self.valid().map(|payment| payment.amount).sum()
    }

    /// Tips of what was paid and not voided.
    pub fn tips(&self) -> Cents {
        self.valid().map(|payment| payment.tip).sum()
    }

    /// The part of [`PaymentInfo::paid`] that lies in the drawer.
    pub fn cash(&self) -> Cents {
        self.valid().filter(|payment| payment.kind == PaymentKind::Cash).map(|payment| payment.amount).sum()
    }

    /// Takes every payment back.
    pub fn void(&mut self) {
        for payment in &mut self.payments {
            payment.status = PaymentStatus::Voided;
        }
    }

    fn valid(&self) -> impl Iterator<Item = &Payment> {
        self.payments.iter().filter(|payment| payment.status != PaymentStatus::Voided)
    }
}

impl Payment {
    fn new(dice: &mut Dice, at: Timestamp, amount: Cents, takes_cash: bool) -> Payment {
        let kind = choose(dice, takes_cash);
        let back = amount < Cents::ZERO;
        let tips = kind == PaymentKind::Card && !back && dice.chance(350);
        Payment {
            id: dice.object_id(at),
            kind,
            status: if back { PaymentStatus::Refunded } else { PaymentStatus::Approved },
            amount,
            tip: if tips { amount.share(Rate(1_500)) } else { Cents::ZERO },
            card: (kind == PaymentKind::Card).then(|| Card::swiped(dice)),
            notes: (kind == PaymentKind::Cash && !back).then(|| Notes::given(amount)),
        }
    }
}

impl Card {
    fn swiped(dice: &mut Dice) -> Card {
        let (&brand, &entry_mode) = (dice.pick(&BRANDS), dice.pick(&ENTRY_MODES));
        Card {
            brand,
            masked_number: format!("************{:04}", dice.below(10_000)),
            entry_mode,
            authorization_code: format!("{:06}", dice.below(1_000_000)),
        }
    }
}

impl Notes {
    fn given(amount: Cents) -> Notes {
        let tendered = amount.rounded_up_to(NOTE);
        Notes { tendered, change: tendered - amount }
    }
}

fn choose(dice: &mut Dice, takes_cash: bool) -> PaymentKind {
    match dice.below(100) {
        0..30 if takes_cash => PaymentKind::Cash,
        95.. => PaymentKind::GiftCard,
        _ => PaymentKind::Card,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(total: Cents, takes_cash: bool) -> Vec<PaymentInfo> {
        let mut dice = Dice::new(5, 0);
        (0..400).map(|_| PaymentInfo::settle(&mut dice, Timestamp::UNIX_EPOCH, total, takes_cash)).collect()
    }

    #[test]
    fn parts_add_up_to_what_was_due() {
        let settled = settled(Cents(2_501), true);
        assert!(settled.iter().all(|info| info.paid() == Cents(2_501)));
        assert!(settled.iter().any(|info| info.payments.len() == 2));
    }

    #[test]
    fn without_an_open_drawer_nobody_pays_cash() {
        assert!(settled(Cents(900), false).iter().all(|info| info.cash() == Cents::ZERO));
        assert!(settled(Cents(900), true).iter().any(|info| info.cash() == Cents(900)));
    }

    #[test]
    fn money_that_goes_back_is_refunded_without_tip() {
        for info in settled(Cents(-2_501), true) {
            assert_eq!((info.paid(), info.tips()), (Cents(-2_501), Cents::ZERO));
            assert_eq!(info.payments[0].status, PaymentStatus::Refunded);
        }
    }

    #[test]
    fn voided_payments_count_for_nothing() {
        for mut info in settled(Cents(900), true) {
            info.void();
            assert_eq!((info.paid(), info.tips(), info.cash()), (Cents::ZERO, Cents::ZERO, Cents::ZERO));
        }
    }
}
