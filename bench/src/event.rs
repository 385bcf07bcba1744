//! The event that every row sends: a POS order of about 1 KB with a stamp that the sink reads back.
//!
//! The stamp is one string of fixed width, `"stamp":"<key 10>-<number 10>-<sent µs 16>"`, so that a sender
//! overwrites digits in prebuilt bytes and the sink finds everything with one search.

use std::ops::Range;

/// Digits of an entity's key.
pub const KEY_DIGITS: usize = 10;
/// Digits of an event's number within its entity.
pub const NUMBER_DIGITS: usize = 10;
/// Digits of a time in microseconds since 1970; enough until the year 2286.
pub const TIME_DIGITS: usize = 16;
/// Size of one event as it is posted, bytes.
pub const EVENT_BYTES: usize = 1_024;
/// Sites that the events of one load spread over.
pub const SITES: u64 = 50;
/// The name that events carry unless a row chooses others.
pub const DEFAULT_NAME: &str = "order.completed";

const SITE_DIGITS: usize = 3;
const FIRST_SITE: u64 = 100;
const MARK: &[u8] = b"\"stamp\":\"";
const ENTITY_PREFIX: &str = "ord-";
const FILL_MARK: &str = "~fill~";

/// What one event says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Which entity.
    pub key: u64,
    /// The how-manieth event of that entity; rises by one.
    pub number: u64,
    /// When it was meant to be sent, microseconds since 1970.
    pub sent_us: u64,
}

impl Stamp {
    /// Finds the stamp in a body; `None` where there is none or it is cut.
    pub fn find(body: &[u8]) -> Option<Self> {
        let at = memchr::memmem::find(body, MARK)? + MARK.len();
        let number_at = at + KEY_DIGITS + 1;
        let time_at = number_at + NUMBER_DIGITS + 1;
        Some(Self {
            key: digits(body.get(at..at + KEY_DIGITS)?)?,
            number: digits(body.get(number_at..number_at + NUMBER_DIGITS)?)?,
            sent_us: digits(body.get(time_at..time_at + TIME_DIGITS)?)?,
        })
    }
}

/// One event's JSON with the places of its changing digits.
#[derive(Clone, Debug)]
pub struct Template {
    json: Vec<u8>,
    places: Places,
}

/// Where the changing parts of one event lie, relative to the event's first byte.
#[derive(Clone, Debug)]
pub struct Places {
    name: Range<usize>,
    site: Range<usize>,
    keys: Vec<Range<usize>>,
    number: Range<usize>,
    time: Range<usize>,
    data: Range<usize>,
}

impl Template {
    /// An event called `name`, exactly [`EVENT_BYTES`] long for names of up to 100 bytes.
    pub fn new(name: &str) -> Self {
        let draft = draft(name);
        let fill = EVENT_BYTES.saturating_sub(draft.len() - FILL_MARK.len());
        let json = draft.replace(FILL_MARK, &"no onions please; ".repeat(fill / 18 + 1)[..fill]).into_bytes();
        let places = Places::of(&json, name.len());
        Self { json, places }
    }

    /// The bytes with every changing digit at zero.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// Where the changing parts lie.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// The `data` object of a stamped copy of this event: what a receiver gets inside its envelope.
    pub fn data_of<'a>(&self, event: &'a [u8]) -> &'a [u8] {
        &event[self.places.data.clone()]
    }
}

impl Places {
    /// Writes `stamp` (and the site that follows from its key) into `event`.
    pub fn stamp(&self, event: &mut [u8], stamp: Stamp) {
        for place in &self.keys {
            put(&mut event[place.clone()], stamp.key);
        }
        put(&mut event[self.site.clone()], FIRST_SITE + stamp.key % SITES);
        put(&mut event[self.number.clone()], stamp.number);
        put(&mut event[self.time.clone()], stamp.sent_us);
    }

    /// Writes another name of the same length.
    pub fn rename(&self, event: &mut [u8], name: &str) {
        event[self.name.clone()].copy_from_slice(name.as_bytes());
    }

    fn of(json: &[u8], name_len: usize) -> Self {
        let after = |mark: &[u8], len: usize| {
            let at = memchr::memmem::find(json, mark).map_or(0, |at| at + mark.len());
            at..at + len
        };
        let stamp = after(MARK, KEY_DIGITS);
        let number = stamp.end + 1..stamp.end + 1 + NUMBER_DIGITS;
        let time = number.end + 1..number.end + 1 + TIME_DIGITS;
        let entities = memchr::memmem::find_iter(json, ENTITY_PREFIX)
            .map(|at| at + ENTITY_PREFIX.len()..at + ENTITY_PREFIX.len() + KEY_DIGITS);
        Self {
            name: after(b"\"name\":\"", name_len),
            site: after(b"\"site\":\"", SITE_DIGITS),
            keys: entities.chain([stamp.clone()]).collect(),
            number,
            time,
            data: after(b"\"data\":", 0).end..json.len() - 1,
        }
    }
}

