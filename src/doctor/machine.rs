//! The machine: its kernel, the interface that workers get, cores, and the clock.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tollring_config::{IoChoice, Snapshot};
use tollring_engine::{IoKind, machine};

use super::Finding;

/// When this program was written: no clock that is right is before it. 2026-01-01.
const WRITTEN: Duration = Duration::from_secs(1_767_225_600);

/// Looks at all of it.
pub(super) fn look(site: Option<&Snapshot>) -> Vec<Finding> {
    vec![
        kernel(),
        interface(site),
        cores(site),
        clock(SystemTime::now()),
    ]
}

fn kernel() -> Finding {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let mut numbers = release.split(['.', '-']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        // DEFER_TASKRUN, the best of the ring's flags, came with 6.1.
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < (6, 1) => Finding::warn(
            "kernel",
            format!("Linux {release}"),
            "6.1 or newer has the ring's fastest mode",
        ),
        (Some(Ok(_)), Some(Ok(_))) => Finding::ok("kernel", format!("Linux {release}")),
        _ => Finding::warn(
            "kernel",
            format!("unknown: {release:?}"),
            "is /proc mounted?",
        ),
    }
}

fn interface(site: Option<&Snapshot>) -> Finding {
    let choice = site.map_or(IoChoice::Auto, |site| site.server.io);
    match machine::io(choice) {
        Ok(report) if report.kind == IoKind::IoUring => {
            let flags = report.flags.join(" ");
            Finding::ok("io", format!("io_uring, {flags}"))
        }
        Ok(_) if choice == IoChoice::Epoll => Finding::ok("io", "epoll, as the file says"),
        Ok(report) => Finding::warn(
            "io",
            format!("epoll: {}", report.passed_over.join("; ")),
            "allow io_uring: sysctl kernel.io_uring_disabled=0, and a seccomp profile that has \
             io_uring_setup, io_uring_enter and io_uring_register",
        ),
        Err(fault) => Finding::fail("io", fault.to_string(), "set server.io = \"auto\""),
    }
}

fn cores(site: Option<&Snapshot>) -> Finding {
    let (cores, default) = (machine::cores().len(), machine::workers());
    let workers = site.map_or(0, |site| usize::from(site.server.workers));
    let workers = if workers == 0 { default } else { workers };
    let found = format!("{workers} workers on {cores} cores, time for {default}");
    if workers > default {
        let remedy = format!("more workers than cores take turns; set server.workers = {default}");
        return Finding::warn("cores", found, remedy);
    }
    Finding::ok("cores", found)
}

fn clock(now: SystemTime) -> Finding {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let found = format!("{} s since 1970", since.as_secs());
    if since < WRITTEN {
        let remedy = "windows of quotas and certificates follow the clock; set it (timedatectl)";
        return Finding::fail("clock", found, remedy);
    }
    Finding::ok("clock", found)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_clock_from_before_the_program_is_wrong() {
        assert_eq!(clock(UNIX_EPOCH).verdict, Verdict::Fail);
        assert_eq!(clock(UNIX_EPOCH + WRITTEN).verdict, Verdict::Ok);
    }
}
