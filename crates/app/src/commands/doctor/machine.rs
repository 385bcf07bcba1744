//! The machine: its clock, the port, and whether it can be found on its network.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::Request;
use tillstream_model::Time;

use super::Finding;
use crate::config::Config;
use crate::http::Http;
use crate::{process, server, wire};

const CLOCK: &str = "clock";
const PORT: &str = "port";
const MDNS: &str = "mDNS";

/// 2026-01-01T00:00:00Z: before it nobody ran this program.
const EARLIEST: Time = Time::from_millis(1_767_225_600_000);
/// 2100-01-01T00:00:00Z.
const LATEST: Time = Time::from_millis(4_102_444_800_000);
/// How far files may be ahead of the clock, in milliseconds.
const AHEAD_MS: i64 = 60_000;
/// Where mDNS is spoken (RFC 6762).
const MDNS_GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);

/// Whether the clock says something that can be.
pub(super) fn clock(config: &Config) -> Finding {
    judge_clock(wire::now(), newest_file(&config.data))
}

fn judge_clock(now: Time, newest_file: Option<Time>) -> Finding {
    let advice = "set the clock, and keep it set with NTP: schedules, signatures and retention go by it";
    if now < EARLIEST || now > LATEST {
        return Finding::fail(CLOCK, format!("it says {now}"), advice);
    }
    match newest_file {
        Some(newest) if newest.millis() > now.millis() + AHEAD_MS => {
            Finding::fail(CLOCK, format!("it says {now}, but data was written at {newest}"), advice)
        }
        _ => Finding::ok(CLOCK, now.to_string()),
    }
}

/// When something in the data folder was written last.
fn newest_file(data: &Path) -> Option<Time> {
    let entries = std::fs::read_dir(data).ok()?.flatten();
    let written = entries.filter_map(|entry| entry.metadata().ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok());
    written.max().and_then(|since| i64::try_from(since.as_millis()).ok()).map(Time::from_millis)
}

/// Whether the port is free, or a hub answers on it.
pub(super) async fn port(config: &Config) -> Finding {
    let address = config.listen;
    match server::bind(address).await {
        Ok(_) => Finding::ok(PORT, format!("{address} is free")),
        Err(_) if answers(&process::url_of(address, config.tls.is_some())).await => {
            Finding::ok(PORT, format!("a hub answers on {address}"))
        }
        Err(e) => Finding::fail(PORT, format!("{address}: {e}"), "choose another address with --listen"),
    }
}

/// Whether what listens there says whether it is ready as a hub does.
async fn answers(url: &str) -> bool {
    let Ok(request) = Request::get(format!("{url}/readyz")).body(Bytes::new()) else { return false };
    let Ok(answer) = Http::new().send(request).await else { return false };
    serde_json::from_slice::<serde_json::Value>(&answer.body).is_ok_and(|body| body["ready"].is_boolean())
}

/// Whether it can be heard by others on its network.
pub(super) fn mdns() -> Finding {
    let joined = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
        .and_then(|socket| socket.join_multicast_v4(&MDNS_GROUP, &Ipv4Addr::UNSPECIFIED));
    match joined {
        Ok(()) => Finding::ok(MDNS, format!("the group {MDNS_GROUP} can be joined")),
        Err(e) => Finding::warn(
            MDNS,
            format!("the group {MDNS_GROUP} cannot be joined: {e}"),
            "only matters where devices are to be found by themselves: name them by their addresses",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn a_clock_that_can_not_be_right_fails() {
        let at = |ms| Time::from_millis(ms);
        assert_eq!(judge_clock(at(0), None).status, Status::Fail);
        assert_eq!(judge_clock(EARLIEST, None).status, Status::Ok);
        assert_eq!(judge_clock(at(LATEST.millis() + 1), None).status, Status::Fail);
        let after = |ms| judge_clock(EARLIEST, Some(at(EARLIEST.millis() + ms))).status;
        assert_eq!((after(AHEAD_MS), after(AHEAD_MS + 1)), (Status::Ok, Status::Fail));
    }
}
