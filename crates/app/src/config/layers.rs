//! The four layers and how they lie on each other.

use std::path::PathBuf;

use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};

use super::written::{KEYS, Written};
use super::{Config, DEFAULT_DATA, DEFAULT_LISTEN, MasterKeySource, Wrong};

/// What all variables of ours start with.
const PREFIX: &str = "TILLSTREAM_";
/// Variables of ours that are no settings: they belong to the commands that talk to a hub, to secrets, or to tests.
const OTHER_VARIABLES: [&str; 7] = [
    "TILLSTREAM_CONFIG",
    "TILLSTREAM_KEY",
    "TILLSTREAM_MASTER_KEY",
    "TILLSTREAM_SIGNING_SECRET",
    "TILLSTREAM_TARGET_AUTHORIZATION",
    "TILLSTREAM_URL",
    crate::faults::VARIABLE,
];
/// Least likeness (0 to 1) at which a known key is suggested for an unknown one.
const LIKENESS: f64 = 0.7;

/// One effective setting.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key.
    pub key: &'static str,
    /// Its value as TOML; secrets masked.
    pub value: String,
    /// `default`, `command line`, a file or a variable.
    pub source: String,
}

/// All layers, merged.
pub struct Layers(Figment);

impl Layers {
    /// Merges them. Nothing is checked but that every key is known.
    pub fn read(file: Option<PathBuf>, environment: &[(String, String)], command_line: Written) -> Result<Self, Wrong> {
        let mut figment = Figment::from(Layer::new("default", defaults()));
        if let Some(path) = file {
            figment = figment.merge(toml(path)?);
        }
        for (source, key, value) in variables(environment) {
            figment = figment.merge(Layer::new(source, Dict::from([(key, value.into())])));
        }
        let given = Serialized::defaults(command_line).data().map_err(wrong)?.remove(&Profile::Default);
        let layers = Self(figment.merge(Layer::new("command line", given.unwrap_or_default())));
        layers.refuse_unknown()?;
        Ok(layers)
    }

    /// The settings that win.
    pub fn written(&self) -> Result<Written, Wrong> {
        self.0.extract().map_err(wrong)
    }

    /// Every effective setting with its source.
    pub fn settings(&self, config: &Config) -> Vec<Setting> {
        let mut settings: Vec<Setting> = KEYS.iter().filter_map(|key| self.setting(key, config)).collect();
        if let MasterKeySource::Given(key) = &config.master_key {
            settings.retain(|s| s.key != "master_key_file");
            settings.push(Setting {
                key: "master_key",
                value: quoted(&key.masked()),
                source: format!("{PREFIX}MASTER_KEY"),
            });
        }
        settings
    }

    fn setting(&self, key: &'static str, config: &Config) -> Option<Setting> {
        Some(Setting { key, value: config.shown(key)?, source: self.source(key) })
    }

    fn source(&self, key: &str) -> String {
        self.0.find_metadata(key).map_or_else(|| "default".to_owned(), source_of)
    }

    fn refuse_unknown(&self) -> Result<(), Wrong> {
        let all: Dict = self.0.extract().map_err(wrong)?;
        match all.keys().find(|key| !KEYS.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(unknown(key, &self.source(key))),
        }
    }
}

fn defaults() -> Dict {
    let texts = [("data", DEFAULT_DATA), ("listen", DEFAULT_LISTEN), ("log_format", "text"), ("log_level", "info")];
    let mut dict: Dict = texts.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
    dict.insert("allow_networks".to_owned(), Value::from(Vec::<String>::new()));
    for switch in ["behind_proxy", "metrics_public"] {
        dict.insert(switch.to_owned(), false.into());
    }
    dict
}

fn toml(path: PathBuf) -> Result<figment::providers::Data<Toml>, Wrong> {
    if !path.is_file() {
        return Err(Wrong::new(format!("there is no configuration file {}", path.display())));
    }
    Ok(Toml::file_exact(path))
}

