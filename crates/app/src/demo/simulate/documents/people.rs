//! Guests and staff, all invented.

use super::super::dice::Dice;
use super::super::ids::ObjectId;
use serde::Serialize;

/// How many known guests the company has.
const CUSTOMERS: u32 = 500;

/// Marks the ids of guests.
const CUSTOMER_IDS: u32 = 0x00c0_5700;

/// People of one store; the first half works in the morning.
pub const STAFF: usize = 8;

const FIRST_NAMES: [&str; 16] = [
    "Avery", "Billie", "Casey", "Dana", "Eden", "Frankie", "Gray", "Harper", "Indra", "Jules", "Kai", "Lane", "Morgan",
    "Noor", "Oakley", "Parker",
];
const LAST_NAMES: [&str; 12] = [
    "Abara",
    "Brandt",
    "Castillo",
    "Dufour",
    "Eriksen",
    "Farah",
    "Greene",
    "Haddad",
    "Ito",
    "Jensen",
    "Kovacs",
    "Lindqvist",
];
const JOBS: [&str; 4] = ["cashier", "cook", "shift_lead", "runner"];

/// A known guest. Numbers and addresses are of the kinds reserved for fiction.
#[derive(Clone, Debug, Serialize)]
pub struct Customer {
    /// Stays the same from order to order and from run to run.
    #[serde(rename = "_id")]
    pub id: ObjectId,
    first_name: &'static str,
    last_name: &'static str,
    phone_cell: String,
    email: String,
}

impl Customer {
    /// One of the company's guests.
    pub fn any(dice: &mut Dice) -> Customer {
        let number = dice.below(CUSTOMERS);
        let (first_name, last_name) = (nth(&FIRST_NAMES, number), nth(&LAST_NAMES, number / 16));
        Customer {
            id: ObjectId::fixed(CUSTOMER_IDS, u64::from(number)),
            first_name,
            last_name,
            phone_cell: format!("+1202555{:04}", 100 + number % 100),
            email: format!("guest{number}@example.com"),
        }
    }
}

/// Somebody who works in a store.
#[derive(Clone, Debug, Serialize)]
pub struct Employee {
    /// Site and number, as in `101-3`.
    pub id: String,
    /// Full name.
    pub name: String,
    /// `cashier`, `cook`, `shift_lead` or `runner`.
    pub job: &'static str,
}

/// The staff of a store.
pub fn staff(site: &str, dice: &mut Dice) -> Vec<Employee> {
    (0..STAFF).map(|number| employee(site, number, dice)).collect()
}

fn employee(site: &str, number: usize, dice: &mut Dice) -> Employee {
    Employee {
        id: format!("{site}-{}", number + 1),
        name: format!("{} {}", dice.pick(&FIRST_NAMES), dice.pick(&LAST_NAMES)),
        job: JOBS[number % JOBS.len()],
    }
}

fn nth(names: &[&'static str], number: u32) -> &'static str {
    names[number as usize % names.len()]
}
