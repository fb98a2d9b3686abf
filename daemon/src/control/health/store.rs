//! Health of the store: what is damaged, what the disk would not do, and how much room there is.

use p2p_proto::{ByteCount, Failure, v1::HealthLine};

use super::{Code, MAX_ALIKE, more};
use crate::store::{Store, Usage};

/// Room for less than this part of the disk is little, between these bounds.
const LOW_PART: u64 = 20;
const LOW: (u64, u64) = (1 << 30, 10 << 30);

/// With less than this part of `max_size` left it is near.
const NEAR_PART: u64 = 20;

/// What is damaged, and what the disk would not do. Names files.
pub(super) async fn of_content(store: &Store, lines: &mut Vec<HealthLine>) -> Result<(), Failure> {
    let damaged = store.damaged().await?;
    for content in damaged.iter().take(MAX_ALIKE) {
        let name = match content.publications.first() {
            Some(file) => format!("{}/{}@{}", file.owner, file.name, file.version),
            None => content.hash.to_string(),
        };
        let message = format!("{name} is damaged: {}", content.reason);
        lines.push(Code::ContentDamaged.line(message, "p2pctl verify"));
    }
    more(
        lines,
        Code::ContentDamaged,
        damaged.len(),
        "damaged files",
        "p2pctl verify",
    );
    if let Some(last) = store.faults().last() {
        let message = format!("{} at {}; look at the disk", last.what, last.at);
        lines.push(Code::StoreFault.line(message, "sudo dmesg -T | tail"));
    }
    Ok(())
}

/// How much may still come.
pub(super) fn of_room(usage: &Usage, lines: &mut Vec<HealthLine>) {
    let path = usage.path.display();
    let fix = "p2pctl rm FILE";
    if usage.free_bytes == 0 {
        lines.push(Code::DiskFull.line(format!("no space for more files in {path}"), fix));
        return;
    }
    if usage.disk_free < low(usage.disk_size) {
        let message = format!(
            "{} left for files in {path}; another disk is set by store.path",
            ByteCount(usage.disk_free)
        );
        lines.push(Code::DiskLow.line(message, fix));
    }
    if let (Some(max), Some(left)) = (usage.max_bytes, usage.quota_left)
        && left < max / NEAR_PART
    {
        let message = format!(
            "{} left of the {} that store.max_size gives {path}",
            ByteCount(left),
            ByteCount(max)
        );
        lines.push(Code::MaxSizeNear.line(message, fix));
    }
}

/// Less room than this on a disk of that size is little.
fn low(disk: u64) -> u64 {
    (disk / LOW_PART).clamp(LOW.0, LOW.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn codes(free_bytes: u64, disk_free: u64, quota_left: Option<u64>) -> Vec<String> {
        let usage = Usage {
            files: 0,
            bytes: 0,
            partial_files: 0,
            free_bytes,
            max_bytes: quota_left.map(|_| 100 * GIB),
            path: "/store".into(),
            disk_free,
            disk_size: 100 * GIB,
            quota_left,
        };
        let mut lines = Vec::new();
        of_room(&usage, &mut lines);
        lines.into_iter().map(|line| line.code).collect()
    }

    #[test]
    fn room_is_little_before_there_is_none() {
        assert_eq!(codes(5 * GIB, 5 * GIB, None), [""; 0]);
        assert_eq!(codes(5 * GIB - 1, 5 * GIB - 1, None), ["disk_low"]);
        assert_eq!(codes(0, 0, None), ["disk_full"]);
        assert_eq!(codes(5 * GIB, 90 * GIB, Some(5 * GIB)), [""; 0]);
        assert_eq!(codes(5 * GIB - 1, 90 * GIB, Some(5 * GIB - 1)), ["max_size_near"]);
        assert_eq!((low(GIB), low(1000 * GIB)), (GIB, 10 * GIB));
    }
}
