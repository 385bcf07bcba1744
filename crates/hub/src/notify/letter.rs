//! A message as it is written: JSON for programs, text for people.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tillstream_model::Time;
use tillstream_model::mailbox::{Message, Notice, Thread};

/// Bytes of the hash in a message's id.
const ID_BYTES: usize = 12;

/// A message on its way.
pub(super) struct Letter<'a> {
    /// The company's external id; None: the instance's.
    pub(super) company: Option<&'a str>,
    /// What the contact is called.
    pub(super) contact: &'a str,
    /// What it says.
    pub(super) message: &'a Message,
    /// When it is sent.
    pub(super) now: Time,
}

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    company: Option<&'a str>,
    contact: &'a str,
    sent_at: Time,
    notices: Vec<Item<'a>>,
    left_out: u64,
}

#[derive(Serialize)]
struct Item<'a> {
    name: &'a str,
    subject: &'a str,
    count: u64,
    first_at: Time,
    last_at: Time,
    newest: Vec<Said<'a>>,
}

#[derive(Serialize)]
struct Said<'a> {
    at: Time,
    data: &'a Value,
}

impl Letter<'_> {
    /// Names what it says: a message that is sent again is the same one.
    pub(super) fn id(&self) -> String {
        let mut hash = Sha256::new().chain_update(self.company.unwrap_or_default()).chain_update([0]);
        for thread in &self.message.threads {
            let said = format!("{}\n{}\n{}\n{}\n", thread.name, thread.subject, thread.last_id, thread.count);
            hash.update(said);
        }
        hash.update(self.message.left_out.to_be_bytes());
        let digits: String = hash.finalize()[..ID_BYTES].iter().map(|b| format!("{b:02x}")).collect();
        format!("ntf_{digits}")
    }

    /// For a program.
    pub(super) fn json(&self) -> String {
        let said = |n: &'_ Notice| n.at;
        let item = |t: &'_ Thread| t.newest.last().map_or(t.first_at, said);
        let notices = self.message.threads.iter().map(|t| Item {
            name: &t.name,
            subject: &t.subject,
            count: t.count,
            first_at: t.first_at,
            last_at: item(t),
            newest: t.newest.iter().map(|n| Said { at: n.at, data: &n.data }).collect(),
        });
        let body = Body {
            id: &self.id(),
            company: self.company,
            contact: self.contact,
            sent_at: self.now,
            notices: notices.collect(),
            left_out: self.message.left_out,
        };
        // Texts and numbers only: nothing in it cannot be written.
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// The subject of an e-mail.
    pub(super) fn subject(&self) -> String {
        let place = self.company.map(|c| format!(" ({c})")).unwrap_or_default();
        match self.message.threads.as_slice() {
            [one] => one_line(&format!("Tillstream{place}: {} {}", one.name, one.subject)),
            many => one_line(&format!("Tillstream{place}: {} things to look at", many.len())),
        }
    }

    /// For a person.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for thread in &self.message.threads {
            let times = if thread.count == 1 { String::new() } else { format!(", {} times", thread.count) };
            // Writing to a text does not fail.
            let _ = writeln!(text, "{} {}{times}", thread.name, one_line(&thread.subject));
            for notice in &thread.newest {
                let _ = writeln!(text, "  {}  {}", notice.at, said(&notice.data));
            }
            text.push('\n');
        }
        if self.message.left_out > 0 {
            let _ = writeln!(text, "{} more about other things are not shown here.\n", self.message.left_out);
        }
        let company = self.company.unwrap_or("the instance");
        let _ = writeln!(text, "-- \nTillstream, {company}. You get this as \"{}\".", one_line(self.contact));
        text
    }
}

fn said(data: &Value) -> String {
    match data["reason"].as_str() {
        Some(reason) => one_line(reason),
        None => data.to_string(),
    }
}

fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tillstream_model::mailbox::Mailbox;

    const AT: Time = Time::from_millis(1_795_255_200_000);

    fn message(reasons: &[&str]) -> Message {
        let mut mailbox = Mailbox::default();
        for (n, reason) in reasons.iter().enumerate() {
            let (id, name) = (format!("n{n}"), "integration.failing".to_owned());
            mailbox.add(Notice { id, name, subject: "erp".into(), at: AT, data: json!({"reason": reason}) });
        }
        mailbox.due(AT).unwrap()
    }

    fn letter(message: &Message) -> Letter<'_> {
        Letter { company: Some("acme"), contact: "Ops", message, now: AT }
    }

    #[test]
    fn a_message_is_written_for_programs_and_for_people() {
        let message = message(&["503", "504"]);
        let letter = letter(&message);
        let body: Value = serde_json::from_str(&letter.json()).unwrap();
        let at = "2026-11-21T10:00:00.000Z";
        let newest = json!([{"at": at, "data": {"reason": "503"}}, {"at": at, "data": {"reason": "504"}}]);
        let notice = json!({"name": "integration.failing", "subject": "erp", "count": 2, "first_at": at, "last_at": at,
            "newest": newest});
        let expected = json!({"id": letter.id(), "company": "acme", "contact": "Ops", "sent_at": at,
            "notices": [notice], "left_out": 0});
        assert_eq!(body, expected);
        assert_eq!(letter.subject(), "Tillstream (acme): integration.failing erp");
        let text = letter.text();
        assert!(text.starts_with(&format!("integration.failing erp, 2 times\n  {at}  503\n  {at}  504\n\n")), "{text}");
    }

    #[test]
    fn the_same_message_has_the_same_id_and_another_one_another() {
        let (one, two) = (message(&["503"]), message(&["503", "504"]));
        let later = Letter { now: AT + std::time::Duration::from_secs(9), ..letter(&one) };
        assert_eq!(later.id(), letter(&one).id());
        assert_ne!(letter(&one).id(), letter(&two).id());
    }

    #[test]
    fn no_text_can_add_a_line_to_the_head_of_a_mail() {
        let mut message = message(&["a\r\nb"]);
        message.threads[0].subject = "erp\r\nbcc: x@example.com".into();
        assert!(!letter(&message).subject().contains(['\r', '\n']));
    }
}
