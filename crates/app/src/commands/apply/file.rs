//! The file: what is wanted, with secrets from the environment.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::Wrong;

/// Largest file, in bytes.
pub const MAX_BYTES: usize = 8 << 20;

/// The scope that makes a key an operator's.
const OPERATOR: &str = "instance";

/// What is wanted. What a section leaves out stays as it is; so does a section that is left out.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The company, with its `id`; its other settings are an operator's to change.
    #[serde(default)]
    pub company: Option<Company>,
    /// Sites by their ids.
    #[serde(default)]
    pub sites: Option<BTreeMap<String, Map<String, Value>>>,
    /// Integrations by their ids.
    #[serde(default)]
    pub integrations: Option<BTreeMap<String, Map<String, Value>>>,
    /// Contacts by their names.
    #[serde(default)]
    pub contacts: Option<BTreeMap<String, Map<String, Value>>>,
    /// Keys by their names.
    #[serde(default)]
    pub keys: Option<BTreeMap<String, Map<String, Value>>>,
}

/// A company.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Company {
    /// Its id.
    pub id: String,
    /// What is wanted of it.
    #[serde(flatten)]
    pub settings: Map<String, Value>,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Yaml,
    Toml,
}

/// Reads a file, or standard input where it is `-`. JSON is read as the YAML it is.
///
/// # Errors
/// [`Wrong`] says what is wrong with it and where.
pub fn read(path: &Path, environment: &BTreeMap<String, String>) -> Result<Wanted, Wrong> {
    let wrong = |text: String| Wrong::new(format!("{}: {text}", path.display()));
    let text = text_of(path).map_err(|e| wrong(e.to_string()))?;
    let is_toml = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    parse(&text, if is_toml { Form::Toml } else { Form::Yaml }, environment).map_err(wrong)
}

fn text_of(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let most = MAX_BYTES as u64 + 1;
    if path.as_os_str() == "-" {
        std::io::stdin().take(most).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(path)?.take(most).read_to_string(&mut text)?;
    }
    match text.len() <= MAX_BYTES {
        true => Ok(text),
        false => Err(std::io::Error::other(format!("more than {MAX_BYTES} bytes"))),
    }
}

fn parse(text: &str, form: Form, environment: &BTreeMap<String, String>) -> Result<Wanted, String> {
    let mut wanted: Wanted = match form {
        Form::Yaml => serde_saphyr::from_str(text).map_err(|e| e.without_snippet().to_string())?,
        Form::Toml => toml::from_str(text).map_err(|e| e.to_string())?,
    };
    let mut missing = Vec::new();
    let company = wanted.company.iter_mut().map(|c| &mut c.settings);
    let sections = [&mut wanted.sites, &mut wanted.integrations, &mut wanted.contacts, &mut wanted.keys];
    let things = sections.into_iter().flatten().flat_map(BTreeMap::values_mut).chain(company);
    for value in things.flat_map(Map::values_mut) {
        fill_in(value, environment, &mut missing)?;
    }
    missing.dedup();
    check_keys(&wanted)?;
    match missing.is_empty() {
        true => Ok(wanted),
        false => Err(format!("not set in the environment: {}", missing.join(", "))),
    }
}

/// An operator's key belongs to no company, so it would be missed in the company's list and made again each time.
fn check_keys(wanted: &Wanted) -> Result<(), String> {
    let is_operators = |key: &Map<String, Value>| {
        key.get("scopes").and_then(Value::as_array).is_some_and(|s| s.contains(&OPERATOR.into()))
    };
    let mut keys = wanted.keys.iter().flatten().filter(|_| wanted.company.is_some());
    match keys.find(|(_, key)| is_operators(key)) {
        Some((name, _)) => Err(format!("key {name}: a company's key does not hold the scope {OPERATOR}")),
        None => Ok(()),
    }
}

/// Puts variables of the environment in the place of `${NAME}`; `$${` stands for `${`.
fn fill_in(value: &mut Value, environment: &BTreeMap<String, String>, missing: &mut Vec<String>) -> Result<(), String> {
    match value {
        Value::String(text) if text.contains("${") => *text = filled(text, environment, missing)?,
        Value::Array(items) => items.iter_mut().try_for_each(|v| fill_in(v, environment, missing))?,
        Value::Object(members) => members.values_mut().try_for_each(|v| fill_in(v, environment, missing))?,
        _ => {}
    }
    Ok(())
}

