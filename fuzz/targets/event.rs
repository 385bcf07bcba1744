//! A body as JSON: no panic, and what is accepted is what a plain parser reads.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::Value;
use tillstream_model::incoming::{Body, Drop, read};

fuzz_target!(|bytes: &[u8]| {
    let Ok(events) = read(bytes, Body::Json, &Drop::default()) else { return };
    if let Err(e) = serde_json::from_slice::<IgnoredAny>(bytes) {
        assert!(events.iter().all(Result::is_err), "accepted what is no JSON: {e}");
        return;
    }
    // A number too large for this parser's tree is JSON all the same, and passes through as it is spelled.
    let Ok(whole) = serde_json::from_slice::<Value>(bytes) else { return };
    let list = whole.as_array().cloned().unwrap_or_else(|| vec![whole]);
    assert_eq!(list.len(), events.len());
    for (read, plain) in events.iter().zip(&list) {
        let Ok(content) = read else { continue };
        assert_eq!(plain["name"], *content.name);
        let kept: Value = serde_json::from_str(content.data.get()).expect("kept data is JSON");
        assert_eq!(kept, plain["data"]);
        assert!(!content.data.get().contains('\n'), "a payload is one line");
    }
});
