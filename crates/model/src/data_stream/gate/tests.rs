use super::*;
use crate::event::tests::event;
use serde_json::{Value, json};

/// Everything on for every site, no filter.
fn all_on() -> Value {
    json!({"orders":{"enabled":true},"drawers":{"enabled":true},"deposits":{"enabled":true},
           "punches":{"enabled":true},"eod":{"site":true,"terminals":true},"workflow":{"enabled":true}})
}

fn admitted(streams: Value, name: &str, data: &str) -> Result<Stream, Closed> {
    let streams: Streams = serde_json::from_value(streams).unwrap();
    let gates = Gates { service: true, availability: &PerSite::all(true), streams: &streams };
    gates.admit(&event(name, data).content)
}

/// What the filter of orders says to an order.
fn order(filter: Value, data: Value) -> Result<Stream, Closed> {
    let mut data = data;
    data["_id"] = json!("o");
    admitted(json!({"orders": {"enabled": true, "filter": filter}}), "order.saved", &data.to_string())
}

#[test]
fn the_first_closed_gate_of_the_contracts_order_is_named() {
    let filter = json!({"enabled": true, "states": ["closed"]});
    let on: Streams = serde_json::from_value(json!({"orders":{"enabled":true,"filter":filter}})).unwrap();
    let off: Streams = serde_json::from_value(json!({"orders":{"filter":filter}})).unwrap();
    let content = event("order.saved", r#"{"_id":"o","state":"open"}"#).content;
    let ask = |service, available, streams| {
        Gates { service, availability: &PerSite::all(available), streams }.admit(&content)
    };
    assert_eq!(ask(false, false, &off), Err(Closed::Service));
    assert_eq!(ask(true, false, &off), Err(Closed::Availability));
    assert_eq!(ask(true, true, &off), Err(Closed::Stream(Stream::Orders)));
    assert_eq!(ask(true, true, &on), Err(Closed::OrderState));
}

#[test]
fn each_stream_has_its_own_toggle() {
    let events = [
        ("order.saved", Stream::Orders),
        ("drawer.moved", Stream::Drawers),
        ("deposit.saved", Stream::Deposits),
        ("punch.saved", Stream::Punches),
        ("site_eod.reached", Stream::SiteEod),
        ("terminal_eod.reached", Stream::TerminalEod),
        ("workflow.finished", Stream::Workflow),
    ];
    for (name, stream) in events {
        assert_eq!(admitted(all_on(), name, r#"{"_id":"1"}"#), Ok(stream));
        assert_eq!(admitted(json!({}), name, r#"{"_id":"1"}"#), Err(Closed::Stream(stream)));
        let mut but_one = all_on();
        *but_one.pointer_mut(&enabled_place(stream)["streams".len()..].replace('.', "/")).unwrap() = json!(false);
        assert_eq!(admitted(but_one, name, r#"{"_id":"1"}"#), Err(Closed::Stream(stream)));
    }
}

#[test]
fn toggles_and_availability_are_asked_by_site() {
    let here = json!({"default": false, "sites": {"175": true}});
    let elsewhere = json!({"default": true, "sites": {"175": false}});
    let asked = |availability: &Value, enabled: &Value| {
        let streams: Streams = serde_json::from_value(json!({"punches": {"enabled": enabled}})).unwrap();
        let availability = serde_json::from_value(availability.clone()).unwrap();
        let gates = Gates { service: true, availability: &availability, streams: &streams };
        gates.admit(&event("punch.saved", "{}").content)
    };
    assert_eq!(asked(&here, &here), Ok(Stream::Punches));
    assert_eq!(asked(&elsewhere, &here), Err(Closed::Availability));
    assert_eq!(asked(&here, &elsewhere), Err(Closed::Stream(Stream::Punches)));
}

#[test]
fn what_no_stream_takes_is_told_apart_from_what_is_off() {
    assert_eq!(admitted(all_on(), "return.processed", "{}"), Err(Closed::NoStream));
    assert_eq!(admitted(all_on(), "order.saved", r#"{"id":"o"}"#), Err(Closed::NoIdentity));
    assert_eq!(admitted(json!({}), "order.saved", r#"{"id":"o"}"#), Err(Closed::NoIdentity));
}

#[test]
fn a_deleted_event_is_wanted_by_nobody_who_would_have_had_it() {
    let deleted = crate::event::ERASED;
    assert_eq!(admitted(all_on(), "order.saved", deleted), Err(Closed::Deleted));
    assert_eq!(admitted(json!({}), "order.saved", deleted), Err(Closed::Stream(Stream::Orders)));
}

#[test]
fn an_order_has_to_be_listed_by_state_and_type() {
    let closed_order = json!({"state": "closed", "order_type": "order"});
    let no_state = Err(Closed::OrderState);
    let no_type = Err(Closed::OrderType);
    let sent = Ok(Stream::Orders);
    let cases = [
        (json!({"enabled": false, "states": ["open"], "types": ["waste"]}), sent),
        (json!({"enabled": true}), sent),
        (json!({"enabled": true, "states": ["open", "closed"]}), sent),
        (json!({"enabled": true, "types": ["order"]}), sent),
        (json!({"enabled": true, "states": ["closed"], "types": ["order"]}), sent),
        (json!({"enabled": true, "states": ["closed"], "types": ["refund"]}), no_type),
        (json!({"enabled": true, "states": ["open"], "types": ["order"]}), no_state),
        (json!({"enabled": true, "states": ["Closed"]}), no_state),
        (json!({"enabled": true, "types": ["Order"]}), no_type),
    ];
    for (filter, expected) in cases {
        assert_eq!(order(filter.clone(), closed_order.clone()), expected, "{filter}");
    }
    assert_eq!(order(json!({"enabled": true, "states": ["closed"]}), json!({})), no_state);
    assert_eq!(order(json!({"enabled": true}), json!({})), sent);
}

#[test]
fn a_drawer_event_is_known_by_its_movement() {
    let asked = |enabled: bool, types: Value, data: &str| {
        let filter = json!({"enabled": enabled, "event_types": types});
        admitted(json!({"drawers": {"enabled": true, "filter": filter}}), "drawer.moved", data)
    };
    let sale = r#"{"type":"x","events":[{"type":"sale","amount":1.00}]}"#;
    let sent = Ok(Stream::Drawers);
    assert_eq!(asked(true, json!(["paid_in", "sale"]), sale), sent);
    assert_eq!(asked(true, json!(["x", "Sale"]), sale), Err(Closed::DrawerEventType));
    assert_eq!(asked(true, json!([]), sale), sent);
    assert_eq!(asked(false, json!(["x"]), sale), sent);
    for none in ["{}", r#"{"events":[]}"#, r#"{"events":{"type":"sale"}}"#] {
        assert_eq!(asked(true, json!(["sale"]), none), Err(Closed::DrawerEventType), "{none}");
    }
}

#[test]
fn a_deposits_status_is_compared_without_case() {
    let asked = |enabled: bool, statuses: Value, status: &str| {
        let filter = json!({"enabled": enabled, "statuses": statuses});
        let data = json!({ "status": status }).to_string();
        admitted(json!({"deposits": {"enabled": true, "filter": filter}}), "deposit.saved", &data)
    };
    let sent = Ok(Stream::Deposits);
    for (listed, status) in [("finalized", "Finalized"), ("FINALIZED", "finalized"), ("Prüfung Ä", "prüfung ä")] {
        assert_eq!(asked(true, json!([listed]), status), sent, "{listed} {status}");
    }
    assert_eq!(asked(true, json!(["open"]), "Deleted"), Err(Closed::DepositStatus));
    assert_eq!(asked(false, json!(["open"]), "Deleted"), sent);
    assert_eq!(asked(true, json!([]), "Deleted"), sent);
}

#[test]
fn a_gate_is_named_by_its_place() {
    let places = [Closed::Service, Closed::Stream(Stream::SiteEod), Closed::OrderState].map(Closed::place);
    assert_eq!(places, ["services.data_stream", "streams.eod.site", "streams.orders.filter.states"]);
}
