//! The configuration as it is used: complete and checked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tillstream_model::integration::Secret;
use tillstream_outbound::Policy;
use tracing_subscriber::EnvFilter;

use crate::tls::TlsFiles;

use super::notify::{self, Telling};
use super::{DEFAULT_DATA, DEFAULT_LISTEN, Written, Wrong, beside};

/// The variable that gives the master key itself.
const MASTER_KEY: &str = "TILLSTREAM_MASTER_KEY";
/// A master key is 32 bytes, written in this many hexadecimal characters.
const MASTER_KEY_CHARS: usize = 64;

/// Most master keys: the new one and, while it is rotated, the one before it.
const MAX_MASTER_KEYS: usize = 2;
/// Longest name of a node, in bytes.
const MAX_NODE: usize = 100;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Where the key that seals stored secrets comes from.
#[derive(Clone, Debug)]
pub enum MasterKeySource {
    /// Given as 64 hexadecimal characters.
    Given(Secret),
    /// In this file, which somebody named.
    File(PathBuf),
    /// In this file beside the data folder, which is made at first start.
    Own(PathBuf),
}

/// A server that holds events and state.
#[derive(Clone, Debug)]
pub struct Database {
    /// Its address, with the password.
    pub url: Secret,
    /// Certificates that its own may be signed with.
    pub ca_file: Option<PathBuf>,
}

impl Database {
    /// The address without what only the server may know.
    pub fn shown(&self) -> String {
        let url = self.url.reveal();
        let Some((scheme, rest)) = url.split_once("://") else { return self.url.masked() };
        match rest.rsplit_once('@').map(|(user, place)| (user.split(':').next().unwrap_or_default(), place)) {
            Some((user, place)) if rest.contains(':') => format!("{scheme}://{user}:…@{place}"),
            _ => url.to_owned(),
        }
    }
}

/// Everything the hub's process needs to know, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder for events and state.
    pub data: PathBuf,
    /// Where to serve.
    pub listen: SocketAddr,
    /// Networks opened for deliveries, as written.
    pub allow_networks: Vec<String>,
    /// The same as a policy.
    pub policy: Policy,
    /// Whether a proxy in front does TLS.
    pub behind_proxy: bool,
    /// With what the hub does TLS itself.
    pub tls: Option<TlsFiles>,
    /// Whether `/metrics` answers others than this machine.
    pub metrics_public: bool,
    /// Where the master key comes from.
    pub master_key: MasterKeySource,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Which log lines are written.
    pub log_level: String,
    /// The server instead of the folder.
    pub database: Option<Database>,
    /// What this node is called, if somebody said so.
    pub node: Option<String>,
    /// What others are told, and how.
    pub telling: Telling,
    /// The collector that takes traces.
    pub otlp_endpoint: Option<String>,
}

impl Config {
    /// Fills in what is missing and refuses what cannot work.
    pub fn check(written: Written, environment: &[(String, String)]) -> Result<Self, Wrong> {
        let telling = notify::check(&written)?;
        let database = database(written.database, written.database_ca)?;
        let data = written.data.unwrap_or_else(|| DEFAULT_DATA.into());
        let behind_proxy = written.behind_proxy.unwrap_or_default();
        let tls = tls(written.tls_cert, written.tls_key)?;
        let allow_networks = written.allow_networks.unwrap_or_default();
        let log_level = written.log_level.unwrap_or_else(|| "info".to_owned());
        EnvFilter::try_new(&log_level).map_err(|e| Wrong::new(format!("log_level \"{log_level}\": {e}")))?;
        Ok(Self {
            listen: listen(written.listen.as_deref().unwrap_or(DEFAULT_LISTEN), behind_proxy || tls.is_some())?,
            policy: Policy::new(&allow_networks).map_err(|e| Wrong::new(format!("allow_networks: {e}")))?,
            master_key: master_key(&data, written.master_key_file, environment)?,
            log_format: written.log_format.unwrap_or_default(),
            metrics_public: written.metrics_public.unwrap_or_default(),
            data,
            allow_networks,
            behind_proxy,
            tls,
            log_level,
            database,
            node: node(written.node)?,
            telling,
            otlp_endpoint: otlp(written.otlp_endpoint)?,
        })
    }

    /// All nodes on a database seal with one key, so none of them may make its own.
    pub fn shared_master_key(&self) -> Result<(), Wrong> {
        match self.master_key {
            MasterKeySource::Given(_) | MasterKeySource::File(_) => Ok(()),
            MasterKeySource::Own(_) => Err(Wrong::new(format!(
                "with a database every node needs the same master key: make one with `openssl rand -hex {}` and give it \
                 as {MASTER_KEY} or in a file with --master-key-file",
                MASTER_KEY_CHARS / 2
            ))),
        }
    }

