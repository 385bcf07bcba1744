//! What goes out: a URL that is called, and what the guard says of every integration's host.

use std::collections::BTreeMap;
use std::time::Duration;

use tillstream_model::integration::Target;
use tillstream_outbound::{Cause, Client, Options, PoolKey, Request, check_url};
use tillstream_store::State;

use super::Finding;
use crate::config::Config;
use crate::wire;

const URL: &str = "outgoing";
const TARGETS: &str = "integrations";

/// How long the whole exchange with a URL may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// Most hosts that are looked up.
const MOST_HOSTS: usize = 200;
/// Integrations that are read at once.
const PAGE: usize = 500;

/// Looks at it.
pub(super) async fn all(config: &Config, url: Option<&str>) -> Vec<Finding> {
    let client = Client::new(config.policy.clone(), Options::default());
    let mut findings = Vec::new();
    if let Some(url) = url {
        findings.push(call(&client, url).await);
    }
    if is_readable(config).await {
        findings.extend(targets(config, &client).await);
    }
    findings
}

/// Nothing is made or brought to another version by being looked at.
async fn is_readable(config: &Config) -> bool {
    match &config.database {
        Some(database) => match wire::examine_database(config, database).await {
            Ok(found) => found.is_current && matches!(found.key, Some(Ok(()))),
            Err(_) => false,
        },
        None => matches!(wire::examine_folder(config), Ok(Some(found)) if found.is_current && found.key.is_ok()),
    }
}

async fn call(client: &Client, url: &str) -> Finding {
    let uri = match check_url(url) {
        Ok(uri) => uri,
        Err(e) => return Finding::fail(URL, e.to_string(), "give a whole URL, such as https://erp.example/hook"),
    };
    match client.pool(PoolKey { company: 0, identity: 0 }).send(Request::get(uri), DEADLINE).await {
        Ok(answer) => {
            Finding::ok(URL, format!("{url} answered {} after {} ms", answer.status, answer.elapsed.as_millis()))
        }
        Err(failure) => Finding::fail(URL, failure.detail.clone(), advice(failure.cause)),
    }
}

fn advice(cause: Cause) -> &'static str {
    match cause {
        Cause::Blocked => "open the network with --allow-networks, if that is meant",
        Cause::Dns => "see that the name is right and that this machine can look up names",
        Cause::Tls => "see that the receiver's certificate is valid and signed by a well-known authority",
        _ => "see that the receiver runs and that no firewall stands between",
    }
}

async fn targets(config: &Config, client: &Client) -> Vec<Finding> {
    let hosts = match read(config).await {
        Ok(hosts) => hosts,
        Err(e) => return vec![Finding::fail(TARGETS, format!("{e:#}"), "see the findings above")],
    };
    let (count, mut findings) = (hosts.len(), Vec::new());
    for (host, (integration, uri)) in hosts.into_iter().take(MOST_HOSTS) {
        if let Err(failure) = client.look_up(&uri).await {
            let found = format!("{integration} cannot reach {host}: {}", failure.detail);
            findings.push(Finding::warn(TARGETS, found, advice(failure.cause)));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(TARGETS, format!("{} hosts are found and may be called", count.min(MOST_HOSTS))));
    }
    findings
}

/// The hosts that integrations deliver to, each with one of these integrations.
async fn read(config: &Config) -> anyhow::Result<BTreeMap<String, (String, http::Uri)>> {
    let state = wire::open_state(config).await?;
    let mut hosts = BTreeMap::new();
    for company in state.companies().await? {
        add(&*state, &mut hosts, &company).await?;
    }
    Ok(hosts)
}

async fn add(
    state: &dyn State,
    hosts: &mut BTreeMap<String, (String, http::Uri)>,
    company: &tillstream_store::state::Company,
) -> anyhow::Result<()> {
    let mut after: Option<String> = None;
    loop {
        let page = state.integrations(company.no, after.as_deref(), PAGE).await?;
        for integration in &page {
            let Target::Http(target) = &integration.settings.target;
            let Ok(uri) = target.url.parse::<http::Uri>() else { continue };
            let Some(host) = uri.authority().map(ToString::to_string) else { continue };
            let name = format!("{}/{}", company.external_id, integration.settings.id);
            hosts.entry(host).or_insert((name, uri));
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.settings.id.clone()),
            _ => return Ok(()),
        }
    }
}
