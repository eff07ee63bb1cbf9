//! The service manager: whether systemd runs this machine, and whether it runs us.

use std::env;

use super::Finding;

/// Looks whether we are told where to tell our states, and whether sockets were made for us.
pub(super) fn look() -> Vec<Finding> {
    let booted = sd_notify::booted().unwrap_or(false);
    let told = env::var_os("NOTIFY_SOCKET").is_some();
    let found = match (booted, told) {
        (false, _) => "no systemd here; signals and the admin port do the same",
        (true, false) => "systemd runs this machine; this process was not started by a unit",
        (true, true) => "started by a unit, and tells it how we are",
    };
    vec![Finding::ok("systemd", found)]
}
