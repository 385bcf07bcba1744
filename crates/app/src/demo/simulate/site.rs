//! What a store is: its name, its place and its terminals.

use super::dice::Dice;
use super::money::Rate;
use serde::Serialize;

/// A store as the hub's `/v1/sites` would list it.
#[derive(Clone, Debug, Serialize)]
pub struct Site {
    /// What events call the store: `101`, `102`, …
    pub id: String,
    /// What the company calls it: `TS0101`; never equal to an id.
    pub store_number: String,
    /// What its guests call it.
    pub name: String,
    /// Name of its IANA time zone.
    pub timezone: &'static str,
    /// Its terminals; the first has a drawer.
    pub terminals: Vec<Terminal>,
}

/// A point of sale in a store.
#[derive(Clone, Debug, Serialize)]
pub struct Terminal {
    /// What events call it: its number as text.
    pub id: String,
    /// Number within the store, from 1.
    pub number: u32,
    /// What stands on it.
    pub name: &'static str,
    #[serde(skip)]
    pub(super) kind: TerminalKind,
}

/// What a terminal is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TerminalKind {
    Counter,
    DriveThru,
    Kiosk,
    Online,
}

impl TerminalKind {
    /// Only where a person stands there is cash.
    pub fn has_drawer(self) -> bool {
        matches!(self, TerminalKind::Counter | TerminalKind::DriveThru)
    }

    /// What still takes orders while the doors are closed.
    pub fn serves_at_night(self) -> bool {
        matches!(self, TerminalKind::DriveThru | TerminalKind::Online)
    }

    /// The `channel_type` of an order taken here.
    pub fn channel(self, dice: &mut Dice) -> &'static str {
        match self {
            TerminalKind::Counter => "store",
            TerminalKind::DriveThru => "drive_thru",
            TerminalKind::Kiosk => "kiosk",
            TerminalKind::Online if dice.chance(350) => "delivery",
            TerminalKind::Online => "online",
        }
    }
}

/// A time zone: its IANA name, and its rule written out, so that simulated days do not depend on the time zone
/// data that a machine has or lacks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Zone {
    pub name: &'static str,
    pub rule: &'static str,
}

/// The zones of the company; store after store takes the next one.
pub(super) const ZONES: [Zone; 3] = [
    Zone { name: "America/New_York", rule: "EST5EDT,M3.2.0,M11.1.0" },
    Zone { name: "America/Chicago", rule: "CST6CDT,M3.2.0,M11.1.0" },
    Zone { name: "America/Los_Angeles", rule: "PST8PDT,M3.2.0,M11.1.0" },
];

const FIRST_ID: u32 = 101;

const NAMES: [&str; 12] = [
    "Harbor Street",
    "Lakeside Mall",
    "Sunset Corner",
    "Union Station",
    "River Landing",
    "Palm Court",
    "Old Market",
    "Elm & 5th",
    "Ocean Park",
    "Airport Plaza",
    "North Gate",
    "Mission Yard",
];

/// Terminals in the order in which a store gets them; the smallest has the first three.
const TERMINALS: [(&str, TerminalKind); 5] = [
    ("Front counter", TerminalKind::Counter),
    ("Drive-thru", TerminalKind::DriveThru),
    ("Online orders", TerminalKind::Online),
    ("Kiosk", TerminalKind::Kiosk),
    ("Back counter", TerminalKind::Counter),
];

const FEWEST_TERMINALS: usize = 3;

impl Site {
    /// Store number `index` of the company.
    pub(super) fn numbered(index: u16) -> Site {
        let id = FIRST_ID + u32::from(index);
        let terminals = FEWEST_TERMINALS + usize::from(index) % (TERMINALS.len() - FEWEST_TERMINALS + 1);
        Site {
            id: id.to_string(),
            store_number: format!("TS{id:04}"),
            name: name(usize::from(index)),
            timezone: zone(index).name,
            terminals: (1..).zip(&TERMINALS[..terminals]).map(terminal).collect(),
        }
    }
}

/// The zone of store number `index`.
pub(super) fn zone(index: u16) -> Zone {
    ZONES[usize::from(index) % ZONES.len()]
}

/// The sales tax of a place, 6 to 9.5 % in quarters.
pub(super) fn sales_tax(dice: &mut Dice) -> Rate {
    Rate(600 + 25 * i64::from(dice.between(0, 14)))
}

fn name(index: usize) -> String {
    let name = NAMES[index % NAMES.len()];
    match index / NAMES.len() {
        0 => name.to_owned(),
        more => format!("{name} {}", more + 1),
    }
}

fn terminal((number, (name, kind)): (u32, &(&'static str, TerminalKind))) -> Terminal {
    Terminal { id: number.to_string(), number, name, kind: *kind }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_stores_share_an_id_a_number_or_a_name() {
        let sites: Vec<Site> = (0..super::super::MAX_STORES).map(Site::numbered).collect();
        let ids: HashSet<&str> = sites.iter().flat_map(|site| [&*site.id, &*site.store_number, &*site.name]).collect();
        assert_eq!(ids.len(), 3 * sites.len());
    }

    #[test]
    fn twelve_stores_stand_in_three_zones_and_have_three_to_five_terminals() {
        let sites: Vec<Site> = (0..12).map(Site::numbered).collect();
        let zones: HashSet<&str> = sites.iter().map(|site| site.timezone).collect();
        assert_eq!(zones.len(), 3);
        assert!(sites.iter().all(|site| (3..=5).contains(&site.terminals.len())));
        assert!(sites.iter().all(|site| site.terminals[0].kind.has_drawer()));
        assert!(sites.iter().all(|site| site.terminals.iter().any(|t| t.kind.serves_at_night())));
    }
}
