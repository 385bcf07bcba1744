//! One connection's work: post batches, wait and repeat when the hub asks for it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use http::StatusCode;
use indicatif::ProgressBar;
use tokio::sync::{Mutex, mpsc};

use super::batch::Batch;
use super::tally::Tally;
use crate::api_client::{Api, refusal, retry_after};
use crate::http::Answer;

/// How often one batch is tried before the command gives up.
const MAX_TRIES: u32 = 12;
/// Wait after the first failure when the hub names none; doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Longest wait between two tries, also when the hub asks for more.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Takes batches until there are none, or one cannot be sent. What was sent is counted in any case.
pub async fn connection(
    api: Api,
    queue: Arc<Mutex<mpsc::Receiver<Batch>>>,
    bar: ProgressBar,
) -> (Tally, anyhow::Result<()>) {
    let mut tally = Tally::default();
    loop {
        let batch = queue.lock().await.recv().await;
        let Some(batch) = batch else { return (tally, Ok(())) };
        // Until the hub has answered once, it is more likely not there than away for a moment.
        let met = tally.total() > 0;
        match post(&api, &batch, met, &bar).await {
            Ok(answer) => tally.count(&answer, batch.events),
            Err(error) => {
                // Nobody may wait for a connection that gave up.
                queue.lock().await.close();
                return (tally, Err(error));
            }
        }
        bar.inc(batch.events as u64);
    }
}

async fn post(api: &Api, batch: &Batch, met: bool, bar: &ProgressBar) -> anyhow::Result<Answer> {
    let mut wait = FIRST_WAIT;
    for _ in 1..MAX_TRIES {
        let asked = match once(api, batch, met).await? {
            Outcome::Answered(answer) => return Ok(answer),
            Outcome::Later(asked, why) => {
                bar.set_message(why);
                asked
            }
        };
        tokio::time::sleep(asked.unwrap_or(wait).min(MAX_WAIT)).await;
        bar.set_message("");
        wait = (wait * 2).min(MAX_WAIT);
    }
    match once(api, batch, met).await? {
        Outcome::Answered(answer) => Ok(answer),
        Outcome::Later(_, why) => Err(anyhow!("gave up after {MAX_TRIES} tries: {why}")),
    }
}

enum Outcome {
    Answered(Answer),
    /// Nothing of the batch was accepted, or repeating it does no harm: the wait that was asked for, and why.
    Later(Option<Duration>, String),
}

async fn once(api: &Api, batch: &Batch, met: bool) -> anyhow::Result<Outcome> {
    let answer = match api.post_events(batch.body.clone()).await {
        Ok(answer) => answer,
        Err(error) if error.no_connection && !met => return Err(api.explained(error)),
        Err(error) if error.no_connection || batch.repeatable => {
            return Ok(Outcome::Later(None, api.explained(error).to_string()));
        }
        Err(error) => bail!("{}; whether its {} events were accepted is not known", api.explained(error), batch.events),
    };
    match answer.status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            Ok(Outcome::Later(retry_after(&answer), refusal(&answer)))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => bail!(refusal(&answer)),
        status if status.is_server_error() => bail!(refusal(&answer)),
        _ => Ok(Outcome::Answered(answer)),
    }
}
