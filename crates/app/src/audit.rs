//! What commands change is noted in the audit, as what is changed over the API is.

use serde_json::Value;
use tillstream_model::CompanyNo;
use tillstream_store::State;
use tillstream_store::state::AuditEntry;

use crate::wire;

/// Where the system's users have their names.
const USERS: &str = "/etc/passwd";

/// Notes that whoever runs this command did something.
///
/// # Errors
/// When the state cannot be written.
pub async fn note(
    state: &dyn State,
    company: Option<CompanyNo>,
    action: &str,
    object: String,
    (before, after): (Option<Value>, Option<Value>),
) -> anyhow::Result<()> {
    let text = |value: Option<Value>| value.map(|v| v.to_string());
    let entry = AuditEntry {
        company,
        at: wire::now(),
        actor: format!("cli {}", user()),
        action: action.to_owned(),
        object,
        before: text(before),
        after: text(after),
    };
    Ok(state.record(entry).await?)
}

/// The user of the operating system who runs this; the variables that name one can say anything.
fn user() -> String {
    let id = rustix::process::getuid().as_raw();
    let users = std::fs::read_to_string(USERS).unwrap_or_default();
    name_in(&users, id).unwrap_or_else(|| id.to_string())
}

fn name_in(users: &str, id: u32) -> Option<String> {
    let mut rows = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let row = rows.find(|row| row.get(2).is_some_and(|n| n.parse() == Ok(id)))?;
    row.first().filter(|name| !name.is_empty()).map(|name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_by_their_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\n\nbroken\ntill:x:1000:1000::/home/till:/bin/sh\n";
        assert_eq!(name_in(users, 1_000).as_deref(), Some("till"));
        assert_eq!(name_in(users, 0).as_deref(), Some("root"));
        assert_eq!(name_in(users, 7), None);
    }
}