/// The body of a delivery as a receiver of format `tillstream` gets it (`contracts/hub-api.md`), for the
/// baseline that posts the same bodies without a hub.
pub fn delivered_body(stamp: Stamp) -> Vec<u8> {
    let template = Template::new(DEFAULT_NAME);
    let mut event = template.json().to_vec();
    template.places().stamp(&mut event, stamp);
    let data = String::from_utf8_lossy(template.data_of(&event));
    format!(
        "{{\"id\":\"evt_01jd7m3c5v8e2q9r4t6w1x{:04}\",\"name\":\"{DEFAULT_NAME}\",\"entity\":\"order\",\
         \"entity_id\":\"{ENTITY_PREFIX}{:0KEY_DIGITS$}\",\"company\":\"bench\",\"site\":\"175\",\"terminal\":\"2\",\
         \"business_date\":null,\"occurred_at\":null,\"accepted_at\":\"2026-11-21T10:00:00.000000Z\",\"seq\":{},\
         \"correlation\":{{}},\"data\":{data}}}",
        stamp.key % 10_000,
        stamp.key,
        stamp.number,
    )
    .into_bytes()
}

fn draft(name: &str) -> String {
    format!(
        "{{\"name\":\"{name}\",\"site\":\"000\",\"terminal\":\"2\",\"entity_id\":\"{ENTITY_PREFIX}{:0KEY_DIGITS$}\",\
         \"data\":{{\"_id\":\"{ENTITY_PREFIX}{:0KEY_DIGITS$}\",\"stamp\":\"{:0KEY_DIGITS$}-{:0NUMBER_DIGITS$}-{:0TIME_DIGITS$}\",\
         \"channel_type\":\"store\",\"order_type\":\"dine_in\",\"state\":\"closed\",\"currency\":\"EUR\",\
         \"time\":{{\"opened\":\"2026-11-21T09:41:07.120Z\",\"last_modified\":\"2026-11-21T10:02:44.870Z\"}},\
         \"employee\":{{\"id\":\"e-2207\",\"name\":\"Marta\"}},\
         \"items\":[{{\"sku\":\"8411\",\"name\":\"Margherita\",\"quantity\":2,\"price\":9.50,\"tax_rate\":0.10,\
         \"modifiers\":[{{\"sku\":\"m-17\",\"name\":\"Extra basil\",\"price\":0.80}}]}},\
         {{\"sku\":\"2094\",\"name\":\"House lemonade\",\"quantity\":1,\"price\":3.90,\"tax_rate\":0.21,\"modifiers\":[]}}],\
         \"discounts\":[{{\"code\":\"LUNCH\",\"amount\":-1.50}}],\
         \"payments\":[{{\"kind\":\"card\",\"amount\":23.00,\"tip\":0.00}}],\
         \"totals\":{{\"net\":20.51,\"tax\":2.49,\"gross\":23.00}},\"note\":\"{FILL_MARK}\"}}}}",
        0, 0, 0, 0, 0,
    )
}

fn digits(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0u64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}

fn put(place: &mut [u8], mut value: u64) {
    for byte in place.iter_mut().rev() {
        *byte = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { key: 12_345, number: 67, sent_us: 1_732_200_000_000_001 };

    fn stamped() -> Vec<u8> {
        let template = Template::new("lane.n0001");
        let mut json = template.json().to_vec();
        template.places().stamp(&mut json, STAMP);
        json
    }

    #[test]
    fn an_event_is_one_kilobyte_of_json_with_its_entity_and_site() {
        let json = stamped();
        let event: serde_json::Value = serde_json::from_slice(&json).expect("an event is JSON");
        assert_eq!(json.len(), EVENT_BYTES);
        assert_eq!(event["entity_id"], "ord-0000012345");
        assert_eq!(event["data"]["_id"], event["entity_id"]);
        assert_eq!(event["site"], "145");
    }

    #[test]
    fn a_stamp_is_read_back_as_it_was_written() {
        assert_eq!(Stamp::find(&stamped()), Some(STAMP));
    }

    #[test]
    fn a_cut_or_missing_stamp_is_none() {
        let json = stamped();
        let cut = memchr::memmem::find(&json, MARK).expect("a stamp") + MARK.len() + 20;
        assert_eq!(Stamp::find(&json[..cut]), None);
        assert_eq!(Stamp::find(b"{}"), None);
    }

    #[test]
    fn a_renamed_event_keeps_its_length() {
        let template = Template::new("lane.n0001");
        let mut json = template.json().to_vec();
        template.places().rename(&mut json, "lane.n0999");
        let event: serde_json::Value = serde_json::from_slice(&json).expect("an event is JSON");
        assert_eq!(event["name"], "lane.n0999");
    }

    #[test]
    fn the_delivered_body_carries_the_same_stamp() {
        let body = delivered_body(STAMP);
        let envelope: serde_json::Value = serde_json::from_slice(&body).expect("an envelope is JSON");
        assert_eq!(Stamp::find(&body), Some(STAMP));
        assert_eq!(envelope["entity_id"], envelope["data"]["_id"]);
    }
}
