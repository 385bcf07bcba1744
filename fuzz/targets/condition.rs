//! Conditions and payloads that outsiders choose: no panic, and opposites never agree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tillstream_model::condition::{Clause, check, first_failing};
use tillstream_model::incoming::{Body, Drop, read};
use tillstream_model::{CompanyNo, Event, EventId, Time};

fuzz_target!(|bytes: &[u8]| {
    let Some(cut) = bytes.iter().position(|b| *b == 0) else { return };
    let (written, body) = (&bytes[..cut], &bytes[cut + 1..]);
    let Ok(clauses) = serde_json::from_slice::<Vec<Clause>>(written) else { return };
    if !check(&clauses).is_empty() {
        return;
    }
    let Some(Ok(content)) = read(body, Body::Json, &Drop::default()).ok().and_then(|mut list| list.pop()) else { return };
    let at = Time::from_millis(1_790_000_000_000);
    let event = Event { company: CompanyNo(1), seq: 1, id: EventId::new(at, [0; 10]), accepted_at: at, content };
    let _ = first_failing(&clauses, &event);
    for clause in &clauses {
        let Clause::One(condition) = clause else { continue };
        let opposite = match serde_json::to_value(condition).expect("a condition is JSON")["op"].as_str() {
            Some("eq") => "ne",
            Some("in") => "not_in",
            _ => continue,
        };
        let mut turned = serde_json::to_value(condition).expect("a condition is JSON");
        turned["op"] = json!(opposite);
        let turned: Vec<Clause> = serde_json::from_value(Value::Array(vec![turned])).expect("the opposite is a condition");
        let (yes, no) = (first_failing(std::slice::from_ref(clause), &event), first_failing(&turned, &event));
        assert_ne!(yes.is_some(), no.is_some());
    }
});