    /// What this node is called, when it listens there.
    pub fn node_at(&self, address: SocketAddr) -> String {
        let machine = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.node.clone().unwrap_or_else(|| format!("{}:{}", machine(), address.port()))
    }

    /// The effective value of a key as TOML; None when it has none.
    pub fn shown(&self, key: &str) -> Option<String> {
        let value: toml::Value = match key {
            "data" => self.data.display().to_string().into(),
            "listen" => self.listen.to_string().into(),
            "allow_networks" => self.allow_networks.clone().into(),
            "behind_proxy" => self.behind_proxy.into(),
            "tls_cert" => self.tls.as_ref()?.cert.display().to_string().into(),
            "tls_key" => self.tls.as_ref()?.key.display().to_string().into(),
            "metrics_public" => self.metrics_public.into(),
            "master_key_file" => match &self.master_key {
                MasterKeySource::File(path) | MasterKeySource::Own(path) => path.display().to_string().into(),
                MasterKeySource::Given(_) => return None,
            },
            "log_format" => self.log_format.to_possible_value()?.get_name().into(),
            "log_level" => self.log_level.clone().into(),
            "database" => self.database.as_ref()?.shown().into(),
            "node" => self.node.clone()?.into(),
            "database_ca" => self.database.as_ref()?.ca_file.as_ref()?.display().to_string().into(),
            "otlp_endpoint" => self.otlp_endpoint.clone()?.into(),
            other => self.telling.shown(other)?,
        };
        Some(value.to_string())
    }
}

/// Where the first start leaves the administrator's key for commands on the same machine.
///
/// # Errors
/// As [`beside`].
pub fn admin_key_file(data: &Path) -> Result<PathBuf, Wrong> {
    beside(data, "admin-key")
}

fn database(url: Option<String>, ca_file: Option<PathBuf>) -> Result<Option<Database>, Wrong> {
    match url {
        None if ca_file.is_some() => Err(Wrong::new("database_ca is given without a database")),
        None => Ok(None),
        Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
            Ok(Some(Database { url: Secret::new(url), ca_file }))
        }
        Some(_) => Err(Wrong::new(
            "database is no address of a PostgreSQL server, such as postgres://user:password@host:5432/tillstream",
        )),
    }
}

fn otlp(url: Option<String>) -> Result<Option<String>, Wrong> {
    match url.filter(|url| !url.is_empty()) {
        Some(url) if tillstream_outbound::check_url(&url).is_err() => {
            Err(Wrong::new(format!("otlp_endpoint \"{url}\" is no URL, such as http://127.0.0.1:4318")))
        }
        url => Ok(url),
    }
}

fn node(name: Option<String>) -> Result<Option<String>, Wrong> {
    match name {
        Some(name) if name.is_empty() || name.len() > MAX_NODE || name.chars().any(char::is_control) => {
            Err(Wrong::new(format!("node \"{name}\" is no name: 1 to {MAX_NODE} bytes without control characters")))
        }
        name => Ok(name),
    }
}

fn tls(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsFiles>, Wrong> {
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
        (Some(_), None) => Err(Wrong::new("tls_cert is given without tls_key")),
        (None, Some(_)) => Err(Wrong::new("tls_key is given without tls_cert")),
    }
}

