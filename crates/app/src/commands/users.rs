//! `tillstream users`: the people of a company, written into the data folder; works while the hub runs.

use anyhow::{Context, anyhow, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use tillstream_hub::access::sessions::Presence;
use tillstream_hub::access::{Grant, Privilege};
use tillstream_hub::api::MAX_USERS;
use tillstream_hub::documents::{self, Saved};
use tillstream_hub::people::{self, User, UserStatus};
use tillstream_model::Time;
use tillstream_store::State;
use tillstream_store::state::Company;

use super::place::{Place, open_existing};
use crate::config::{Config, Wrong};
use crate::process::url_of;
use crate::{audit, bootstrap, output, wire};

const EXAMPLES: &str = "\
Examples:
  tillstream users create --email ada@stores.example --name Ada
  tillstream users create --email bob@stores.example --privilege tools.view,site_services.view
  tillstream users list --json
  tillstream users link --email ada@stores.example

Privileges: company.view, site_services.view, services.configure, tools.view, tools.manage,
events.view_payload, users.manage; `all` is everything in the company. A link is good once, for a
day: with it a person sets a password, and every session they had ends.";

/// What to do.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Make somebody and print their sign-in link, alone, on standard output
    Create {
        /// Their e-mail address
        #[arg(long)]
        email: String,
        /// What people call them
        #[arg(long, default_value = "")]
        name: String,
        /// What they may do, for the whole company; may be given several times
        #[arg(long = "privilege", value_name = "PRIVILEGE", default_value = "all", value_delimiter = ',', value_parser = privilege)]
        privileges: Vec<Privilege>,
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        reached: Reached,
    },
    /// The people of a company
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        of: Of,
    },
    /// Print a new sign-in link for somebody, alone, on standard output
    Link {
        /// Their e-mail address
        #[arg(long)]
        email: String,
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        reached: Reached,
    },
}

