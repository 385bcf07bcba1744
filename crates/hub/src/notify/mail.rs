//! Messages as e-mails, through the one server that the operator configured. It is the operator's own address, so it
//! need not pass the guard that keeps companies' targets away from the inside.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tillstream_model::integration::Secret;

use super::letter::Letter;
use super::post::DEADLINE;

/// One command of the exchange with the server and its answer.
const COMMAND: Duration = Duration::from_secs(10);

/// The server that takes e-mails.
#[derive(Clone, Debug)]
pub struct Smtp {
    /// Its name, which its certificate is checked for.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: SmtpTls,
    /// Who the hub is there.
    pub user: Option<String>,
    /// And its password.
    pub password: Option<Secret>,
    /// Who mails are from.
    pub from: String,
    /// Certificates (PEM) that the server's may be signed with, besides the well-known ones.
    pub ca: Option<Vec<u8>>,
}

/// How the connection to the server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SmtpTls {
    /// Not at all.
    None,
    /// It begins in clear text and is encrypted before anything is said; a server that cannot is not used.
    #[default]
    Starttls,
    /// From the first byte.
    Tls,
}

/// Whether a text is an address that mails can be sent to or from, with or without a name.
pub fn is_address(text: &str) -> bool {
    text.parse::<Mailbox>().is_ok()
}

/// Sends it to all; why not, in one line.
pub(super) async fn send(smtp: Option<&Smtp>, to: &[String], letter: &Letter<'_>) -> Result<(), String> {
    let smtp = smtp.ok_or("no SMTP server is configured")?;
    let mail = mail(smtp, to, letter)?;
    let transport = transport(smtp)?;
    let place = format!("{}:{}", smtp.host, smtp.port);
    match tokio::time::timeout(DEADLINE, transport.send(mail)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(e)) => Err(format!("the SMTP server {place}: {}", reason(&e))),
        Err(_) => Err(format!("the SMTP server {place} did not take it within {} s", DEADLINE.as_secs())),
    }
}

fn mail(smtp: &Smtp, to: &[String], letter: &Letter<'_>) -> Result<Message, String> {
    let address = |text: &str| text.parse::<Mailbox>().map_err(|e| format!("the address {text}: {e}"));
    let mut builder: MessageBuilder = Message::builder().from(address(&smtp.from)?).subject(letter.subject());
    for text in to {
        builder = builder.to(address(text)?);
    }
    let domain = smtp.from.rsplit('@').next().unwrap_or_default().trim_end_matches('>');
    let builder = builder.message_id(Some(format!("<{}@{domain}>", letter.id()))).header(ContentType::TEXT_PLAIN);
    builder.body(letter.text()).map_err(|e| e.to_string())
}

fn transport(smtp: &Smtp) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host);
    let builder = builder.port(smtp.port).timeout(Some(COMMAND)).tls(match smtp.tls {
        SmtpTls::None => Tls::None,
        SmtpTls::Starttls => Tls::Required(parameters(smtp)?),
        SmtpTls::Tls => Tls::Wrapper(parameters(smtp)?),
    });
    Ok(match (&smtp.user, &smtp.password) {
        (Some(user), Some(password)) => {
            builder.credentials(Credentials::new(user.clone(), password.reveal().to_owned())).build()
        }
        _ => builder.build(),
    })
}

fn parameters(smtp: &Smtp) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(smtp.host.clone());
    if let Some(pem) = &smtp.ca {
        builder = builder.add_root_certificate(Certificate::from_pem(pem).map_err(|e| e.to_string())?);
    }
    builder.build_rustls().map_err(|e| e.to_string())
}

/// An error with what is behind it, in one line.
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(e) = source {
        text = format!("{text}: {e}");
        source = e.source();
    }
    text.replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_name_and_must_have_a_domain() {
        for right in ["ops@example.com", "Ops <ops@example.com>"] {
            assert!(is_address(right), "{right}");
        }
        for wrong in ["", "ops", "ops@", "a@b.c, d@e.f", "ops@example.com\r\nbcc: x@example.com"] {
            assert!(!is_address(wrong), "{wrong}");
        }
    }
}
