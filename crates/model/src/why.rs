//! Why something did not arrive, and the one thing to do: from what is known to a verdict and advice.

mod facts;

use serde::{Deserialize, Serialize};

pub use facts::*;

/// What is the matter, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the table in `decide` says it
pub enum Verdict {
    CompanySuspended,
    SiteNeverHeard,
    SiteSilent,
    NotReceived,
    NoIntegration,
    Stopped,
    CircuitOpen,
    Braked,
    LaneFull,
    Paused,
    WaitsForRetry,
    WaitsBehindAnother,
    Queued,
    Rejected,
    AttemptsExhausted,
    Expired,
    TransformFailed,
    SiteOff,
    ConditionFails,
    NotSelected,
    BeforeStart,
    Deleted,
    Settled,
    DeliveredLate,
    Delivered,
    Received,
}

/// What to do, as programs know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the sentences beside them say it
pub enum Advice {
    ResumeCompany,
    CheckSiteId,
    CheckSite,
    CheckSource,
    CreateIntegration,
    StartIntegration,
    FixAndStart,
    FixReceiver,
    FixCredentials,
    FixOrReleaseBrake,
    Wait,
    FixAndRetry,
    RetryRejected,
    RaiseMaxAge,
    FixSettings,
    SwitchSiteOn,
    ChangeCondition,
    SelectEvents,
    StartEarlier,
    SendAgainFromSource,
    LookAtReceiver,
    Nothing,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What is the matter.
    pub verdict: Verdict,
    /// The same in a sentence.
    pub summary: String,
    /// The one thing to do.
    pub advice: Advice,
    /// The same in a sentence.
    pub todo: String,
}

fn answer(verdict: Verdict, summary: impl Into<String>, advice: Advice, todo: impl Into<String>) -> Answer {
    Answer { verdict, summary: summary.into(), advice, todo: todo.into() }
}

/// What is the matter and what to do. What keeps everything back comes before what keeps something back, and what
/// still waits before what is over.
pub fn decide(facts: &Facts) -> Answer {
    if facts.suspended {
        let todo = "Have the operator resume the company.";
        return answer(Verdict::CompanySuspended, "The company is suspended.", Advice::ResumeCompany, todo);
    }
    if facts.received.count == 0 {
        return nothing_came(facts);
    }
    match &facts.lane {
        Some(lane) => of_lane(lane, &facts.received),
        None if facts.no_integrations => {
            let todo = "Make an integration; with `starts_at` it gets what came before it, too.";
            answer(Verdict::NoIntegration, came(&facts.received), Advice::CreateIntegration, todo)
        }
        None => answer(Verdict::Received, came(&facts.received), Advice::Nothing, "Ask about an integration."),
    }
}

fn came(received: &Received) -> String {
    match received.last_at {
        Some(at) => format!("{} came, the last one at {at}.", events(received.count)),
        None => format!("{} came.", events(received.count)),
    }
}

fn events(count: u64) -> String {
    if count == 1 { "1 event".to_owned() } else { format!("{count} events") }
}

fn nothing_came(facts: &Facts) -> Answer {
    let Some(site) = &facts.site else {
        let todo = "Check that the source sends it, under this name, id and date, with a key of this company.";
        return answer(Verdict::NotReceived, "Nothing of this came.", Advice::CheckSource, todo);
    };
    let id = &site.id;
    match site.last_heard {
        None if !site.known => answer(
            Verdict::SiteNeverHeard,
            format!("No event ever named site {id}."),
            Advice::CheckSiteId,
            "Check the site's id: it may send under another one, which can be made an alias.",
        ),
        None => answer(
            Verdict::SiteNeverHeard,
            format!("Site {id} is set up, and nothing ever came from it."),
            Advice::CheckSite,
            "Check that the site's source is switched on and has a valid key.",
        ),
        Some(last) if site.is_silent(facts.now) => answer(
            Verdict::SiteSilent,
            format!("Site {id} is silent: it was last heard from at {last}."),
            Advice::CheckSite,
            "Check the site's connection and its source.",
        ),
        Some(last) => answer(
            Verdict::NotReceived,
            format!("Nothing of this came from site {id}, which was last heard from at {last}."),
            Advice::CheckSource,
            "Check that the source sends it, under this name, id and date.",
        ),
    }
}

