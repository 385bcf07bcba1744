//! Events: what a source says, and what the log keeps of it.

use sha2::{Digest, Sha256};

use crate::json::Json;
use crate::{CompanyNo, EventId, Seq, Time, Trace};

/// Most bytes of one event as sent, and of its compact `data` (`contracts/hub-api.md`, "Events in").
pub const MAX_EVENT_BYTES: usize = 1 << 20;

/// What the source said. Texts are as they came; `data` and `correlation` are compact JSON (see [`crate::json`]).
#[derive(Clone, Debug)]
pub struct Content {
    /// `<entity>.<fact>`, lower case.
    pub name: Box<str>,
    /// The site's id as the source knows it.
    pub site: Option<Box<str>>,
    /// The terminal's id within the site.
    pub terminal: Option<Box<str>>,
    /// What the event is about; events of one entity keep their order. None: unordered.
    pub entity_id: Option<Box<str>>,
    /// When it happened, as the source says.
    pub occurred_at: Option<Time>,
    /// `YYYY-MM-DD`, the trading day it belongs to.
    pub business_date: Option<Box<str>>,
    /// Flat object of related ids.
    pub correlation: Option<Json>,
    /// The caller's idempotency id, unique per company and site for 7 days.
    pub caller_id: Option<Box<str>>,
    /// The trace of the request that it came with. No part of what was said: a repeat may belong to another one.
    pub trace: Option<Trace>,
    /// The payload.
    pub data: Json,
}

/// What stands in the place of an erased payload. No source can say it: `data` is an object.
pub const ERASED: &str = "null";

impl Content {
    /// Takes the payload and the related ids away for good.
    pub fn erase(&mut self) {
        self.data = Json::trusted(ERASED);
        self.correlation = None;
    }

    /// Whether the payload was taken away.
    pub fn is_erased(&self) -> bool {
        self.data.get() == ERASED
    }

    /// The part of the name before the dot.
    pub fn entity(&self) -> &str {
        entity_of(&self.name)
    }

    /// The key under which order is kept: None when the event is about no entity.
    pub fn key(&self) -> Option<EntityKey> {
        self.entity_id.as_deref().map(|id| EntityKey::of(self.entity(), id))
    }

    /// The key of the domain entity that lists search by: the order, else the customer, else the entity itself
    /// (`contracts/event-stream.md`, "Attempts").
    pub fn domain_key(&self) -> Option<EntityKey> {
        let (entity, id) = self.domain_entity()?;
        Some(EntityKey::of(entity, &id))
    }

    /// The domain entity: its type and id.
    pub fn domain_entity(&self) -> Option<(&str, std::borrow::Cow<'_, str>)> {
        let correlation = self.correlation.as_ref().map(Json::get);
        for (field, entity) in [("order_id", "order"), ("customer_id", "customer")] {
            if let Some(id) = correlation.and_then(|c| crate::path::text(c, field)) {
                return Some((entity, id));
            }
        }
        self.entity_id.as_deref().map(|id| (self.entity(), id.into()))
    }

    /// A fingerprint of everything the caller said, to tell a repeat from another event under the same id.
    pub fn fingerprint(&self) -> [u8; 16] {
        let mut hash = Sha256::new();
        let at = self.occurred_at.map(|t| t.millis().to_be_bytes());
        let parts: [Option<&[u8]>; 8] = [
            Some(self.name.as_bytes()),
            self.site.as_deref().map(str::as_bytes),
            self.terminal.as_deref().map(str::as_bytes),
            self.entity_id.as_deref().map(str::as_bytes),
            at.as_ref().map(<[u8; 8]>::as_slice),
            self.business_date.as_deref().map(str::as_bytes),
            self.correlation.as_ref().map(|c| c.get().as_bytes()),
            Some(self.data.get().as_bytes()),
        ];
        for part in parts {
            let len = part.map_or(u64::MAX, |p| p.len() as u64);
            hash.update(len.to_be_bytes());
            hash.update(part.unwrap_or_default());
        }
        first_16(&hash.finalize())
    }

