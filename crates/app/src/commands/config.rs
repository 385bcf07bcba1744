//! `tillstream config`: the effective configuration.

use serde_json::{Value, json};

use crate::config::{self, ConfigFile, Setting, Written};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  tillstream config                                   what `tillstream serve` would use here
  TILLSTREAM_LISTEN=127.0.0.1:9000 tillstream config  a variable wins over the file
  tillstream config --config hub.toml --json

Command line > environment (TILLSTREAM_<KEY>; PORT and DATABASE_URL too) > tillstream.toml > defaults.
The output is a valid tillstream.toml; secrets are masked. TILLSTREAM_MASTER_KEY
(64 hexadecimal characters) replaces master_key_file.";

/// Which configuration.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    written: Written,
    /// Print JSON: for each key its value and its source
    #[arg(long)]
    json: bool,
}

/// Prints it.
///
/// # Errors
/// When it cannot be used.
pub fn run(args: Args) -> anyhow::Result<()> {
    let (_, settings) = config::explain(&args.file, args.written)?;
    if args.json { output::json(&as_json(&settings)) } else { output::line(as_toml(&settings)) }
}

fn as_toml(settings: &[Setting]) -> String {
    let lines: Vec<String> = settings.iter().map(assignment).collect();
    let width = lines.iter().map(|l| l.chars().count()).max().unwrap_or_default();
    let commented = lines.iter().zip(settings).map(|(line, s)| format!("{line:<width$}  # {}", s.source));
    commented.collect::<Vec<_>>().join("\n")
}

/// What may only stand in the environment is a comment, so that the output stays a valid file.
fn assignment(setting: &Setting) -> String {
    let comment = if config::is_key(setting.key) { "" } else { "# " };
    format!("{comment}{} = {}", setting.key, setting.value)
}

fn as_json(settings: &[Setting]) -> Value {
    let entry = |s: &Setting| (s.key.to_owned(), json!({"value": value(&s.value), "source": s.source}));
    Value::Object(settings.iter().map(entry).collect())
}

fn value(toml: &str) -> Value {
    let parsed: Result<toml::Table, _> = format!("v = {toml}").parse();
    parsed.ok().and_then(|mut t| t.remove("v")).and_then(|v| serde_json::to_value(v).ok()).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_is_a_valid_file_without_secrets() {
        let setting = |key, value: &str| Setting { key, value: value.into(), source: "somewhere".into() };
        let text = as_toml(&[setting("data", "\"a\""), setting("master_key", "\"…cdef\"")]);
        assert_eq!(text, "data = \"a\"              # somewhere\n# master_key = \"…cdef\"  # somewhere");
        assert_eq!(text.parse::<toml::Table>().unwrap().len(), 1);
    }
}
