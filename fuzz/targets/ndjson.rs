//! A body of lines: no panic, and each line fares as it does alone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tillstream_model::incoming::{Body, Drop, read};

fuzz_target!(|bytes: &[u8]| {
    let Ok(events) = read(bytes, Body::Ndjson, &Drop::default()) else { return };
    let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').map(trimmed).filter(|l| !l.is_empty()).collect();
    assert_eq!(lines.len(), events.len());
    for (line, event) in lines.iter().zip(&events) {
        if line.starts_with(b"[") {
            assert!(event.is_err(), "an array is no event");
            continue;
        }
        let alone = read(line, Body::Json, &Drop::default()).map(|mut list| list.remove(0));
        assert_eq!(alone.is_ok_and(|e| e.is_ok()), event.is_ok());
    }
});

fn trimmed(mut line: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r', rest @ ..] | [rest @ .., b' ' | b'\t' | b'\r'] = line {
        line = rest;
    }
    line
}