    /// About how many bytes the event takes in memory, for budgets.
    pub fn size(&self) -> usize {
        Self::size_of(self.data.get().len(), self.correlation.as_ref().map_or(0, |c| c.get().len()))
    }

    /// [`Content::size`] of an event with so many bytes of data and correlation.
    pub const fn size_of(data: usize, correlation: usize) -> usize {
        const FIXED: usize = 192;
        FIXED + data + correlation
    }
}

/// The first 128 bits of a hash.
pub(crate) fn first_16(bytes: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&bytes[..16]);
    out
}

/// The part of an event's name before the dot.
pub fn entity_of(name: &str) -> &str {
    name.split_once('.').map_or(name, |(entity, _)| entity)
}

/// Identifies an entity within a company: 64 bits of SHA-256 over its type and id. Two entities that fall on the
/// same key are kept in one order, which costs time but nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntityKey(pub i64);

impl EntityKey {
    /// The key of the entity of this type and id.
    pub fn of(entity: &str, id: &str) -> Self {
        let hash = Sha256::new().chain_update(entity).chain_update([0]).chain_update(id).finalize();
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&hash[..8]);
        EntityKey(i64::from_be_bytes(bytes))
    }
}

/// An event as the log keeps it.
#[derive(Clone, Debug)]
pub struct Event {
    /// Whose log.
    pub company: CompanyNo,
    /// Where in it.
    pub seq: Seq,
    /// The hub's id of it.
    pub id: EventId,
    /// When it became durable; never decreases with the position.
    pub accepted_at: Time,
    /// What the source said.
    pub content: Content,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An event of site 175 with this name and payload.
    pub(crate) fn event(name: &str, data: &str) -> Event {
        let content = Content {
            name: name.into(),
            site: Some("175".into()),
            terminal: None,
            entity_id: Some("e1".into()),
            occurred_at: None,
            business_date: None,
            correlation: None,
            caller_id: None,
            trace: None,
            data: Json::trusted(data),
        };
        let at = Time::from_millis(1_790_000_000_000);
        Event { company: CompanyNo(1), seq: 1, id: EventId::new(at, [1; 10]), accepted_at: at, content }
    }

    #[test]
    fn the_fingerprint_tells_fields_apart() {
        let base = event("order.saved", "{}").content;
        let moved = Content { site: None, terminal: Some("175".into()), ..base.clone() };
        assert_eq!(base.fingerprint(), base.clone().fingerprint());
        assert_ne!(base.fingerprint(), moved.fingerprint());
        let traced = Content { trace: Some(Trace { id: 1, span: 2, sampled: true }), ..base.clone() };
        assert_eq!(base.fingerprint(), traced.fingerprint(), "a repeat belongs to another trace");
    }

    #[test]
    fn an_erased_event_keeps_what_it_is_about_and_nothing_else() {
        let mut content = event("order.saved", r#"{"a":1}"#).content;
        content.correlation = Some(Json::trusted(r#"{"order_id":"7"}"#));
        assert!(!content.is_erased());
        content.erase();
        assert!(content.is_erased() && content.correlation.is_none());
        assert_eq!((&*content.name, content.entity_id.as_deref()), ("order.saved", Some("e1")));
    }

    #[test]
    fn the_domain_entity_is_the_order_then_the_customer_then_the_entity() {
        let with = |c: Option<&str>| {
            let mut content = event("return.processed", "{}").content;
            content.correlation = c.map(Json::trusted);
            content.domain_entity().map(|(e, id)| (e.to_owned(), id.into_owned()))
        };
        assert_eq!(with(Some(r#"{"customer_id":"c","order_id":7}"#)), Some(("order".into(), "7".into())));
        assert_eq!(with(Some(r#"{"customer_id":"c","order_id":""}"#)), Some(("customer".into(), "c".into())));
        assert_eq!(with(None), Some(("return".into(), "e1".into())));
    }
}
