//! Integrations as they are now.

use serde_json::Value;

use super::{Rows, path};
use crate::api_client::Api;
use crate::output;

/// All integrations.
pub async fn list(rows: &Rows) -> anyhow::Result<()> {
    let items = rows.of("/integrations").await?;
    if rows.json {
        return output::json(&items);
    }
    if items.is_empty() {
        return output::line("no integrations yet; make one with `tillstream integrations create URL`");
    }
    let rows: Vec<[String; 7]> = items.iter().map(row).collect();
    output::line(output::table(["ID", "STATUS", "FORMAT", "TARGET", "WAITING", "PARKED", "CIRCUIT"], &rows))
}

/// One integration, every setting on a line of its own.
pub async fn one(api: &Api, id: &str, json: bool) -> anyhow::Result<()> {
    let integration = api.get(&path(id)).await?;
    if json {
        return output::json(&integration);
    }
    let mut rows = Vec::new();
    flatten("", &integration, &mut rows);
    output::line(output::table(["SETTING", "VALUE"], &rows))
}

/// A value as people read it: texts bare, nothing as nothing.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn row(item: &Value) -> [String; 7] {
    let cursor = &item["cursor"];
    [
        plain(&item["id"]),
        plain(&item["status"]),
        plain(&item["format"]),
        plain(&item["target"]["url"]),
        plain(&cursor["lag_events"]),
        plain(&cursor["parked"]),
        plain(&cursor["circuit"]),
    ]
}

/// Every setting by its path. Empty lists, empty objects and nulls are left out: they are what nobody set.
pub fn flatten(path: &str, value: &Value, rows: &mut Vec<[String; 2]>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, rows);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (i, item) in items.iter().enumerate() {
                flatten(&format!("{path}[{i}]"), item, rows);
            }
        }
        Value::Array(items) if items.is_empty() => {}
        Value::Array(items) => rows.push([path.to_owned(), items.iter().map(plain).collect::<Vec<_>>().join(", ")]),
        Value::Null => {}
        value => rows.push([path.to_owned(), plain(value)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_are_shown_by_their_paths_and_what_nobody_set_is_left_out() {
        let mut rows = Vec::new();
        let item = json!({"id":"erp","ends_at":null,"events":{"names":[],"entities":["order","punch"]},"signing":{"secrets":[{"secret":"…1"}]}});
        flatten("", &item, &mut rows);
        let rows: Vec<String> = rows.into_iter().map(|r| r.join("=")).collect();
        assert_eq!(rows, ["events.entities=order, punch", "id=erp", "signing.secrets[0].secret=…1"]);
    }
}
