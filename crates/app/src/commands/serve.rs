//! `tillstream serve`: runs a hub.

use std::net::Ipv4Addr;
use std::process::ExitCode;

use anyhow::Context;

use crate::api_client::options_for;
use crate::bootstrap::ADMINISTRATOR;
use crate::commands::users::sign_in_url;
use crate::config::{self, Config, ConfigFile, Written};
use crate::process::Process;
use crate::shutdown::Asked;
use crate::traces::Traces;
use crate::{logging, output, server};

const EXAMPLES: &str = "\
Examples:
  tillstream serve                                     data in ./data, on http://127.0.0.1:8080
  tillstream serve --data /var/lib/tillstream --listen 127.0.0.1:9000 --log-format json
  tillstream serve --listen 0.0.0.0:8080 --behind-proxy --allow-networks lan
  tillstream serve --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem

The first start makes one company, one key and one administrator; it prints a link with which the
administrator sets a password, and the key, which it also leaves in <DATA>.admin-key for
commands on this machine. Every option is also a variable
(TILLSTREAM_LISTEN) and a line of tillstream.toml (listen = \"…\").
Ctrl-C or SIGTERM ends it in good order; a second one at once.";

/// Said when deliveries to this machine would be refused, as they are unless somebody opens it.
const LOOPBACK_CLOSED: &str = "\
    To deliver to this machine too, start the hub with --allow-networks 127.0.0.0/8
";

/// How to serve.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    written: Written,
}

/// Serves until asked to end.
///
/// # Errors
/// When the configuration cannot be used, the address is taken, or the engine cannot be opened.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = config::load(&args.file, args.written)?;
    let traces = config.otlp_endpoint.as_deref().map(Traces::start).transpose()?;
    match &traces {
        Some(traces) => logging::to_stderr_and(traces, config.log_format, &config.log_level)?,
        None => logging::to_stderr(config.log_format, &config.log_level)?,
    }
    let mut asked = Asked::listen()?;
    let process = start(&config).await?;
    greet(&process, &config)?;
    tracing::info!(address = %process.address, data = %config.data.display(), version = env!("CARGO_PKG_VERSION"), "serving");
    asked.wait().await;
    tracing::info!("ending: finishing what is under way; once more ends at once");
    tokio::select! {
        () = process.stop() => {
            if let Some(traces) = traces {
                traces.end().await;
            }
            tracing::info!("ended");
            Ok(ExitCode::SUCCESS)
        }
        () = asked.wait() => Ok(ExitCode::FAILURE),
    }
}

async fn start(config: &Config) -> anyhow::Result<Process> {
    let listener = server::bind(config.listen).await.with_context(|| {
        format!("cannot listen on {}; choose another address with --listen, or port 0 for a free one", config.listen)
    })?;
    Process::start(config, listener).await
}

fn greet(process: &Process, config: &Config) -> anyhow::Result<()> {
    let url = process.url();
    let Some(first) = &process.first_key else {
        return output::line(format!("Tillstream is at {url}, its API at {url}/docs"));
    };
    output::line(format!(
        "\
Tillstream is at {url} and has no integrations yet.

  Your key, for everything in the company \"default\". It is not shown again:
    {key}
  Commands on this machine find it in {file}

  Next:
    set a password        {sign_in}
                          and sign in as {administrator}; the link is good once, for a day
    read the API          {url}/docs
    see deliveries        tillstream listen --create{options}
    send events           tillstream emit --generate 100{options}
{loopback}",
        key = first.key,
        file = first.file.display(),
        sign_in = sign_in_url(&url, &first.sign_in),
        administrator = ADMINISTRATOR.0,
        options = options_for(&url, &config.data),
        loopback = if reaches_loopback(config) { "" } else { LOOPBACK_CLOSED },
    ))
}

fn reaches_loopback(config: &Config) -> bool {
    config.policy.allows(Ipv4Addr::LOCALHOST.into())
}
