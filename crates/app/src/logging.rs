//! Structured logs to standard error, or to a file while a live view owns the terminal.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;

use anyhow::Context;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::LogFormat;
use crate::traces::{self, Continued, Traces};

/// Log lines to standard error.
///
/// # Errors
/// When `level` is no filter.
pub fn to_stderr(format: LogFormat, level: &str) -> anyhow::Result<()> {
    start(format, level, std::io::stderr)
}

/// Log lines to standard error, and spans to a collector.
///
/// # Errors
/// When `level` is no filter.
pub fn to_stderr_and(traces: &Traces, format: LogFormat, level: &str) -> anyhow::Result<()> {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let filter = EnvFilter::try_new(level).with_context(|| format!("log level \"{level}\""))?;
    let spans = tracing_opentelemetry::layer().with_tracer(traces.tracer()).with_location(false).with_threads(false);
    let wanted = filter_fn(|metadata| metadata.is_span() && metadata.target() == traces::TARGET);
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(Continued(spans).with_filter(wanted)).init();
    Ok(())
}

/// Log lines to a file, appended.
///
/// # Errors
/// When the file cannot be opened or `level` is no filter.
pub fn to_file(path: &Path, level: &str) -> anyhow::Result<()> {
    let file = File::options().create(true).append(true).open(path);
    start(LogFormat::Text, level, Mutex::new(file.with_context(|| format!("open the log file {}", path.display()))?))
}

fn start<W>(format: LogFormat, level: &str, writer: W) -> anyhow::Result<()>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(level).with_context(|| format!("log level \"{level}\""))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}