/// What the variables set, weakest first: `PORT` and `DATABASE_URL` come from the platform, `TILLSTREAM_…` from
/// somebody who meant it.
fn variables(environment: &[(String, String)]) -> impl Iterator<Item = (String, String, String)> {
    let of = |ours: bool| environment.iter().filter(move |(name, _)| name.starts_with(PREFIX) == ours);
    of(false).chain(of(true)).filter_map(|(name, value)| variable(name, value))
}

/// What a variable sets: its name as source, the key, the value.
fn variable(name: &str, value: &str) -> Option<(String, String, String)> {
    let set = |key: String, value: String| Some((name.to_owned(), key, value));
    match name {
        "PORT" => set("listen".to_owned(), format!(":{value}")),
        "DATABASE_URL" => set("database".to_owned(), value.to_owned()),
        "OTEL_EXPORTER_OTLP_ENDPOINT" => set("otlp_endpoint".to_owned(), value.to_owned()),
        _ if OTHER_VARIABLES.contains(&name) => None,
        _ => set(name.strip_prefix(PREFIX)?.to_ascii_lowercase(), value.to_owned()),
    }
}

fn unknown(key: &str, source: &str) -> Wrong {
    let likely = KEYS.iter().max_by(|a, b| strsim::jaro_winkler(key, a).total_cmp(&strsim::jaro_winkler(key, b)));
    match likely.filter(|likely| strsim::jaro_winkler(key, likely) >= LIKENESS) {
        Some(likely) => Wrong::new(format!("unknown key \"{key}\" ({source}); did you mean \"{likely}\"?")),
        None => Wrong::new(format!("unknown key \"{key}\" ({source}); known are {}", KEYS.join(", "))),
    }
}

fn wrong(error: Error) -> Wrong {
    let source = error.metadata.as_ref().map(source_of).map(|s| format!(" ({s})")).unwrap_or_default();
    let key = if error.path.is_empty() { String::new() } else { format!("{}: ", error.path.join(".")) };
    Wrong::new(format!("{key}{}{source}", error.kind))
}