/// Whose people.
#[derive(clap::Args, Debug)]
struct Of {
    /// The company's id [default: the first company]
    #[arg(long, value_name = "ID")]
    company: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// How people reach the hub.
#[derive(clap::Args, Debug)]
struct Reached {
    /// Where the person reaches the hub [default: the address it listens on]
    #[arg(long, value_name = "URL", env = "TILLSTREAM_URL", hide_env_values = true)]
    url: Option<String>,
}

/// Does it.
///
/// # Errors
/// When the data folder cannot be opened, or there is no such company or person.
pub async fn run(args: Args) -> anyhow::Result<()> {
    match args.verb {
        Verb::Create { email, name, privileges, of, reached } => create(email, name, privileges, of, reached).await,
        Verb::List { json, of } => list(json, of).await,
        Verb::Link { email, of, reached } => link(&email, of, reached).await,
    }
}

async fn create(
    email: String,
    name: String,
    privileges: Vec<Privilege>,
    of: Of,
    reached: Reached,
) -> anyhow::Result<()> {
    if !people::is_email(&email) {
        return Err(Wrong::new(format!("\"{email}\" is no e-mail address")).into());
    }
    if !people::is_name(&name) {
        return Err(Wrong::new(format!("a name has at most {} characters", people::MAX_NAME)).into());
    }
    let config = of.place.config()?;
    let state = wire::open_state(&config).await?;
    let first = bootstrap::first_company(&*state).await?;
    let company = named(&*state, of.company.as_deref(), Some(first)).await?;
    if documents::list::<User>(&*state, Some(company.no), "", MAX_USERS).await?.len() >= MAX_USERS {
        bail!("the company has {MAX_USERS} people, and no more are possible; delete some");
    }
    let user = User::new(email, name, privileges.into_iter().map(Grant::whole).collect());
    let saved = people::create(&*state, company.no, &people::new_id(rand::random()), &user, wire::now()).await?;
    let after = Some(document(&saved, None));
    audit::note(&*state, Some(company.no), "user.created", format!("user {}", saved.id), (None, after)).await?;
    print_link(&*state, &company, &saved, &config, reached).await
}

async fn link(email: &str, of: Of, reached: Reached) -> anyhow::Result<()> {
    let config = of.place.config()?;
    let state = open_existing(&config).await?;
    let company = named(&*state, of.company.as_deref(), None).await?;
    let found = people::by_email(&*state, company.no, email).await?;
    let user = found.with_context(|| format!("nobody has the address {email}; `tillstream users list` shows all"))?;
    if user.value.status == UserStatus::Disabled {
        bail!("{email} is disabled and would not get in with a link; enable them over the API first");
    }
    audit::note(&*state, Some(company.no), "user.link_created", format!("user {}", user.id), (None, None)).await?;
    print_link(&*state, &company, &user, &config, reached).await
}

async fn print_link(
    state: &dyn State,
    company: &Company,
    user: &Saved<User>,
    config: &Config,
    reached: Reached,
) -> anyhow::Result<()> {
    let (token, _) = people::make_link(state, company.no, user, rand::random(), wire::now()).await?;
    let url = reached.url.unwrap_or_else(|| url_of(config.listen, config.tls.is_some()));
    output::line(sign_in_url(&url, &token))
}

/// The page where a password is set with a token.
pub fn sign_in_url(hub: &str, token: &str) -> String {
    format!("{}/sign-in#token={token}", hub.trim_end_matches('/'))
}

async fn list(json: bool, of: Of) -> anyhow::Result<()> {
    let state = of.place.open_existing().await?;
    let company = named(&*state, of.company.as_deref(), None).await?;
    let mut people = Vec::new();
    for user in documents::list::<User>(&*state, Some(company.no), "", MAX_USERS).await? {
        let presence = documents::get::<Presence>(&*state, Some(company.no), &user.id).await?;
        people.push((user, presence.map(|p| p.value.signed_in_at)));
    }
    if json {
        return output::json(&people.iter().map(|(user, at)| document(user, *at)).collect::<Vec<_>>());
    }
    if people.is_empty() {
        return output::line("nobody yet; make somebody with `tillstream users create --email ADDRESS`");
    }
    let rows: Vec<[String; 6]> = people.iter().map(row).collect();
    output::line(output::table(["ID", "EMAIL", "NAME", "PRIVILEGES", "STATUS", "LAST SIGNED IN"], &rows))
}

/// The company with this id; the first one when none is named.
async fn named(state: &dyn State, id: Option<&str>, first: Option<Company>) -> anyhow::Result<Company> {
    let all = state.companies().await?;
    match id {
        Some(id) => {
            all.into_iter().find(|c| c.external_id == id).ok_or_else(|| anyhow!("there is no company \"{id}\""))
        }
        None => {
            let found = first.or_else(|| all.into_iter().min_by_key(|c| c.no));
            found.context("there is no company yet; start the hub once with `tillstream serve`")
        }
    }
}

fn privilege(text: &str) -> Result<Privilege, String> {
    Privilege::LIST.into_iter().find(|p| p.name() == text).ok_or_else(|| {
        let names: Vec<&str> = Privilege::LIST.iter().map(|p| p.name()).collect();
        format!("no privilege; one of {}", names.join(", "))
    })
}

fn status(user: &User) -> &'static str {
    match (user.status, &user.password) {
        (UserStatus::Disabled, _) => "disabled",
        (UserStatus::Active, None) => "invited",
        (UserStatus::Active, Some(_)) => "active",
    }
}

fn row((user, at): &(Saved<User>, Option<Time>)) -> [String; 6] {
    let privilege = |g: &Grant| match g.sites.as_slice() {
        [] => g.privilege.name().to_owned(),
        sites => format!("{}@{}", g.privilege.name(), sites.join("+")),
    };
    let privileges: Vec<String> = user.value.privileges.iter().map(privilege).collect();
    let at = at.map_or_else(|| "never".to_owned(), |t| t.to_string());
    let User { email, name, .. } = &user.value;
    [user.id.clone(), email.clone(), name.clone(), privileges.join(","), status(&user.value).to_owned(), at]
}

fn document(user: &Saved<User>, last_signed_in_at: Option<Time>) -> Value {
    json!({
        "id": user.id,
        "email": user.value.email,
        "name": user.value.name,
        "privileges": user.value.privileges,
        "status": user.value.status,
        "has_password": user.value.password.is_some(),
        "last_signed_in_at": last_signed_in_at,
        "created_at": user.created_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_page_where_a_password_is_set() {
        assert_eq!(sign_in_url("https://hub.example/", "tsl_x"), "https://hub.example/sign-in#token=tsl_x");
    }

    #[test]
    fn a_privilege_is_given_by_its_name() {
        assert_eq!(privilege("tools.view"), Ok(Privilege::ToolsView));
        assert!(privilege("tools").unwrap_err().contains("tools.manage"));
    }
}