fn filled(text: &str, environment: &BTreeMap<String, String>, missing: &mut Vec<String>) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        rest = after;
        if before.ends_with('$') {
            out.push('{');
            continue;
        }
        let (name, after) = after.split_once('}').filter(|(name, _)| is_variable(name)).ok_or_else(|| {
            format!("\"{}\": write ${{NAME}} for a variable of the environment, and $${{ for a plain ${{", shown(text))
        })?;
        match environment.get(name) {
            Some(value) => out.push_str(value),
            None => missing.push(name.to_owned()),
        }
        rest = after;
    }
    Ok(out + rest)
}

fn shown(text: &str) -> String {
    const MOST_CHARS: usize = 40;
    text.chars().take(MOST_CHARS).collect()
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn environment() -> BTreeMap<String, String> {
        [("TOKEN", "s3cret"), ("HOST", "erp.example")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    fn read_as(text: &str, form: Form) -> Result<Wanted, String> {
        parse(text, form, &environment())
    }

    #[test]
    fn yaml_json_and_toml_say_the_same() {
        let yaml = "company: {id: acme, name: Acme}\nsites:\n  \"175\": {name: Main}\nintegrations:\n  erp:\n    \
                    target: {kind: http, url: \"https://${HOST}/x\", authorization: \"Bearer ${TOKEN}\"}\n    \
                    delivery: {max_in_flight: 8}\n";
        let toml = "[company]\nid = \"acme\"\nname = \"Acme\"\n[sites.175]\nname = \"Main\"\n[integrations.erp]\n\
                    target = {kind = \"http\", url = \"https://${HOST}/x\", authorization = \"Bearer ${TOKEN}\"}\n\
                    delivery.max_in_flight = 8\n";
        let json = json!({"company": {"id": "acme", "name": "Acme"}, "sites": {"175": {"name": "Main"}},
            "integrations": {"erp": {"delivery": {"max_in_flight": 8}, "target":
                {"kind": "http", "url": "https://${HOST}/x", "authorization": "Bearer ${TOKEN}"}}}});
        let wanted = read_as(yaml, Form::Yaml).unwrap();
        assert_eq!(wanted, read_as(toml, Form::Toml).unwrap());
        assert_eq!(wanted, read_as(&json.to_string(), Form::Yaml).unwrap());
        let target = &wanted.integrations.unwrap()["erp"]["target"];
        assert_eq!(
            (&target["authorization"], &target["url"]),
            (&json!("Bearer s3cret"), &json!("https://erp.example/x"))
        );
    }

    #[test]
    fn a_number_as_a_key_is_the_id_that_it_spells() {
        let wanted = read_as("sites: {175: {}, 0042: {}}", Form::Yaml).unwrap();
        assert_eq!(wanted.sites.unwrap().keys().collect::<Vec<_>>(), ["0042", "175"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("site: {}", "site"),
            ("sites: [a]", "line 1"),
            ("company: {name: x}", "id"),
            ("{company: {id: x}, keys: {op: {scopes: [instance]}}}", "key op"),
            ("sites: {a: {name: \"${NO}${HOST}${NEITHER}\"}}", "NO, NEITHER"),
            ("sites: {a: {name: \"${1X}\"}}", "$${"),
            ("sites: {a: {name: \"${HOST\"}}", "$${"),
            ("sites: {a: {name: x}, a: {name: y}}", "a"),
            ("sites: {", ""),
        ] {
            let e = read_as(text, Form::Yaml).unwrap_err();
            assert!(e.contains(said), "{text}: {e}");
        }
    }

    #[test]
    fn a_file_has_a_largest_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.yaml");
        let of = |bytes: usize| format!("sites: {{}}\n#{}", " ".repeat(bytes - 11));
        std::fs::write(&path, of(MAX_BYTES)).unwrap();
        assert_eq!(read(&path, &environment()).unwrap().sites, Some(BTreeMap::new()));
        std::fs::write(&path, of(MAX_BYTES + 1)).unwrap();
        assert!(read(&path, &environment()).unwrap_err().to_string().contains("bytes"));
    }

    #[test]
    fn a_plain_dollar_is_written_twice_before_a_brace() {
        let wanted = read_as("sites: {a: {name: \"$5 $${HOST} ${HOST}\"}}", Form::Yaml).unwrap();
        assert_eq!(wanted.sites.unwrap()["a"]["name"], "$5 $${HOST} erp.example".replacen("$$", "$", 1));
    }
}