fn source_of(metadata: &Metadata) -> String {
    match metadata.source.as_ref().and_then(|s| s.file_path()) {
        Some(path) => path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
        None => metadata.name.to_string(),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Values with one name.
struct Layer {
    name: String,
    values: Dict,
}

impl Layer {
    fn new(name: impl Into<String>, values: Dict) -> Self {
        Self { name: name.into(), values }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str, environment: &[(&str, &str)], command_line: Written) -> Result<(Config, Vec<Setting>), Wrong> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tillstream.toml");
        std::fs::write(&file, toml).unwrap();
        let environment: Vec<_> = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let layers = Layers::read(Some(file), &environment, command_line)?;
        let config = Config::check(layers.written()?, &environment)?;
        let settings = layers.settings(&config);
        Ok((config, settings))
    }

    fn source(settings: &[Setting], key: &str) -> String {
        settings.iter().find(|s| s.key == key).map(|s| s.source.clone()).unwrap_or_default()
    }

    fn refusal(toml: &str, environment: &[(&str, &str)]) -> String {
        read(toml, environment, Written::default()).expect_err("refused").to_string()
    }

    #[test]
    fn the_command_line_wins_over_the_environment_over_the_file_over_the_defaults() {
        let toml = "listen = '127.0.0.1:1'\ndata = 'file'\nlog_level = 'warn'";
        let environment = [("TILLSTREAM_LISTEN", "127.0.0.1:2"), ("TILLSTREAM_DATA", "env")];
        let command_line = Written { listen: Some("127.0.0.1:3".into()), ..Written::default() };
        let (config, settings) = read(toml, &environment, command_line).unwrap();
        assert_eq!((config.listen.port(), config.data.to_str(), config.log_level.as_str()), (3, Some("env"), "warn"));
        let sources = ["listen", "data", "log_level", "log_format"].map(|key| source(&settings, key));
        assert_eq!(sources, ["command line", "TILLSTREAM_DATA", "tillstream.toml", "default"]);
    }

    #[test]
    fn a_port_of_the_platform_wins_over_the_file_and_loses_to_our_own_variable() {
        let port = ("PORT", "9000");
        let listen =
            |environment: &[_]| read("listen = '127.0.0.1:1'", environment, Written::default()).unwrap().0.listen;
        assert_eq!(listen(&[port]).to_string(), "127.0.0.1:9000");
        assert_eq!(listen(&[port, ("TILLSTREAM_BEHIND_PROXY", "true")]).to_string(), "0.0.0.0:9000");
        assert_eq!(listen(&[port, ("TILLSTREAM_LISTEN", "127.0.0.1:2")]).port(), 2);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_closest_known_one() {
        assert_eq!(refusal("listn = 'x'", &[]), "unknown key \"listn\" (tillstream.toml); did you mean \"listen\"?");
        assert_eq!(
            refusal("", &[("TILLSTREAM_ALLOW_NETWORK", "lan")]),
            "unknown key \"allow_network\" (TILLSTREAM_ALLOW_NETWORK); did you mean \"allow_networks\"?"
        );
        assert!(refusal("zzz = 1", &[]).contains("known are data, listen"));
    }

    #[test]
    fn variables_that_belong_to_other_commands_are_no_settings() {
        let key = "0a".repeat(32);
        let environment = OTHER_VARIABLES.map(|name| (name, key.as_str()));
        assert!(read("", &environment, Written::default()).is_ok());
    }

    #[test]
    fn a_value_of_the_wrong_kind_names_its_key_and_its_source() {
        assert_eq!(
            refusal("", &[("TILLSTREAM_BEHIND_PROXY", "maybe")]),
            "behind_proxy: \"maybe\" is neither true nor false (TILLSTREAM_BEHIND_PROXY)"
        );
        assert!(refusal("data = 7", &[]).starts_with("data: invalid type: found signed int `7`"));
        assert!(refusal("data = ", &[]).contains("tillstream.toml"));
    }

    #[test]
    fn lists_may_be_written_with_commas() {
        let networks =
            |toml: &str, environment: &[_]| read(toml, environment, Written::default()).unwrap().0.allow_networks;
        assert_eq!(networks("", &[("TILLSTREAM_ALLOW_NETWORKS", "lan, 127.0.0.0/8")]), ["lan", "127.0.0.0/8"]);
        assert_eq!(networks("allow_networks = ['lan']", &[]), ["lan"]);
    }

    #[test]
    fn a_database_needs_a_master_key_and_shows_no_password() {
        let url = "postgres://hub:s3cret@db-1,db-2:5433/till";
        let (alone, _) = read("", &[("DATABASE_URL", url)], Written::default()).unwrap();
        assert!(alone.shared_master_key().expect_err("refused").to_string().contains("openssl rand"));
        assert!(refusal("database = 'mysql://x'", &[]).contains("postgres://"));
        assert!(refusal("database_ca = 'ca.pem'", &[]).contains("without a database"));
        let key = "0123456789abcdef".repeat(4);
        let environment = [("TILLSTREAM_DATABASE", url), ("TILLSTREAM_MASTER_KEY", key.as_str())];
        let (config, settings) = read("", &environment, Written::default()).unwrap();
        config.shared_master_key().unwrap();
        let shown = settings.iter().find(|s| s.key == "database").unwrap();
        assert_eq!(shown.value, "\"postgres://hub:…@db-1,db-2:5433/till\"");
    }

    #[test]
    fn a_given_master_key_is_shown_masked_only() {
        let key = "0123456789abcdef".repeat(4);
        let (_, settings) = read("", &[("TILLSTREAM_MASTER_KEY", &key)], Written::default()).unwrap();
        let shown = settings.iter().find(|s| s.key == "master_key").unwrap();
        assert_eq!(shown.value, "\"…cdef\"");
        assert!(settings.iter().all(|s| s.key != "master_key_file" && !s.value.contains(&key)));
    }
}
