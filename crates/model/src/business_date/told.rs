//! The events that tell of a closed day.

use jiff::civil::Date;
use serde::Serialize;

use super::day::Told;
use super::eod::{About, Place};
use super::tally::Tally;
use crate::{Content, Seq};

#[derive(Serialize)]
struct Body<'a> {
    company_id: &'a str,
    site_id: &'a str,
    store_number: Option<&'a str>,
    business_date: Date,
    #[serde(skip_serializing_if = "Option::is_none")]
    amendment: Option<Amendment<'a>>,
    manifest: Manifest<'a>,
}

#[derive(Serialize)]
struct Amendment<'a> {
    number: u32,
    difference: &'a Tally,
}

#[derive(Serialize)]
struct Manifest<'a> {
    as_of_seq: Seq,
    #[serde(flatten)]
    tally: &'a Tally,
}

/// `site.day_closed` with the manifest or, of what was told later, `site.day_amended` with the difference too.
pub fn told(place: Place<'_>, date: Date, told: &Told) -> Content {
    let body = Body {
        company_id: place.company_id,
        site_id: place.site_id,
        store_number: place.store_number,
        business_date: date,
        amendment: told.difference.as_ref().map(|difference| Amendment { number: told.number, difference }),
        manifest: Manifest { as_of_seq: told.as_of_seq, tally: &told.manifest },
    };
    let name = if told.difference.is_none() { "site.day_closed" } else { "site.day_amended" };
    About { name, of: &[place.site_id], date, at: told.at }.content(told.number, &body)
}
