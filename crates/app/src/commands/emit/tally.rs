//! What became of the events.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api_client::{problem, refusal};
use crate::http::Answer;

/// Most kinds of problems that are told apart; further ones count as `other`.
const MAX_PROBLEMS: usize = 20;
/// What problem types start with (`contracts/hub-api.md`, first paragraph).
const URN: &str = "urn:tillstream:problem:";

/// Counts.
#[derive(Debug, Default)]
pub struct Tally {
    accepted: u64,
    duplicates: u64,
    /// Events of sites that nobody knows, which a person has to release.
    held: u64,
    problems: BTreeMap<String, Problem>,
}

#[derive(Debug, Default)]
struct Problem {
    count: u64,
    /// What the hub said about the first one.
    example: String,
}

impl Tally {
    /// Counts the answer to a batch.
    pub fn count(&mut self, answer: &Answer, events: usize) {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let rows = |key: &str| body[key].as_array().map(Vec::as_slice).unwrap_or_default();
        for row in rows("accepted") {
            self.accepted += 1;
            self.duplicates += u64::from(row["duplicate"] == true);
        }
        self.held += rows("held").len() as u64;
        for row in rows("rejected") {
            self.refuse(slug(&row["problem"]), 1, || words(row));
        }
        // A request that was refused as a whole has a problem instead of two lists.
        if body["accepted"].is_null() && body["rejected"].is_null() {
            self.refuse(slug(&body), events as u64, || refusal(answer));
        }
    }

    /// Adds another connection's counts.
    pub fn add(&mut self, other: Tally) {
        self.accepted += other.accepted;
        self.duplicates += other.duplicates;
        self.held += other.held;
        for (slug, problem) in other.problems {
            self.refuse(slug, problem.count, || problem.example);
        }
    }

    /// How many events were refused.
    pub fn refused(&self) -> u64 {
        self.problems.values().map(|p| p.count).sum()
    }

    /// How many events the hub has answered for.
    pub fn total(&self) -> u64 {
        self.accepted + self.held + self.refused()
    }

    /// For people.
    pub fn text(&self, elapsed: Duration) -> String {
        let total = self.total();
        let mut text = format!(
            "{total} events in {:.1} s ({:.0}/s): {} accepted, {} of them known already, {} refused",
            elapsed.as_secs_f64(),
            per_second(total, elapsed),
            self.accepted,
            self.duplicates,
            self.refused(),
        );
        if self.held > 0 {
            text.push_str(&format!(", {} held until their sites are released", self.held));
        }
        for (slug, problem) in &self.problems {
            text.push_str(&format!(
                "\n  {} × {slug}, such as: {}",
                problem.count,
                crate::output::one_line(&problem.example)
            ));
        }
        text
    }

    /// For scripts.
    pub fn to_json(&self, elapsed: Duration) -> Value {
        let problem = |(slug, p): (&String, &Problem)| json!({"problem": slug, "count": p.count, "example": p.example});
        json!({
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "held": self.held,
            "refused": self.refused(),
            "seconds": elapsed.as_secs_f64(),
            "problems": self.problems.iter().map(problem).collect::<Vec<_>>(),
        })
    }

    fn refuse(&mut self, slug: String, count: u64, example: impl FnOnce() -> String) {
        let known = self.problems.contains_key(&slug) || self.problems.len() < MAX_PROBLEMS;
        let slug = if known { slug } else { "other".to_owned() };
        let problem = self.problems.entry(slug).or_insert_with(|| Problem { count: 0, example: example() });
        problem.count += count;
    }
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(f64::EPSILON)
}

/// A problem is a slug, or a document with a type.
fn slug(problem: &Value) -> String {
    let name = problem.as_str().or_else(|| problem["type"].as_str()).unwrap_or("refused");
    name.strip_prefix(URN).unwrap_or(name).to_owned()
}

fn words(row: &Value) -> String {
    let said = if row["problem"].is_object() { &row["problem"] } else { row };
    format!("event {} of its request: {}", row["index"], problem(said))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    fn answer(status: u16, body: &Value) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: Default::default(),
            body: body.to_string().into(),
        }
    }

    #[test]
    fn every_event_of_an_answer_is_counted_once() {
        let mut tally = Tally::default();
        let problem = json!({"type": format!("{URN}invalid-event"), "detail": "no name"});
        let body = json!({"accepted":[{"index":0,"duplicate":false},{"index":2,"duplicate":true}],"rejected":[{"index":1,"problem":problem}]});
        tally.count(&answer(207, &body), 3);
        tally.count(&answer(413, &json!({"type":"urn:tillstream:problem:too-large","detail":"10 MiB at most"})), 5);
        let mut total = Tally::default();
        total.add(tally);
        assert_eq!((total.accepted, total.duplicates, total.refused()), (2, 1, 6));
        let text = total.text(Duration::from_secs(2));
        assert!(text.starts_with("8 events in 2.0 s (4/s): 2 accepted, 1 of them known already, 6 refused"), "{text}");
        assert!(text.contains("1 × invalid-event, such as: event 1 of its request: no name"), "{text}");
        assert!(text.contains("5 × too-large"), "{text}");
    }

    #[test]
    fn held_events_are_counted_for_themselves() {
        let mut tally = Tally::default();
        let held = json!({"index": 0, "duplicate": false});
        tally.count(&answer(202, &json!({"accepted": [], "rejected": [], "held": [held]})), 1);
        assert_eq!((tally.total(), tally.refused()), (1, 0));
        assert!(tally.text(Duration::from_secs(1)).ends_with("0 refused, 1 held until their sites are released"));
        assert_eq!(tally.to_json(Duration::from_secs(1))["held"], 1);
    }

    #[test]
    fn kinds_of_problems_beyond_the_limit_are_counted_together() {
        let mut tally = Tally::default();
        for n in 0..=MAX_PROBLEMS {
            tally.refuse(format!("p{n}"), 1, String::new);
        }
        assert_eq!(tally.problems.len(), MAX_PROBLEMS + 1);
        assert_eq!(tally.problems["other"].count, 1);
    }
}
