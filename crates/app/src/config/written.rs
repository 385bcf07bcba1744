//! The configuration as people write it: the same keys as options, variables and in the file.

use std::path::PathBuf;

use clap::Args;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use super::LogFormat;
use super::notify::SmtpTls;

/// The file that is read when it exists and no other is named.
const DEFAULT_FILE: &str = "tillstream.toml";

/// Which file to read.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigFile {
    /// Read settings from this file [default: tillstream.toml, if there is one]
    #[arg(long = "config", value_name = "FILE", env = "TILLSTREAM_CONFIG", hide_env_values = true)]
    file: Option<PathBuf>,
}

impl ConfigFile {
    /// The file named, or the default one if it exists.
    pub fn path(&self) -> Option<PathBuf> {
        self.file.clone().or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.is_file()))
    }
}

/// Every setting, all optional.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Written {
    /// Folder for events and state, made when missing [default: data]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,

    /// Address and port to serve on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,

    /// Networks beyond the public internet that deliveries may go to: CIDRs, or `lan` for private ranges
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "list")]
    pub allow_networks: Option<Vec<String>>,

    /// A proxy in front does TLS: allow listening beyond loopback in clear text
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "switch")]
    pub behind_proxy: Option<bool>,

    /// File with the certificate (PEM) to do TLS with, and those it was signed with; read again when it changes
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<PathBuf>,

    /// File with the certificate's key (PEM)
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,

    /// Let `/metrics` answer others than this machine
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "switch")]
    pub metrics_public: Option<bool>,

    /// File with the key that seals stored secrets, made at first start [default: <DATA>.master-key]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_key_file: Option<PathBuf>,

    /// How log lines are written to standard error [default: text]
    #[arg(long, value_name = "text|json", value_enum, hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,

    /// Least severe log lines shown, also by part: `info`, `warn,tillstream_hub=debug` [default: info]
    #[arg(long, value_name = "LEVEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,

    /// Keep events and state in PostgreSQL 14 or newer instead of the folder: postgres://user@host[,host]/name
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,

    /// File with certificates (PEM) that the database server's may be signed with, besides the well-known ones
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_ca: Option<PathBuf>,

    /// What this node is called among others on the same database [default: the machine's name and the port]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,

    /// SMTP server that takes e-mails to contacts; without one there are none
    #[arg(long, value_name = "HOST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_host: Option<String>,

    /// Its port [default: 25, 587 with starttls, 465 with tls]
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number")]
    pub smtp_port: Option<u64>,

    /// How the connection to it is encrypted [default: starttls]
    #[arg(long, value_name = "none|starttls|tls", value_enum, hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_tls: Option<SmtpTls>,

    /// File with certificates (PEM) that the SMTP server's may be signed with, besides the well-known ones
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_ca: Option<PathBuf>,

    /// User at the SMTP server; its password is TILLSTREAM_SMTP_PASSWORD, or smtp_password in the file
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_user: Option<String>,

    /// The user's password: not an option, which others on the machine could read.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_password: Option<String>,

    /// Address that e-mails are from, such as `Tillstream <tillstream@example.com>`
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_from: Option<String>,

    /// An integration whose oldest event has waited so long is told of as lagging [default: 900]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number")]
    pub lagging_after_seconds: Option<u64>,

    /// Least share of the disk that is free, in percent; with less the operator's contacts are told [default: 10]
    #[arg(long, value_name = "PERCENT")]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number")]
    pub storage_low_percent: Option<u64>,

    /// Least number of bytes that are free, likewise [default: 2147483648]
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number")]
    pub storage_low_bytes: Option<u64>,

    /// Collector that takes traces by OTLP over HTTP, such as http://127.0.0.1:4318; OTEL_EXPORTER_OTLP_ENDPOINT too
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
}

/// Every key of [`Written`], in the order in which `tillstream config` prints them.
pub const KEYS: &[&str] = &[
    "data",
    "listen",
    "allow_networks",
    "behind_proxy",
    "tls_cert",
    "tls_key",
    "metrics_public",
    "master_key_file",
    "log_format",
    "log_level",
    "database",
    "database_ca",
    "node",
    "smtp_host",
    "smtp_port",
    "smtp_tls",
    "smtp_ca",
    "smtp_user",
    "smtp_password",
    "smtp_from",
    "lagging_after_seconds",
    "storage_low_percent",
    "storage_low_bytes",
    "otlp_endpoint",
];

/// A whole number, or its text as variables have it.
fn number<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a whole number")]
    enum Spelling {
        Number(u64),
        Text(String),
    }
    match Spelling::deserialize(d)? {
        Spelling::Number(value) => Ok(Some(value)),
        Spelling::Text(text) => {
            text.parse().map(Some).map_err(|_| D::Error::custom(format!("\"{text}\" is no whole number")))
        }
    }
}

/// A list, or one text with commas as variables have it.
fn list<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a list of texts, or one text with commas")]
    enum Spelling {
        Text(String),
        List(Vec<String>),
    }
    Ok(Some(match Spelling::deserialize(d)? {
        Spelling::List(list) => list,
        Spelling::Text(text) => text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect(),
    }))
}

/// A boolean, or its text as variables have it.
fn switch<'de, D: Deserializer<'de>>(d: D) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "true or false")]
    enum Spelling {
        Bool(bool),
        Text(String),
    }
    match Spelling::deserialize(d)? {
        Spelling::Bool(value) => Ok(Some(value)),
        Spelling::Text(text) => match text.as_str() {
            "true" | "1" | "yes" | "on" => Ok(Some(true)),
            "false" | "0" | "no" | "off" | "" => Ok(Some(false)),
            other => Err(D::Error::custom(format!("\"{other}\" is neither true nor false"))),
        },
    }
}
