//! From a written document to settings that may be saved.

use serde_json::Value;
use tillstream_model::Time;
use tillstream_model::integration::{Settings, Status, Written, Wrong};
use tillstream_outbound::{Cause, Client, check_url};

use crate::problem::{Problem, Result};

/// Members that `GET` shows and nobody writes: a document that was read may be written back with them in it.
const READ_ONLY: [&str; 6] = ["status_reason", "version", "ends_at", "created_at", "updated_at", "cursor"];

/// Settings of an integration that is to be made.
pub fn for_creation(doc: Value, now: Time) -> Result<Settings> {
    let mut settings = complete(doc, Status::Running)?;
    let mut wrong = unknown_masks(masks(&mut settings));
    wrong.extend(wrong_target(&settings));
    if settings.starts_at.is_some_and(|t| now < t) {
        wrong.push(Wrong::new("starts_at", "not in the future"));
    }
    if wrong.is_empty() { Ok(settings) } else { Err(Problem::invalid(wrong)) }
}

/// Settings that replace saved ones. What a document can't repeat (its id, where it started, how it signs) stays when
/// it is left out.
pub fn for_replacement(mut doc: Value, saved: &Settings, status: Status) -> Result<Settings> {
    let base = as_written(saved)?;
    if let (Some(doc), Some(base)) = (doc.as_object_mut(), base.as_object()) {
        for member in ["id", "starts_at", "signing"] {
            if let (None, Some(kept)) = (doc.get(member), base.get(member)) {
                doc.insert(member.to_owned(), kept.clone());
            }
        }
    }
    replace(doc, saved, status)
}

/// Saved settings with a JSON merge patch (RFC 7396) applied.
pub fn for_patch(patch: Value, saved: &Settings, status: Status) -> Result<Settings> {
    let mut doc = as_written(saved)?;
    merge(&mut doc, patch);
    replace(doc, saved, status)
}

/// Refuses settings whose target is a literal address that may not be called. A name passes: what it stands for is
/// checked whenever a connection is made.
pub async fn check_address(outbound: &Client, settings: &Settings) -> Result<()> {
    let mut wrong = Vec::new();
    for (path, url) in urls(settings) {
        let Ok(uri) = check_url(url) else { continue };
        if !uri.host().is_some_and(is_literal) {
            continue;
        }
        match outbound.look_up(&uri).await {
            Err(failure) if failure.cause == Cause::Blocked => wrong.push(Wrong::new(path, failure.detail)),
            _ => {}
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Problem::invalid(wrong)) }
}

/// Whether a host is an address and no name: `[…]`, or its last part is a number, in whatever spelling.
fn is_literal(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    host.starts_with('[') || last.starts_with(|c: char| c.is_ascii_digit())
}

/// Which parts two settings differ in, by the names of their top-level members.
pub fn changes(saved: &Settings, new: &Settings) -> Vec<String> {
    let (Ok(Value::Object(old)), Ok(Value::Object(new_doc))) = (serde_json::to_value(saved), serde_json::to_value(new))
    else {
        return Vec::new();
    };
    let mut names: Vec<String> =
        new_doc.iter().filter(|(name, value)| old.get(*name) != Some(value)).map(|(n, _)| n.clone()).collect();
    if names.is_empty() && saved != new {
        names.push("secrets".to_owned());
    }
    names
}

fn replace(doc: Value, saved: &Settings, status: Status) -> Result<Settings> {
    let mut settings = complete(doc, status)?;
    let mut wrong = unknown_masks(settings.take_over_secrets(saved));
    wrong.extend(changed_for_good(&settings, saved));
    wrong.extend(wrong_target(&settings));
    if settings.signing.secrets.is_empty() {
        wrong.push(Wrong::new("signing.secrets", "keep at least one; POST …/signing/rotate replaces it"));
    }
    if wrong.is_empty() { Ok(settings) } else { Err(Problem::invalid(wrong)) }
}

/// Settings as they could be written, secrets masked.
pub fn as_written(settings: &Settings) -> Result<Value> {
    serde_json::to_value(settings).map_err(|e| {
        Problem::new(crate::problem::Kind::Internal, "the saved settings can't be written").internally(e.to_string())
    })
}

fn complete(mut doc: Value, status: Status) -> Result<Settings> {
    if let Some(members) = doc.as_object_mut() {
        for name in READ_ONLY {
            members.remove(name);
        }
        check_status(members.remove("status"), status)?;
    }
    Written::from_json(doc).map_err(|wrong| Problem::invalid([wrong]))?.complete().map_err(Problem::invalid)
}

fn check_status(written: Option<Value>, status: Status) -> Result<()> {
    let is_same = |written: &Value| serde_json::to_value(status).is_ok_and(|now| now == *written);
    if written.as_ref().is_none_or(is_same) {
        return Ok(());
    }
    Err(Problem::invalid([Wrong::new("status", "is changed by POST …/start and POST …/stop")]))
}

fn changed_for_good(new: &Settings, saved: &Settings) -> Vec<Wrong> {
    let fixed = [
        ("id", new.id != saved.id),
        ("type", new.r#type != saved.r#type),
        ("starts_at", new.starts_at != saved.starts_at),
        ("target.kind", new.target.kind() != saved.target.kind()),
    ];
    fixed
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(path, _)| Wrong::new(path, "is fixed when the integration is made"))
        .collect()
}