fn of_lane(lane: &Lane, received: &Received) -> Answer {
    if lane.counts.pending() > 0 {
        return pending(lane);
    }
    if let Some(worst) = lane.counts.rejected.iter().max_by_key(|r| r.count) {
        return rejected(lane, worst);
    }
    ended(lane, received)
}

fn pending(lane: &Lane) -> Answer {
    let waits = format!("{} of {} for \"{}\"", waiting(lane.counts.pending()), came_to(lane), lane.id);
    if let Some(stopped) = &lane.stopped {
        return stopped_lane(&waits, stopped);
    }
    match &lane.held_up {
        Some(HeldUp::Circuit { since, next_probe }) => {
            let summary = format!("{waits}: the receiver fails since {since}; the next probe is at {next_probe}.");
            receiver_fails(Verdict::CircuitOpen, summary, lane)
        }
        Some(HeldUp::Brake { since }) => answer(
            Verdict::Braked,
            format!("{waits}: the receiver refuses nearly everything since {since}."),
            Advice::FixOrReleaseBrake,
            "Fix the receiver; or release the brake, then what it refuses is rejected.",
        ),
        Some(HeldUp::Full { parked }) => answer(
            Verdict::LaneFull,
            format!("{waits}: {parked} wait for a retry, as many as may; nothing further is read."),
            Advice::FixReceiver,
            "Fix the receiver: events go on as soon as some of these are delivered.",
        ),
        Some(HeldUp::Paused { until }) => answer(
            Verdict::Paused,
            format!("{waits}: the receiver asked to be left alone until {until}."),
            Advice::Wait,
            format!("Wait until {until}: it goes on by itself."),
        ),
        None => waits_its_turn(lane, &waits),
    }
}

fn waiting(count: u64) -> String {
    if count == 1 { "1 waits".to_owned() } else { format!("{count} wait") }
}

fn came_to(lane: &Lane) -> String {
    let c = &lane.counts;
    let wanted = c.delivered + c.pending() + c.rejections() + c.deleted + c.settled;
    events(wanted)
}

fn stopped_lane(waits: &str, stopped: &Change) -> Answer {
    let Change { by, at, reason } = stopped;
    let why = reason.as_deref().filter(|r| !r.is_empty()).map_or_else(String::new, |r| format!(" ({r})"));
    let summary = format!("{waits}: the integration was stopped at {at} by {by}{why}.");
    match by.as_str() {
        "system" => {
            let todo = "Fix what the reason says, then start the integration: it goes on where it stopped.";
            answer(Verdict::Stopped, summary, Advice::FixAndStart, todo)
        }
        _ => {
            let todo = "Start the integration: it goes on where it stopped, and nothing is lost.";
            answer(Verdict::Stopped, summary, Advice::StartIntegration, todo)
        }
    }
}

fn receiver_fails(verdict: Verdict, summary: String, lane: &Lane) -> Answer {
    match lane.counts.last_status {
        Some(401 | 403) => {
            let todo = "Correct the authorization in the integration's target: the receiver does not accept it.";
            answer(verdict, summary, Advice::FixCredentials, todo)
        }
        _ => {
            let todo = "Repair the receiver or its address: what waits is sent by itself then.";
            answer(verdict, summary, Advice::FixReceiver, todo)
        }
    }
}

fn waits_its_turn(lane: &Lane, waits: &str) -> Answer {
    let c = &lane.counts;
    if c.retrying > 0 {
        let next = c.next_try.map_or_else(String::new, |t| format!("; the next attempt is at {t}"));
        let error = c.last_error.as_deref().map_or_else(String::new, |e| format!(", the last one said: {e}"));
        let summary = format!("{waits}: attempts failed{error}{next}.");
        return receiver_fails(Verdict::WaitsForRetry, summary, lane);
    }
    if c.behind > 0 {
        return answer(
            Verdict::WaitsBehindAnother,
            format!("{waits}, behind an earlier event of the same entity that is tried again."),
            Advice::Wait,
            "Look at the earlier event of this entity: this one follows as soon as that is settled.",
        );
    }
    let todo = "Wait a moment: it is sent by itself.";
    answer(Verdict::Queued, format!("{waits}: its turn has not come yet."), Advice::Wait, todo)
}

