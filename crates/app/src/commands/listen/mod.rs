//! `tillstream listen`: a receiver on this machine that shows deliveries as they come.

mod delivery;
mod forward;
mod receiver;
mod temporary;

use std::net::SocketAddr;

use anyhow::Context;
use axum::Router;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api_client::{HubArgs, options_for};
use crate::process::url_of;
use crate::server;
use crate::shutdown::Asked;
use crate::signature::SigningKey;
use receiver::Receiver;
use temporary::Temporary;

const EXAMPLES: &str = "\
Examples:
  tillstream listen --create                           makes an integration, deletes it at the end
  tillstream listen --secret whsec_… --payload
  tillstream listen --forward-to http://127.0.0.1:3000/hook
  tillstream listen --status 503 --delay 2000          a receiver that is ill

The hub must be allowed to reach this machine: start it with --allow-networks 127.0.0.0/8.";

/// How to receive.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Address and port to receive on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Check signatures with this secret
    #[arg(long, value_name = "whsec_…", env = "TILLSTREAM_SIGNING_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// Show bodies too
    #[arg(long)]
    payload: bool,
    /// Pass every delivery on to this URL and answer with its answer's status
    #[arg(long, value_name = "URL", conflicts_with = "status")]
    forward_to: Option<http::Uri>,
    /// Answer with this status
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..=599))]
    status: u16,
    /// Wait so many milliseconds before answering
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=600_000))]
    delay: u64,
    /// Print one JSON object for each delivery
    #[arg(long)]
    json: bool,
    /// Make an integration that delivers here, and delete it at the end
    #[arg(long, conflicts_with = "secret")]
    create: bool,
    #[command(flatten)]
    hub: HubArgs,
}

/// Receives until asked to end.
///
/// # Errors
/// When the address is taken, or the hub refuses the integration.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let mut asked = Asked::listen()?;
    let listener = server::bind(args.listen).await.with_context(|| {
        format!("cannot listen on {}; choose another address with --listen, or port 0 for a free one", args.listen)
    })?;
    let url = format!("{}/", url_of(listener.local_addr()?, false));
    let temporary = if args.create { Some(Temporary::create(&args.hub, &url).await?) } else { None };
    say_where(&url, temporary.as_ref(), &args.hub);
    let secret = temporary.as_ref().map(|t| t.secret.clone()).or_else(|| args.secret.clone());
    let signing = secret.as_deref().map(SigningKey::parse).transpose()?;
    let router = Receiver::new(&args, signing).router();
    let served = serve(listener, router, &mut asked).await;
    if let Some(temporary) = temporary {
        temporary.delete().await?;
    }
    served
}

async fn serve(listener: tokio::net::TcpListener, router: Router, asked: &mut Asked) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let mut server = JoinSet::new();
    server.spawn(server::serve(listener, router, stop.clone()));
    asked.wait().await;
    stop.cancel();
    tokio::select! {
        _ = server.join_next() => {}
        () = asked.wait() => {}
    }
    Ok(())
}

/// On standard error, so that standard output has deliveries only.
fn say_where(url: &str, temporary: Option<&Temporary>, hub: &HubArgs) {
    match temporary {
        Some(temporary) => {
            eprintln!("receiving on {url} for the integration {}; Ctrl-C deletes it and ends", temporary.id)
        }
        None => eprintln!(
            "receiving on {url}; Ctrl-C ends. To have deliveries sent here:\n  \
             tillstream integrations create {url} --id listen{}",
            options_for(&hub.url, &hub.data)
        ),
    }
}
