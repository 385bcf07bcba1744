//! Slows down guessing of passwords: so many failures in a while, then none are looked at.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tillstream_model::Time;

/// Most failures of one address or peer within [`WINDOW`] (in this process).
pub const MAX_FAILURES: usize = 10;
/// How long a failure counts.
pub const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Most addresses and peers that are remembered; the one that failed longest ago is forgotten first.
pub const MAX_KNOWN: usize = 20_000;

/// Counts failures.
#[derive(Default)]
pub struct Throttle(Mutex<HashMap<String, Vec<Time>>>);

/// A try that counts as a failure until it is known to be none.
#[derive(Debug)]
pub struct Try {
    names: Vec<String>,
    at: Time,
}

impl Throttle {
    /// Begins a try under these names; as an error how long to wait, when one of them has failed too often.
    pub fn begin(&self, names: Vec<String>, now: Time) -> Result<Try, Duration> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for name in &names {
            if let Some(times) = known.get_mut(name) {
                times.retain(|at| *at <= now && now < *at + WINDOW);
                if let Some(first) = times.first().filter(|_| times.len() >= MAX_FAILURES) {
                    return Err((*first + WINDOW).since(now));
                }
            }
        }
        for name in &names {
            if known.len() >= MAX_KNOWN && !known.contains_key(name) {
                make_room(&mut known, now);
            }
            known.entry(name.clone()).or_default().push(now);
        }
        Ok(Try { names, at: now })
    }

    /// It was no failure. Failures before it still count: whoever guesses at others has a password of their own.
    pub fn succeeded(&self, good: &Try) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for name in &good.names {
            if let Some(times) = known.get_mut(name)
                && let Some(n) = times.iter().position(|at| *at == good.at)
            {
                times.remove(n);
                if times.is_empty() {
                    known.remove(name);
                }
            }
        }
    }
}

fn make_room(known: &mut HashMap<String, Vec<Time>>, now: Time) {
    known.retain(|_, times| times.last().is_some_and(|at| *at <= now && now < *at + WINDOW));
    if known.len() >= MAX_KNOWN
        && let Some(oldest) = known.iter().min_by_key(|(_, times)| times.last().copied()).map(|(name, _)| name.clone())
    {
        known.remove(&oldest);
    }
}

/// A peer as it is counted: who has one IPv6 address has its whole network of 64 bits.
pub fn peer_name(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => format!("peer {ip}"),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("peer {a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn the_eleventh_failure_waits_until_the_first_is_forgotten() {
        let throttle = Throttle::default();
        let start = Time::from_millis(1_000_000);
        for n in 0..MAX_FAILURES as u64 {
            throttle.begin(names(&["a", &format!("peer {n}")]), start + Duration::from_secs(n)).unwrap();
        }
        let later = start + Duration::from_secs(60);
        assert_eq!(throttle.begin(names(&["a"]), later).unwrap_err(), WINDOW - Duration::from_secs(60));
        assert!(throttle.begin(names(&["other", "a"]), later).is_err());
        assert!(throttle.begin(names(&["b"]), later).is_ok());
        assert!(throttle.begin(names(&["a"]), start + WINDOW).is_ok());
    }

    #[test]
    fn a_success_is_no_failure_and_clears_none() {
        let throttle = Throttle::default();
        let now = Time::from_millis(1_000_000);
        for _ in 0..MAX_FAILURES - 1 {
            throttle.begin(names(&["a"]), now).unwrap();
        }
        for _ in 0..3 {
            let good = throttle.begin(names(&["a"]), now).unwrap();
            throttle.succeeded(&good);
        }
        throttle.begin(names(&["a"]), now).unwrap();
        assert!(throttle.begin(names(&["a"]), now).is_err());
    }

    #[test]
    fn what_is_remembered_never_grows_past_its_limit() {
        let throttle = Throttle::default();
        for n in 0..=MAX_KNOWN as u64 {
            throttle.begin(names(&[&n.to_string()]), Time::from_millis(n as i64)).unwrap();
        }
        let known = throttle.0.lock().unwrap();
        assert_eq!(known.len(), MAX_KNOWN);
        assert!(!known.contains_key("0") && known.contains_key("1"));
    }

    #[test]
    fn a_network_of_64_bits_is_one_peer() {
        let name = |ip: &str| peer_name(ip.parse().unwrap());
        assert_eq!(name("2001:db8::1"), name("2001:db8::2:3"));
        assert_ne!(name("2001:db8::1"), name("2001:db8:0:1::1"));
        assert_eq!(name("::ffff:10.0.0.1"), name("10.0.0.1"));
    }
}
