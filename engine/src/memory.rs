//! How much memory this process uses, and how much it may.
//!
//! Reads what the kernel tells in `/proc` and the control group's folder; decides
//! nothing. A control group is charged for socket buffers as well, so under one its
//! own figure is read, less what the kernel would give up by itself.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::net::affinity;

/// Bytes of `memory.stat` that are read; it has some eighty short lines.
const TEXT_BYTES: usize = 16 * 1024;

/// What is read again and again: open files and room for what they say, so that a look
/// allocates nothing.
pub(crate) struct MemoryMeter {
    resident: Option<File>,
    group: Option<Group>,
    text: Box<[u8]>,
}

/// The files of a control group.
struct Group {
    version: Version,
    bound: File,
    used: File,
    stat: File,
}

/// Which interface a group has; the files differ in name only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

impl Version {
    const fn bound(self) -> &'static str {
        match self {
            Self::V1 => "memory.limit_in_bytes",
            Self::V2 => "memory.max",
        }
    }

    const fn used(self) -> &'static str {
        match self {
            Self::V1 => "memory.usage_in_bytes",
            Self::V2 => "memory.current",
        }
    }

    /// File pages that nobody has looked at lately: the kernel drops them before it kills.
    const fn droppable(self) -> &'static str {
        match self {
            Self::V1 => "total_inactive_file ",
            Self::V2 => "inactive_file ",
        }
    }
}

/// Version 1 writes "no bound" as the largest whole number of pages; nothing real is this large.
const UNBOUNDED_BYTES: u64 = 1 << 60;

impl MemoryMeter {
    /// Of this process and the group it is in.
    pub(crate) fn own() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self {
            resident: File::open("/proc/self/statm").ok(),
            group: candidates(&groups)
                .iter()
                .find_map(|(folder, version)| Group::open(folder, *version)),
            text: vec![0; TEXT_BYTES].into(),
        }
    }

    /// Bytes of this process that are in memory: its resident set.
    pub(crate) fn resident_bytes(&mut self) -> Option<u64> {
        let text = read(self.resident.as_ref()?, &mut self.text)?;
        let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some(pages * affinity::page_bytes())
    }

    /// The bytes the group may use; `None` without a bound.
    pub(crate) fn group_bound_bytes(&mut self) -> Option<u64> {
        let bytes = number(&self.group.as_ref()?.bound, &mut self.text)?;
        (bytes < UNBOUNDED_BYTES).then_some(bytes)
    }

    /// The bytes the group uses and cannot simply drop.
    pub(crate) fn group_used_bytes(&mut self) -> Option<u64> {
        let group = self.group.as_ref()?;
        let used = number(&group.used, &mut self.text)?;
        let stat = read(&group.stat, &mut self.text).unwrap_or_default();
        Some(used.saturating_sub(stat_of(stat, group.version.droppable())))
    }
}

impl Group {
    fn open(folder: &Path, version: Version) -> Option<Self> {
        let open = |name: &str| File::open(folder.join(name)).ok();
        Some(Self {
            version,
            bound: open(version.bound())?,
            used: open(version.used())?,
            stat: open("memory.stat")?,
        })
    }
}

/// What a file of the kernel says now.
fn read<'t>(file: &File, text: &'t mut [u8]) -> Option<&'t str> {
    let length = file.read_at(text, 0).ok()?;
    std::str::from_utf8(&text[..length]).ok()
}

/// The only number of a file; `max` is none.
fn number(file: &File, text: &mut [u8]) -> Option<u64> {
    read(file, text)?.trim().parse().ok()
}

/// Where a group's files may be, by `/proc/self/cgroup`: its own folder, then the root that a
/// container sees as its own.
fn candidates(groups: &str) -> Vec<(PathBuf, Version)> {
    let mut found = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (root, version) = match controllers {
            "" => ("/sys/fs/cgroup", Version::V2),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", Version::V1)
            }
            _ => continue,
        };
        let own = format!("{root}{}", path.trim_end_matches('/'));
        found.push((PathBuf::from(own), version));
        found.push((PathBuf::from(root), version));
    }
    found
}

/// One number of `memory.stat`.
fn stat_of(stat: &str, name: &str) -> u64 {
    let line = stat.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_interfaces_of_control_groups_are_found_own_folder_first() {
        let found = candidates("9:name=systemd:/\n4:cpu,memory:/a/b\n0::/user.slice\n");
        let found: Vec<_> = found
            .iter()
            .map(|(folder, version)| (folder.to_str().unwrap_or_default(), *version))
            .collect();
        assert_eq!(
            found,
            [
                ("/sys/fs/cgroup/memory/a/b", Version::V1),
                ("/sys/fs/cgroup/memory", Version::V1),
                ("/sys/fs/cgroup/user.slice", Version::V2),
                ("/sys/fs/cgroup", Version::V2),
            ]
        );
    }

    #[test]
    fn a_number_of_the_statistics_is_found_by_its_whole_name() {
        let stat = "anon 1\ntotal_inactive_file 5\ninactive_file 7\n";
        assert_eq!(stat_of(stat, Version::V2.droppable()), 7);
        assert_eq!(stat_of(stat, Version::V1.droppable()), 5);
        assert_eq!(stat_of("", "anon "), 0);
    }

    #[test]
    fn this_process_is_in_memory() {
        let resident = MemoryMeter::own().resident_bytes().unwrap_or(0);
        assert!(resident > 1024 * 1024, "{resident} bytes");
    }
}