/// `:8080` is every address when nothing goes in clear text and loopback otherwise; `localhost` needs no lookup.
fn listen(text: &str, is_covered: bool) -> Result<SocketAddr, Wrong> {
    let wrong = || Wrong::new(format!("listen \"{text}\" is not an address with a port, such as {DEFAULT_LISTEN}"));
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let any = if is_covered { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    let address = match host {
        "" => SocketAddr::new(any.into(), port.parse().map_err(|_| wrong())?),
        "localhost" => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port.parse().map_err(|_| wrong())?),
        _ => text.parse().map_err(|_| wrong())?,
    };
    if is_loopback(address.ip()) || is_covered { Ok(address) } else { Err(clear_text(address)) }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn clear_text(address: SocketAddr) -> Wrong {
    Wrong::new(format!(
        "refusing to listen on {address} in clear text, where keys and payloads could be read on the way: give a \
         certificate with --tls-cert and --tls-key, or put a proxy that does TLS in front and add --behind-proxy, or \
         listen on 127.0.0.1"
    ))
}

fn master_key(data: &Path, file: Option<PathBuf>, environment: &[(String, String)]) -> Result<MasterKeySource, Wrong> {
    if let Some((_, key)) = environment.iter().find(|(name, _)| name == MASTER_KEY) {
        let is_key = |part: &str| part.len() == MASTER_KEY_CHARS && part.bytes().all(|b| b.is_ascii_hexdigit());
        let hex = key.split(',').count() <= MAX_MASTER_KEYS && key.split(',').all(is_key);
        let wrong = || {
            Wrong::new(format!(
                "{MASTER_KEY} is not {MASTER_KEY_CHARS} hexadecimal characters (or two such keys, the new one first, while \
                 it is rotated)"
            ))
        };
        return if hex { Ok(MasterKeySource::Given(Secret::new(key.as_str()))) } else { Err(wrong()) };
    }
    let Some(file) = file else { return Ok(MasterKeySource::Own(beside(data, "master-key")?)) };
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if absolute(&file).starts_with(absolute(data)) {
        return Err(Wrong::new(format!(
            "master_key_file {} lies inside the data folder, so a backup would carry the key to its own secrets: \
             put it elsewhere",
            file.display()
        )));
    }
    Ok(MasterKeySource::File(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written: Written, environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment: Vec<_> = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Config::check(written, &environment).map_err(|e| e.to_string())
    }

    fn listening(text: &str, behind_proxy: bool) -> Result<String, String> {
        let written = Written { listen: Some(text.into()), behind_proxy: Some(behind_proxy), ..Written::default() };
        check(written, &[]).map(|c| c.listen.to_string())
    }

    #[test]
    fn clear_text_beyond_loopback_needs_a_proxy_in_front() {
        for open in ["0.0.0.0:8080", "192.168.1.5:8080", "[::]:8080"] {
            assert!(listening(open, false).unwrap_err().contains("--behind-proxy"), "{open}");
            assert_eq!(listening(open, true).unwrap(), open);
        }
        for loopback in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            assert_eq!(listening(loopback, false).unwrap(), loopback);
        }
    }

    #[test]
    fn a_certificate_opens_every_address_and_comes_with_its_key() {
        let with = |cert: Option<&str>, key: Option<&str>| {
            let listen = Some("0.0.0.0:443".to_owned());
            check(
                Written { listen, tls_cert: cert.map(Into::into), tls_key: key.map(Into::into), ..Written::default() },
                &[],
            )
        };
        assert_eq!(with(Some("c"), Some("k")).unwrap().shown("tls_cert").unwrap(), "\"c\"");
        assert!(with(Some("c"), None).unwrap_err().contains("without tls_key"));
        assert!(with(None, Some("k")).unwrap_err().contains("without tls_cert"));
        assert!(with(None, None).unwrap_err().contains("--tls-cert"));
    }

    #[test]
    fn an_address_may_leave_out_its_host() {
        assert_eq!(listening(":81", false).unwrap(), "127.0.0.1:81");
        assert_eq!(listening(":81", true).unwrap(), "0.0.0.0:81");
        assert_eq!(listening("localhost:81", false).unwrap(), "127.0.0.1:81");
        for wrong in ["8080", ":", ":65536", "example.com:80", "127.0.0.1"] {
            assert!(listening(wrong, true).unwrap_err().contains("such as 127.0.0.1:8080"), "{wrong}");
        }
    }

    #[test]
    fn the_master_key_stands_beside_the_data_folder_and_never_inside() {
        let file = |data: &str, key: Option<&str>| {
            let written =
                Written { data: Some(data.into()), master_key_file: key.map(Into::into), ..Written::default() };
            check(written, &[]).map(|c| c.shown("master_key_file").unwrap_or_default())
        };
        assert_eq!(file("a/data", None).unwrap(), "\"a/data.master-key\"");
        assert_eq!(file("a/data/", None).unwrap(), "\"a/data.master-key\"");
        assert_eq!(file("data", Some("keys/k")).unwrap(), "\"keys/k\"");
        assert!(file("data", Some("data/k")).unwrap_err().contains("inside the data folder"));
        assert!(file("/", None).unwrap_err().contains("no name of its own"));
    }

    #[test]
    fn a_master_key_has_64_hexadecimal_characters() {
        for wrong in ["", "abc", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64)] {
            assert!(check(Written::default(), &[(MASTER_KEY, wrong)]).unwrap_err().contains("64 hexadecimal"));
        }
        let two = format!("{0},{0}", "0a".repeat(32));
        assert!(check(Written::default(), &[(MASTER_KEY, &format!("{two},{two}"))]).is_err());
        assert!(check(Written::default(), &[(MASTER_KEY, &two)]).is_ok(), "a new one and the one before it");
        let config = check(Written::default(), &[(MASTER_KEY, &"0a".repeat(32))]).unwrap();
        assert!(matches!(config.master_key, MasterKeySource::Given(_)));
    }

    #[test]
    fn networks_and_log_levels_are_checked_before_anything_starts() {
        let networks = Written { allow_networks: Some(vec!["10.0.0.0/33".into()]), ..Written::default() };
        assert!(check(networks, &[]).unwrap_err().starts_with("allow_networks: "));
        let level = Written { log_level: Some("hub=loud".into()), ..Written::default() };
        assert!(check(level, &[]).unwrap_err().starts_with("log_level "));
    }
}
