//! The events that tell the end of a day.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::civil::Date;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::site::Move;
use crate::event::first_16;
use crate::incoming::is_id;
use crate::json::Json;
use crate::operational::OWN;
use crate::{Content, Time};

/// The site that an event is about.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The company's id as the outside knows it.
    pub company_id: &'a str,
    /// The site's id.
    pub site_id: &'a str,
    /// The site's store number, if it is known.
    pub store_number: Option<&'a str>,
}

/// The terminal that an event is about.
#[derive(Clone, Copy, Debug)]
pub struct TerminalName<'a> {
    /// Its id within the site.
    pub id: &'a str,
    /// What people call it, if that is known.
    pub name: Option<&'a str>,
    /// Its number, if it is known.
    pub number: Option<&'a str>,
}

#[derive(Serialize)]
struct TerminalEod<'a> {
    company_id: &'a str,
    site_id: &'a str,
    store_number: Option<&'a str>,
    store_business_date: Midnight,
    notification_datetime: Time,
    terminals: [TerminalStep<'a>; 1],
}

#[derive(Serialize)]
struct TerminalStep<'a> {
    terminal_id: &'a str,
    terminal_name: Option<&'a str>,
    terminal_number: Option<&'a str>,
    old_business_date: Midnight,
    new_business_date: Midnight,
}

#[derive(Serialize)]
struct SiteEod<'a> {
    company_id: &'a str,
    site_id: &'a str,
    store_number: Option<&'a str>,
    previous_business_date: Midnight,
    new_business_date: Midnight,
    notification_datetime: Time,
}

/// A date as midnight UTC with milliseconds.
struct Midnight(Date);

impl Serialize for Midnight {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("{}T00:00:00.000Z", self.0))
    }
}

/// `terminal_eod.reached`: the event that was accepted `at` moved a terminal.
pub fn terminal_eod(place: Place<'_>, terminal: TerminalName<'_>, step: Move, at: Time) -> Content {
    let body = TerminalEod {
        company_id: place.company_id,
        site_id: place.site_id,
        store_number: place.store_number,
        store_business_date: Midnight(step.site_date),
        notification_datetime: at,
        terminals: [TerminalStep {
            terminal_id: terminal.id,
            terminal_name: terminal.name,
            terminal_number: terminal.number,
            old_business_date: Midnight(step.from),
            new_business_date: Midnight(step.to),
        }],
    };
    let about = About { name: "terminal_eod.reached", of: &[place.site_id, terminal.id], date: step.from, at };
    let content = about.content(step.resets, &body);
    Content { terminal: Some(terminal.id.into()), ..content }
}

/// `site_eod.reached`: the event that was accepted `at` moved the site.
pub fn site_eod(place: Place<'_>, step: Move, at: Time) -> Content {
    let body = SiteEod {
        company_id: place.company_id,
        site_id: place.site_id,
        store_number: place.store_number,
        previous_business_date: Midnight(step.from),
        new_business_date: Midnight(step.to),
        notification_datetime: at,
    };
    let about = About { name: "site_eod.reached", of: &[place.site_id], date: step.from, at };
    about.content(step.resets, &body)
}

/// A derived event about a day that ended.
pub(super) struct About<'a> {
    /// The event's name.
    pub(super) name: &'static str,
    /// The site's id, and the terminal's if it is about one.
    pub(super) of: &'a [&'a str],
    /// The day.
    pub(super) date: Date,
    /// When it happened.
    pub(super) at: Time,
}

impl About<'_> {
    /// The event; its idempotency id tells apart site or terminal, day, and `number`.
    pub(super) fn content(&self, number: u32, body: &impl Serialize) -> Content {
        // Texts, numbers and dates have no way to fail.
        let data = serde_json::to_string(body).unwrap_or_else(|_| "{}".to_owned());
        Content {
            name: self.name.into(),
            site: self.of.first().map(|site| Box::from(*site)),
            terminal: None,
            entity_id: Some(self.entity_id()).filter(|id| is_id(id)).map(Into::into),
            occurred_at: Some(self.at),
            business_date: Some(self.date.to_string().into()),
            correlation: None,
            caller_id: Some(format!("{OWN}{}/{}/{}/{number}", self.name, self.of_hash(), self.date).into()),
            trace: None,
            data: Json::trusted(data),
        }
    }

    /// The site stands before the terminal: terminals of other sites have the same ids, and what is told of one should
    /// not wait for the others.
    fn entity_id(&self) -> String {
        format!("{}:{}", self.of.join(":"), self.date)
    }

    /// Ids may have any character and be long, so that only a hash tells them apart in a text of bounded length.
    fn of_hash(&self) -> String {
        let mut hash = Sha256::new();
        for part in self.of {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        URL_SAFE_NO_PAD.encode(first_16(&hash.finalize()))
    }
}
