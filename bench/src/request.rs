//! The prebuilt request of one connection: built once, only digits change between sends.

use crate::event::{Places, Stamp, Template};
use crate::wire;

/// Path that events are posted to (`contracts/hub-api.md`, "Events in").
pub const EVENTS_PATH: &str = "/v1/events";

/// A request with one event, or with an array of them.
pub struct EventRequest {
    bytes: Vec<u8>,
    starts: Vec<usize>,
    places: Places,
}

impl EventRequest {
    /// A request to [`EVENTS_PATH`] with `batch` events called `name`; `headers` are whole lines.
    pub fn new(headers: &str, name: &str, batch: usize) -> Self {
        let template = Template::new(name);
        let body = body(template.json(), batch);
        let bytes = wire::request("POST", EVENTS_PATH, headers, &body);
        let first = bytes.len() - body.len() + usize::from(batch > 1);
        let stride = template.json().len() + 1;
        let starts = (0..batch.max(1)).map(|index| first + index * stride).collect();
        Self { bytes, starts, places: template.places().clone() }
    }

    /// How many events it carries.
    pub fn batch(&self) -> usize {
        self.starts.len()
    }

    /// The bytes to send.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes the stamp of the event at `index`.
    pub fn stamp(&mut self, index: usize, stamp: Stamp) {
        self.places.stamp(&mut self.bytes[self.starts[index]..], stamp);
    }

    /// Gives the event at `index` another name of the same length.
    pub fn rename(&mut self, index: usize, name: &str) {
        self.places.rename(&mut self.bytes[self.starts[index]..], name);
    }
}

fn body(event: &[u8], batch: usize) -> Vec<u8> {
    if batch <= 1 {
        return event.to_vec();
    }
    let list = vec![event; batch].join(&b","[..]);
    [b"[", list.as_slice(), b"]"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(request: &EventRequest) -> serde_json::Value {
        let head = wire::request_head(request.bytes()).expect("a request").expect("whole");
        assert_eq!(request.bytes().len(), head.body_at + head.body_bytes);
        serde_json::from_slice(&request.bytes()[head.body_at..]).expect("JSON")
    }

    #[test]
    fn a_single_event_is_an_object() {
        let mut request = EventRequest::new("", "a.b", 1);
        request.stamp(0, Stamp { key: 7, number: 1, sent_us: 2 });
        assert_eq!(events(&request)["entity_id"], "ord-0000000007");
    }

    #[test]
    fn every_event_of_an_array_has_its_own_stamp_and_name() {
        let mut request = EventRequest::new("authorization: Bearer x\r\n", "a.b", 100);
        for index in 0..request.batch() {
            request.stamp(index, Stamp { key: index as u64, number: 0, sent_us: 0 });
        }
        request.rename(99, "c.d");
        let events = events(&request);
        assert_eq!(events.as_array().map(Vec::len), Some(100));
        assert_eq!((&events[0]["name"], &events[99]["name"]), (&"a.b".into(), &"c.d".into()));
        assert_eq!(events[99]["entity_id"], "ord-0000000099");
    }
}
