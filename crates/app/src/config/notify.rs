//! What others are told and how: thresholds, and the SMTP server.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tillstream_hub::notify::{self, Settings, Smtp, is_address};
use tillstream_model::integration::Secret;

use super::{Written, Wrong};

/// How the connection to the SMTP server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum SmtpTls {
    /// Not at all.
    None,
    /// After a beginning in clear text; a server that cannot is not used.
    #[default]
    Starttls,
    /// From the first byte.
    Tls,
}

impl SmtpTls {
    fn port(self) -> u16 {
        match self {
            SmtpTls::None => 25,
            SmtpTls::Starttls => 587,
            SmtpTls::Tls => 465,
        }
    }

    fn word(self) -> &'static str {
        match self {
            SmtpTls::None => "none",
            SmtpTls::Starttls => "starttls",
            SmtpTls::Tls => "tls",
        }
    }
}

impl From<SmtpTls> for notify::SmtpTls {
    fn from(tls: SmtpTls) -> Self {
        match tls {
            SmtpTls::None => notify::SmtpTls::None,
            SmtpTls::Starttls => notify::SmtpTls::Starttls,
            SmtpTls::Tls => notify::SmtpTls::Tls,
        }
    }
}

/// The settings, and those of them that are shown otherwise than they are used.
#[derive(Clone, Debug, Default)]
pub struct Telling {
    /// As the hub uses them.
    pub settings: Settings,
    tls: SmtpTls,
    ca_file: Option<PathBuf>,
}

/// Fills in what is missing and refuses what cannot work.
///
/// # Errors
/// [`Wrong`] names the key.
pub(super) fn check(written: &Written) -> Result<Telling, Wrong> {
    let defaults = Settings::default();
    let lagging = written.lagging_after_seconds.map_or(defaults.lagging_after, Duration::from_secs);
    if lagging.is_zero() {
        return Err(Wrong::new("lagging_after_seconds is not at least 1"));
    }
    let percent = written.storage_low_percent.unwrap_or(defaults.storage_low_percent.into());
    let percent = u8::try_from(percent).ok().filter(|p| *p <= 100);
    let settings = Settings {
        lagging_after: lagging,
        storage_low_percent: percent.ok_or_else(|| Wrong::new("storage_low_percent is not between 0 and 100"))?,
        storage_low_bytes: written.storage_low_bytes.unwrap_or(defaults.storage_low_bytes),
        smtp: smtp(written)?,
    };
    Ok(Telling { settings, tls: written.smtp_tls.unwrap_or_default(), ca_file: written.smtp_ca.clone() })
}

fn smtp(written: &Written) -> Result<Option<Smtp>, Wrong> {
    let Some(host) = written.smtp_host.clone() else {
        return match written.smtp_from.is_some() || written.smtp_user.is_some() || written.smtp_password.is_some() {
            true => Err(Wrong::new("smtp_host is missing: nobody would take the e-mails")),
            false => Ok(None),
        };
    };
    let from = written.smtp_from.clone().ok_or_else(|| Wrong::new("smtp_from is missing: whom e-mails are from"))?;
    if !is_address(&from) {
        return Err(Wrong::new(format!("smtp_from \"{from}\" is no e-mail address")));
    }
    if written.smtp_user.is_some() != written.smtp_password.is_some() {
        return Err(Wrong::new("smtp_user and smtp_password belong together: one of them is missing"));
    }
    let tls = written.smtp_tls.unwrap_or_default();
    let port = written.smtp_port.map_or(Some(tls.port()), |port| u16::try_from(port).ok().filter(|p| *p > 0));
    let ca = written.smtp_ca.as_ref().map(|file| {
        std::fs::read(file).map_err(|e| Wrong::new(format!("smtp_ca {} cannot be read: {e}", file.display())))
    });
    Ok(Some(Smtp {
        host,
        port: port.ok_or_else(|| Wrong::new("smtp_port is not between 1 and 65535"))?,
        tls: tls.into(),
        user: written.smtp_user.clone(),
        password: written.smtp_password.as_deref().map(Secret::new),
        from,
        ca: ca.transpose()?,
    }))
}

impl Telling {
    /// The effective value of a key; None when it has none.
    pub(super) fn shown(&self, key: &str) -> Option<toml::Value> {
        let whole = |number: u64| toml::Value::from(i64::try_from(number).unwrap_or(i64::MAX));
        let smtp = self.settings.smtp.as_ref();
        Some(match key {
            "smtp_host" => smtp?.host.clone().into(),
            "smtp_port" => i64::from(smtp?.port).into(),
            "smtp_tls" => smtp.map(|_| self.tls.word())?.into(),
            "smtp_ca" => self.ca_file.as_ref()?.display().to_string().into(),
            "smtp_user" => smtp?.user.clone()?.into(),
            "smtp_password" => smtp?.password.as_ref()?.masked().into(),
            "smtp_from" => smtp?.from.clone().into(),
            "lagging_after_seconds" => whole(self.settings.lagging_after.as_secs()),
            "storage_low_percent" => i64::from(self.settings.storage_low_percent).into(),
            "storage_low_bytes" => whole(self.settings.storage_low_bytes),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_host() -> Written {
        Written { smtp_host: Some("mail".into()), smtp_from: Some("t@example.com".into()), ..Written::default() }
    }

    fn refusal(written: Written) -> String {
        check(&written).expect_err("refused").to_string()
    }

    #[test]
    fn a_port_follows_from_how_the_connection_is_encrypted() {
        let port = |tls| check(&Written { smtp_tls: tls, ..with_host() }).unwrap().settings.smtp.unwrap().port;
        let of = [None, Some(SmtpTls::None), Some(SmtpTls::Tls)].map(port);
        assert_eq!(of, [587, 25, 465]);
        let own = Written { smtp_port: Some(2525), ..with_host() };
        assert_eq!(check(&own).unwrap().shown("smtp_port"), Some(2525.into()));
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_key() {
        assert!(
            refusal(Written { smtp_from: Some("t@example.com".into()), ..Written::default() }).contains("smtp_host")
        );
        assert!(refusal(Written { smtp_from: None, ..with_host() }).contains("smtp_from"));
        assert!(refusal(Written { smtp_from: Some("t".into()), ..with_host() }).contains("smtp_from"));
        assert!(refusal(Written { smtp_user: Some("u".into()), ..with_host() }).contains("smtp_password"));
        assert!(refusal(Written { smtp_port: Some(65_536), ..with_host() }).contains("smtp_port"));
        assert!(refusal(Written { smtp_ca: Some("/none".into()), ..with_host() }).contains("smtp_ca"));
        assert!(refusal(Written { storage_low_percent: Some(101), ..with_host() }).contains("storage_low_percent"));
        assert!(refusal(Written { lagging_after_seconds: Some(0), ..with_host() }).contains("lagging_after"));
    }

    #[test]
    fn a_password_is_shown_masked_only() {
        let (user, password) = (Some("u".into()), Some("a-long-pass-word".into()));
        let telling = check(&Written { smtp_user: user, smtp_password: password, ..with_host() }).unwrap();
        assert_eq!(telling.shown("smtp_password"), Some("…word".into()));
        assert_eq!(telling.shown("lagging_after_seconds"), Some(900.into()));
    }
}
