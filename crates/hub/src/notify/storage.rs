//! Little room on the disk. It is no company's business: only the instance's contacts are told, and no log gets an event.

use serde::{Deserialize, Serialize};
use serde_json::json;
use tillstream_model::Time;
use tillstream_model::mailbox::Notice;
use tillstream_model::operational::STORAGE_LOW;
use tillstream_store::Room;
use tillstream_store::state::Expected;

use super::{Settings, post};
use crate::Hub;
use crate::documents::{self, Kind};

/// Default of [`Settings::storage_low_percent`].
pub const STORAGE_LOW_PERCENT: u8 = 10;
/// Default of [`Settings::storage_low_bytes`]: 2 GiB.
pub const STORAGE_LOW_BYTES: u64 = 2 << 30;
/// There is room again when a quarter more than the least is free.
const ROOM_AGAIN: u64 = 4;
/// The only one of its kind.
const DISK: &str = "disk";

/// There is little room, and that was told.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Told {
    since: Time,
}

impl Kind for Told {
    const KIND: &'static str = "storage_low";
}

/// The least that has to be free, in bytes.
fn least(settings: &Settings, room: Room) -> u64 {
    (room.total / 100 * u64::from(settings.storage_low_percent)).max(settings.storage_low_bytes)
}

/// Looks at the disk, where the engine knows it.
pub(super) async fn round(hub: &Hub) -> anyhow::Result<()> {
    let Some(room) = hub.log().room() else { return Ok(()) };
    let (least, now) = (least(&hub.config().notify, room), hub.now());
    let told = documents::get::<Told>(hub.state(), None, DISK).await?;
    match told {
        None if room.free < least => {
            tracing::warn!(free = room.free, total = room.total, least, "the disk has little room");
            let data = json!({"free_bytes": room.free, "total_bytes": room.total, "least_bytes": least,
                "reason": "the disk has little room; without any, events are refused"});
            let id = format!("hub/storage/{}", now.millis());
            let notice = Notice { id, name: STORAGE_LOW.into(), subject: DISK.into(), at: now, data };
            post::put(hub, None, &[notice]).await?;
            documents::put(hub.state(), None, DISK, &Told { since: now }, Expected::Anything).await?;
        }
        Some(_) if room.free >= least.saturating_add(least / ROOM_AGAIN) => {
            tracing::info!(free = room.free, "the disk has room again");
            documents::delete::<Told>(hub.state(), None, DISK).await?;
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_is_a_share_of_the_disk_or_so_many_bytes_whichever_is_more() {
        let settings = Settings { storage_low_percent: 10, storage_low_bytes: 1_000, ..Settings::default() };
        let least = |total| least(&settings, Room { free: 0, total });
        assert_eq!([least(100_000), least(10_000), least(5_000)], [10_000, 1_000, 1_000]);
    }
}