fn rejected(lane: &Lane, worst: &GivenUp) -> Answer {
    let status = worst.status.map_or_else(String::new, |s| format!(", status {s}"));
    let summary = format!(
        "{} of {} given up by \"{}\": {}{status}.",
        lane.counts.rejections(),
        came_to(lane),
        lane.id,
        worst.reason
    );
    match worst.reason.as_str() {
        "expired" => {
            let todo =
                "Retry it among the rejected events, and raise delivery.max_age_seconds if it should not expire.";
            answer(Verdict::Expired, summary, Advice::RaiseMaxAge, todo)
        }
        "attempts_exhausted" => {
            let todo = "Once the receiver works, retry it among the rejected events.";
            answer(Verdict::AttemptsExhausted, summary, Advice::RetryRejected, todo)
        }
        "transform_failed" => {
            let todo = "Correct the integration's settings, then retry it among the rejected events.";
            answer(Verdict::TransformFailed, summary, Advice::FixSettings, todo)
        }
        _ => {
            let todo = "See what the receiver answered, fix that, then retry it among the rejected events.";
            answer(Verdict::Rejected, summary, Advice::FixAndRetry, todo)
        }
    }
}

/// Nothing waits and nothing was rejected.
fn ended(lane: &Lane, received: &Received) -> Answer {
    let (c, id) = (&lane.counts, &lane.id);
    if c.late > 0 {
        let summary = format!("\"{id}\" delivered {}, {} of them late.", events(c.delivered), c.late);
        let todo = "Nothing: the receiver has it. Its attempts say what it waited for.";
        return answer(Verdict::DeliveredLate, summary, Advice::Nothing, todo);
    }
    if c.delivered > 0 {
        let todo = "Look at the receiver: it confirmed them. Search there for their webhook-id.";
        let summary = format!("\"{id}\" delivered {}.", events(c.delivered));
        return answer(Verdict::Delivered, summary, Advice::LookAtReceiver, todo);
    }
    if c.deleted > 0 {
        let summary = format!("{} not sent to \"{id}\": the payload was deleted before.", events(c.deleted));
        let todo = "Send it again from the source, under another idempotency id, if it is needed.";
        return answer(Verdict::Deleted, summary, Advice::SendAgainFromSource, todo);
    }
    if let Some(no) = c.unwanted.iter().max_by_key(|no| (no.rule != "events", no.count)) {
        return unwanted(id, no);
    }
    if c.before_start > 0 {
        let summary = format!("\"{id}\" begins after {}.", events(c.before_start));
        let todo = "Make an integration that begins earlier (`starts_at`), or send them again from the source.";
        return answer(Verdict::BeforeStart, summary, Advice::StartEarlier, todo);
    }
    let summary = format!("\"{id}\" is done with {}; how is no longer kept.", events(received.count));
    answer(Verdict::Settled, summary, Advice::Nothing, "Nothing: attempts are kept 30 days.")
}

fn unwanted(id: &str, no: &No) -> Answer {
    let set = no.set.as_ref().map_or_else(String::new, |s| format!(", set at {} by {}", s.at, s.by));
    let summary = |what: &str| format!("\"{id}\" did not want {}: {what}{set}.", events(no.count));
    match no.rule.as_str() {
        "events" => {
            let todo = "Add the event's entity or name to the integration's `events`.";
            answer(Verdict::NotSelected, summary("it is not selected"), Advice::SelectEvents, todo)
        }
        "availability" => {
            let todo = "Switch the site on in the integration's `availability`.";
            answer(Verdict::SiteOff, summary("the site is switched off"), Advice::SwitchSiteOn, todo)
        }
        rule => {
            let todo = "Change the condition in the integration's settings, if the event should pass.";
            answer(Verdict::ConditionFails, summary(&format!("{rule} says no")), Advice::ChangeCondition, todo)
        }
    }
}

#[cfg(test)]
mod tests;