fn masks(settings: &mut Settings) -> Vec<String> {
    settings.secrets_mut().into_iter().filter(|(_, s)| s.looks_masked()).map(|(path, _)| path).collect()
}

fn unknown_masks(paths: Vec<String>) -> Vec<Wrong> {
    paths
        .into_iter()
        .map(|p| Wrong::new(p, "a masked value stands for a saved one, and none is saved here; write it in full"))
        .collect()
}

fn wrong_target(settings: &Settings) -> Vec<Wrong> {
    let wrong = |(path, url): (&str, &str)| check_url(url).err().map(|e| Wrong::new(path, e.to_string()));
    urls(settings).into_iter().filter_map(wrong).collect()
}

/// Every URL that is called, with its place.
fn urls(settings: &Settings) -> Vec<(&'static str, &str)> {
    let Some(http) = settings.target.http() else { return Vec::new() };
    let token = http.oauth2.as_ref().map(|oauth2| ("target.oauth2.token_url", oauth2.token_url.as_str()));
    std::iter::once(("target.url", http.url.as_str())).chain(token).collect()
}

fn merge(doc: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *doc = patch;
        return;
    };
    if !doc.is_object() {
        *doc = Value::Object(serde_json::Map::new());
    }
    let Value::Object(members) = doc else { return };
    for (name, value) in patch {
        if value.is_null() {
            members.remove(&name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn saved() -> Settings {
        let doc = json!({"id":"erp","target":{"kind":"http","url":"https://erp.example/","authorization":"Bearer abcdef-123456"},
            "signing":{"secrets":["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="]}});
        for_creation(doc, Time::default()).unwrap()
    }

    fn patched(patch: Value) -> Result<Settings> {
        for_patch(patch, &saved(), Status::Running)
    }

    /// The first wrong place, or how many there are when it is not one.
    fn wrong(result: Result<Settings>) -> String {
        format!("{:?}", result.err())
    }

    /// The cases of RFC 7396, appendix A.
    #[test]
    fn a_merge_patch_does_what_its_rfc_says() {
        let cases = [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!(["a"]), json!({"a":"b"}), json!({"a":"b"})),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ];
        for (mut doc, patch, expected) in cases {
            merge(&mut doc, patch.clone());
            assert_eq!(doc, expected, "{patch}");
        }
    }

    #[test]
    fn a_patch_keeps_secrets_behind_their_masks() {
        let new = patched(json!({"description":"x"})).unwrap();
        assert_eq!(new.target, saved().target);
        assert_eq!(new.signing, saved().signing);
        assert_eq!(changes(&saved(), &new), ["description"]);
    }

    #[test]
    fn a_mask_of_nothing_saved_is_refused() {
        assert!(wrong(patched(json!({"target":{"authorization":"…9999"}}))).contains("target.authorization"));
        let doc = json!({"id":"x","target":{"kind":"http","url":"https://x.example","authorization":"…9999"}});
        assert!(wrong(for_creation(doc, Time::default())).contains("target.authorization"));
    }

    #[test]
    fn what_is_fixed_can_not_be_changed_and_what_is_read_only_may_stand_in_a_write() {
        assert!(wrong(patched(json!({"id":"other"}))).contains("\"id\""));
        assert!(wrong(patched(json!({"starts_at":"2026-01-01T00:00:00Z"}))).contains("starts_at"));
        assert!(wrong(patched(json!({"status":"stopped"}))).contains("status"));
        assert!(wrong(patched(json!({"signing":{"secrets":[]}}))).contains("signing.secrets"));
        assert_eq!(patched(json!({"status":"running","version":7,"cursor":{"seq":3}})).unwrap(), saved());
    }

    #[test]
    fn a_whole_document_without_signing_keeps_the_keys() {
        let doc = json!({"name":"New","target":{"kind":"http","url":"https://new.example/"}});
        let new = for_replacement(doc, &saved(), Status::Running).unwrap();
        assert_eq!((new.id.as_str(), &new.signing), ("erp", &saved().signing));
        assert_eq!(changes(&saved(), &new), ["name", "target"]);
    }

    #[test]
    fn an_address_is_told_from_a_name_in_every_spelling() {
        for address in ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::1]", "10.0.0.1."] {
            assert!(is_literal(address), "{address}");
        }
        assert!(!is_literal("erp.example") && !is_literal("7shops.example"));
    }

    #[test]
    fn a_target_that_is_no_url_is_refused() {
        assert!(wrong(patched(json!({"target":{"url":"https://user@x.example/"}}))).contains("target.url"));
    }

    #[test]
    fn a_start_in_the_future_is_refused() {
        let doc = |t: &str| json!({"id":"x","starts_at":t,"target":{"kind":"http","url":"https://x.example"}});
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        assert!(for_creation(doc("2026-01-01T00:00:00Z"), now).is_ok());
        assert!(wrong(for_creation(doc("2026-01-01T00:00:01Z"), now)).contains("starts_at"));
    }
}
