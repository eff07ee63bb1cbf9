//! Which cores this process may use, and keeping a thread on one of them.
//!
//! The process's affinity mask says which; the cgroup's CPU quota says how many
//! are worth a thread. Containers often show every core of the host and allow
//! the time of two.

use std::fs;
use std::mem;

/// The cores a thread of this process may run on, in ascending order; never empty.
pub(crate) fn allowed_cores() -> Vec<usize> {
    // SAFETY: `cpu_set_t` is plain bits for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `set` is a valid, writable cpu_set_t of the size given; pid 0 is this thread.
    let status = unsafe { libc::sched_getaffinity(0, mem::size_of::<libc::cpu_set_t>(), &mut set) };
    if status != 0 {
        return vec![0];
    }
    let bits = mem::size_of::<libc::cpu_set_t>() * 8;
    // SAFETY: every index is below the number of bits in the set.
    let cores: Vec<usize> = (0..bits)
        .filter(|&core| unsafe { libc::CPU_ISSET(core, &set) })
        .collect();
    if cores.is_empty() { vec![0] } else { cores }
}

/// How many workers `workers = 0` means: allowed cores, bounded by the cgroup's quota.
pub(crate) fn default_workers() -> usize {
    let cores = allowed_cores().len();
    match cgroup_quota() {
        Some(quota) => cores.min(quota),
        None => cores,
    }
}

/// Keeps the calling thread on one core. A failure is not worth refusing to start for:
/// the worker then goes wherever the scheduler puts it.
pub(crate) fn pin_to(core: usize) -> bool {
    // SAFETY: as in `allowed_cores`.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `core` came from `allowed_cores`, so it is below the number of bits.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: `set` is a valid cpu_set_t of the size given; pid 0 is this thread.
    unsafe { libc::sched_setaffinity(0, mem::size_of::<libc::cpu_set_t>(), &set) == 0 }
}

/// Whole CPUs of time the control group allows, rounded up; `None` without a bound.
fn cgroup_quota() -> Option<usize> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path = own
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .unwrap_or("/");
    let v2 = format!("/sys/fs/cgroup{}/cpu.max", path.trim_end_matches('/'));
    let text = fs::read_to_string(v2).or_else(|_| fs::read_to_string("/sys/fs/cgroup/cpu.max"));
    if let Ok(text) = text {
        return quota_of(&text);
    }
    let quota = fs::read_to_string("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").ok()?;
    let period = fs::read_to_string("/sys/fs/cgroup/cpu/cpu.cfs_period_us").ok()?;
    quota_of(&format!("{} {}", quota.trim(), period.trim()))
}

/// Reads `cpu.max`: "200000 100000" is two CPUs, "max 100000" is no bound.
fn quota_of(text: &str) -> Option<usize> {
    let mut words = text.split_whitespace();
    let quota: u64 = words.next()?.parse().ok()?;
    let period: u64 = words.next()?.parse().ok().filter(|&period| period > 0)?;
    usize::try_from(quota.div_ceil(period))
        .ok()
        .map(|cpus| cpus.max(1))
}

/// How many descriptors this process may have open.
pub(crate) fn descriptors_max() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid, writable rlimit.
    let status = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    if status == 0 { limit.rlim_cur } else { 1024 }
}

/// Raises the soft limit on descriptors as far as `wanted`, or to the hard limit; returns
/// what holds afterwards.
pub(crate) fn raise_descriptors(wanted: u64) -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid, writable rlimit.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return descriptors_max();
    }
    if limit.rlim_cur < wanted {
        limit.rlim_cur = wanted.min(limit.rlim_max);
        // SAFETY: `limit` is a valid rlimit, soft at most hard.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    }
    descriptors_max()
}

/// Bytes of a page of memory.
pub(crate) fn page_bytes() -> u64 {
    // SAFETY: sysconf takes no pointers.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_rounded_up_to_whole_cpus() {
        assert_eq!(quota_of("200000 100000"), Some(2));
        assert_eq!(quota_of("150000 100000\n"), Some(2));
        assert_eq!(quota_of("10000 100000"), Some(1));
        assert_eq!(quota_of("max 100000"), None);
        assert_eq!(quota_of("-1 100000"), None);
        assert_eq!(quota_of(""), None);
    }

    #[test]
    fn at_least_one_core_is_allowed() {
        assert!(!allowed_cores().is_empty());
        assert!(default_workers() >= 1);
    }
}
