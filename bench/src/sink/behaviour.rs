//! How the sink answers a path.

use std::time::Duration;

use anyhow::{Result, bail};

/// The longest delay that a path may ask for, milliseconds.
pub const MAX_DELAY_MS: u64 = 60_000;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// 200, counted, order and latency recorded: `/ok/…`.
    Ok,
    /// No answer, ever: `/hang/…`.
    Hang,
    /// This status and nothing recorded: `/status/503/…`.
    Status(u16),
    /// 200 after a while, recorded like [`Behaviour::Ok`]: `/delay/25/…`.
    Delay(Duration),
}

impl Behaviour {
    /// The behaviour named by a path; `switched` for `/switch/…`, whose behaviour is set at run time.
    pub fn of_path(path: &[u8], switched: Self) -> Self {
        let text = std::str::from_utf8(path).unwrap_or_default();
        match text.strip_prefix("/switch") {
            Some(_) => switched,
            None => Self::parse(text.trim_start_matches('/')).unwrap_or(Self::Ok),
        }
    }

    /// Reads `ok`, `hang`, `status/N` or `delay/MS`; what follows is ignored.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parts = text.split(['/', '?']);
        let number = |part: Option<&str>| part.and_then(|part| part.parse::<u64>().ok());
        match (parts.next(), number(parts.next())) {
            (Some("ok"), _) => Ok(Self::Ok),
            (Some("hang"), _) => Ok(Self::Hang),
            (Some("status"), Some(code @ 200..=599)) => Ok(Self::Status(code as u16)),
            (Some("delay"), Some(ms)) if ms <= MAX_DELAY_MS => Ok(Self::Delay(Duration::from_millis(ms))),
            _ => bail!("{text:?} is none of ok, hang, status/200–599, delay/0–{MAX_DELAY_MS}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_behaviour() {
        let of = |path: &str| Behaviour::of_path(path.as_bytes(), Behaviour::Hang);
        assert_eq!(of("/ok/lane-1"), Behaviour::Ok);
        assert_eq!(of("/hang/lane-1"), Behaviour::Hang);
        assert_eq!(of("/status/503/lane-1"), Behaviour::Status(503));
        assert_eq!(of("/delay/25"), Behaviour::Delay(Duration::from_millis(25)));
        assert_eq!(of("/switch/lane-1"), Behaviour::Hang);
        assert_eq!(of("/anything"), Behaviour::Ok);
    }

    #[test]
    fn numbers_are_bounded() {
        assert!(Behaviour::parse("status/599").is_ok());
        assert!(Behaviour::parse("status/600").is_err());
        assert!(Behaviour::parse("status/199").is_err());
        assert!(Behaviour::parse("delay/60000").is_ok());
        assert!(Behaviour::parse("delay/60001").is_err());
    }
}
