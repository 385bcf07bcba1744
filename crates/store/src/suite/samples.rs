//! Events and settings that the clauses use.

use std::collections::BTreeMap;
use std::sync::Arc;

use tillstream_model::event::EntityKey;
use tillstream_model::integration::{
    Authorization, Delivery, Events, Format, HttpTarget, Next, OAuth2, OnExhausted, OnReject, Ordering, PerSite,
    Ruling, Secret, Settings, Signing, SigningSecret, Target, Type,
};
use tillstream_model::json::Json;
use tillstream_model::schedule::{Preset, Retry};
use tillstream_model::{CompanyNo, Content, Event, EventId, Seq, Time, Trace};

use super::START;
use crate::state::{Attempt, Failure, LogEntry, Parked, Rejected, name_hash};

/// An event of site 175 with this name, about the entity `e-<text>`, whose payload holds the text.
pub fn content(name: &str, text: &str) -> Content {
    Content {
        name: name.into(),
        site: Some("175".into()),
        terminal: None,
        entity_id: Some(format!("e-{text}").into()),
        occurred_at: None,
        business_date: None,
        correlation: None,
        caller_id: None,
        trace: None,
        data: raw(&format!(r#"{{"text":"{text}"}}"#)),
    }
}

/// An event with every field and this idempotency id. Its payload has spellings that must be kept as they are.
pub fn full_content(caller_id: &str) -> Content {
    Content {
        name: "order.completed".into(),
        site: Some("Straße 1".into()),
        terminal: Some("t\u{1F9FE}".into()),
        entity_id: Some("o-1".into()),
        occurred_at: Some(Time::from_millis(-1)),
        business_date: Some("2026-11-21".into()),
        correlation: Some(raw(r#"{"order_id":"o-1"}"#)),
        caller_id: Some(caller_id.into()),
        trace: Some(Trace { id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, span: 0xf0_67aa_0ba9_02b7, sampled: false }),
        data: raw(r#"{"total":1.50,"big":123456789012345678901234567890,"e":1E5,"s":"\u00e4ä\"","a":[null,true]}"#),
    }
}

/// Asserts that two events are the same in every field.
pub fn assert_same(found: &Event, expected: &Event) {
    assert_eq!(format!("{found:?}"), format!("{expected:?}"));
}

fn raw(json: &str) -> Json {
    Json::trusted(json)
}

/// Settings of an integration with this id. Every secret in them contains `secret`.
pub fn settings(id: &str, secret: &str) -> Settings {
    let http = HttpTarget {
        url: format!("https://{id}.example/hook"),
        authorization: Authorization {
            value: PerSite {
                default: Some(Secret::new(format!("Bearer default-{secret}"))),
                sites: BTreeMap::from([
                    ("a.b".into(), Some(Secret::new(format!("Bearer site-{secret}")))),
                    ("9".into(), None),
                ]),
            },
            next: Some(Next {
                value: PerSite::all(Some(Secret::new(format!("Bearer next-{secret}")))),
                from: Time::from_millis(i64::from(u32::MAX)),
            }),
        },
        oauth2: Some(OAuth2 {
            token_url: format!("https://{id}.example/token"),
            client_id: id.into(),
            client_secret: Secret::new(format!("client-{secret}")),
            scope: None,
        }),
        headers: BTreeMap::from([("x-key".into(), Secret::new(format!("header-{secret}")))]),
    };
    let signing =
        SigningSecret { secret: Secret::new(format!("whsec_{secret}")), expires_at: Some(Time::from_millis(5)) };
    Settings {
        id: id.into(),
        name: format!("Integration {id}"),
        description: String::new(),
        r#type: Type::Permanent,
        starts_at: None,
        format: Format::Tillstream,
        target: Target::Http(http),
        availability: PerSite::all(true),
        events: Events::default(),
        delivery: Delivery {
            ordering: Ordering::Entity,
            max_in_flight: 32,
            rate_per_second: None,
            timeout_seconds: 15,
            retry: Retry::Preset(Preset::Standard),
            max_age_seconds: None,
            on_exhausted: OnExhausted::Reject,
            on_reject: OnReject::HoldEntity,
            verdicts: BTreeMap::from([(409, Ruling::Delivered)]),
        },
        redaction: Vec::new(),
        signing: Signing { secrets: vec![signing] },
    }
}

/// An entry of an integration's log.
pub(super) fn entry(action: &str, at: Time) -> LogEntry {
    LogEntry { action: action.into(), reason: format!("because of {action}"), actor: "key k1".into(), at }
}

/// The event of company 1 at this position, with its payload.
pub(super) fn event(seq: Seq) -> Arc<Event> {
    let at = START + std::time::Duration::from_millis(seq);
    let mut random = [0; 10];
    random[..8].copy_from_slice(&seq.to_be_bytes());
    let content = full_content(&format!("c-{seq}"));
    Arc::new(Event { company: CompanyNo(1), seq, id: EventId::new(at, random), accepted_at: at, content })
}

/// A failed attempt when the number is odd, else a success.
pub(super) fn attempt(seq: Seq, number: u32, at: Time) -> Attempt {
    let failure = Failure { cause: "status".into(), detail: format!("answer to {seq}"), answer: vec![seq as u8; 3] };
    Attempt {
        seq,
        at,
        number,
        elapsed_ms: 12,
        status: Some(if number % 2 == 1 { 500 } else { 200 }),
        remaining: 3,
        domain_key: Some(EntityKey::of("order", &format!("o-{}", seq % 3))),
        name_hash: name_hash(if seq.is_multiple_of(2) { "order.saved" } else { "order.completed" }),
        failure: (number % 2 == 1).then_some(failure),
    }
}

/// A waiting row.
pub(super) fn parked(seq: Seq, event: Option<Arc<Event>>) -> Parked {
    Parked {
        seq,
        key: Some(EntityKey(-7)),
        accepted_at: START,
        attempts: 2,
        next_at: START,
        last_status: Some(503),
        last_error: Some("answered 503".into()),
        held: false,
        event,
    }
}

/// The event at a position, given up at `at`.
pub(super) fn rejected(seq: Seq, at: Time) -> Rejected {
    Rejected {
        event: event(seq),
        at,
        reason: "attempts_exhausted".into(),
        last_status: Some(500),
        detail: Some("answered 500".into()),
        attempts: 8,
    }
}
