use super::*;
use crate::data_stream::literals;
use crate::relevance::{MAX_KEY_PATHS, MIN_KEY_PATHS};
use serde_json::{Value, json};

/// `{"a":{"b":value}}` of `a.b`.
fn with(place: &str, value: Value) -> Value {
    place.split('.').rev().fold(value, |inner, name| json!({ name: inner }))
}

fn read(document: Value) -> Result<Streams, Vec<String>> {
    let streams: Streams =
        serde_path_to_error::deserialize(document).map_err(|e| vec![format!("streams.{}", e.path())])?;
    let wrong: Vec<String> = streams.wrong().into_iter().map(|w| w.path).collect();
    if wrong.is_empty() { Ok(streams) } else { Err(wrong) }
}

fn wrong(place: &str, value: Value) -> Vec<String> {
    read(with(place, value)).err().unwrap_or_default()
}

#[test]
fn what_is_not_said_is_off() {
    let nothing = read(json!({})).unwrap();
    insta::assert_json_snapshot!(nothing);
    let nulls = json!({"orders": {"enabled": null, "net_gross": null, "relevance_key": null, "filter": null},
                       "drawers": {"filter": {"enabled": null, "event_types": null}}, "deposits": {},
                       "punches": null, "eod": {"site": null}, "workflow": {"enabled": null}});
    assert_eq!(read(nulls).unwrap(), nothing);
    assert_eq!(read(json!({"orders": {}})).unwrap(), Streams::default());
}

#[test]
fn what_was_read_reads_back_the_same() {
    let written = json!({
        "orders": {"enabled": true, "net_gross": {"default": false, "sites": {"175": true}},
                   "relevance_key": "number, time.closed", "filter": {"states": ["open", "someday"]}},
        "deposits": {"filter": {"enabled": true, "statuses": ["Open"]}},
        "eod": {"site": {"default": true}, "terminals": true},
    });
    let streams = read(written).unwrap();
    assert!(*streams.orders.net_gross.of(Some("175")) && !streams.orders.net_gross.of(None));
    assert_eq!(read(serde_json::to_value(&streams).unwrap()).unwrap(), streams);
}

#[test]
fn each_wrong_value_is_told_with_its_place() {
    let cases = [
        ("orders.enabled", json!("yes")),
        ("orders.enabled", json!({"sites": {}})),
        ("orders.net_gross", json!(1)),
        ("orders.relevance_key", json!(7)),
        ("orders.relevance_key", json!("")),
        ("orders.relevance_key", json!("_id")),
        ("orders.relevance_key", json!("_id,")),
        ("orders.relevance_key", json!("_id,a..b")),
        ("orders.relevance_key", json!("items[]._id,time.last_modified")),
        ("orders.filter.enabled", json!("on")),
        ("orders.filter.states", json!("open")),
        ("orders.unknown", json!(true)),
        ("drawers.filter.statuses", json!([])),
        ("punches.filter", json!({})),
        ("eod.enabled", json!(true)),
        ("refunds", json!({})),
    ];
    for (place, value) in cases {
        assert_eq!(wrong(place, value.clone()), [format!("streams.{place}")], "{value}");
    }
    for list in
        ["orders.filter.states", "orders.filter.types", "drawers.filter.event_types", "deposits.filter.statuses"]
    {
        assert_eq!(wrong(list, json!(["x", ""])), [format!("streams.{list}[1]")]);
    }
}

#[test]
fn lists_are_accepted_up_to_their_limits() {
    let values = |n: usize| json!(vec!["open"; n]);
    let long = |n: usize| json!(["ä".repeat(n)]);
    let sites =
        |n: usize| json!({"default": false, "sites": (0..n).map(|i| (i.to_string(), json!(true))).collect::<Value>()});
    let key = |n: usize| json!((0..n).map(|i| format!("a{i}")).collect::<Vec<_>>().join(","));
    let states = "orders.filter.states";
    let cases = [
        (states, values(MAX_FILTER_VALUES), values(MAX_FILTER_VALUES + 1), states),
        (states, long(MAX_FILTER_CHARS), long(MAX_FILTER_CHARS + 1), "orders.filter.states[0]"),
        ("eod.terminals", sites(MAX_LIST), sites(MAX_LIST + 1), "eod.terminals.sites"),
        ("orders.net_gross", sites(MAX_LIST), sites(MAX_LIST + 1), "orders.net_gross.sites"),
        ("orders.relevance_key", key(MIN_KEY_PATHS), key(MIN_KEY_PATHS - 1), "orders.relevance_key"),
        ("orders.relevance_key", key(MAX_KEY_PATHS), key(MAX_KEY_PATHS + 1), "orders.relevance_key"),
    ];
    for (place, most, too_many, told) in cases {
        assert_eq!(wrong(place, most), [""; 0], "{place}");
        assert_eq!(wrong(place, too_many), [format!("streams.{told}")]);
    }
}

#[test]
fn what_is_offered_can_be_saved() {
    let document = json!({
        "orders": {"filter": {"states": literals::ORDER_STATES, "types": literals::ORDER_TYPES}},
        "drawers": {"filter": {"event_types": literals::DRAWER_EVENT_TYPES}},
        "deposits": {"filter": {"statuses": literals::DEPOSIT_STATUSES}},
    });
    assert!(read(document).is_ok());
}

#[test]
fn the_default_key_is_one() {
    let key = Streams::default().orders.relevance_key;
    assert_eq!(key.as_str().split(',').collect::<Vec<_>>(), ["_id", "time.last_modified"]);
}
