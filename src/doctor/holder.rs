//! Who listens on a port: from the kernel's table of sockets to a process.
//!
//! Only processes of the same user can be looked into, unless we are root.

use std::fs;
use std::net::SocketAddr;

/// A process that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) pid: u32,
    pub(super) name: String,
}

/// Who listens on a port; none when it cannot be seen.
pub(super) fn of(address: SocketAddr) -> Option<Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inodes: Vec<String> = tables
        .iter()
        .flat_map(|table| {
            listening(
                &fs::read_to_string(table).unwrap_or_default(),
                address.port(),
            )
        })
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find(|&pid| has_one_of(pid, &inodes))
        .map(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let name = name.trim().to_owned();
            Holder { pid, name }
        })
}

/// The inodes of the sockets that listen on a port (proc_net(5): state 0A).
fn listening(table: &str, port: u16) -> Vec<String> {
    let port = format!(":{port:04X}");
    let inodes = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&port) && *fields.get(3)? == "0A";
        listens.then(|| format!("socket:[{}]", fields.get(9).unwrap_or(&"")))
    });
    inodes.collect()
}

fn has_one_of(pid: u32, inodes: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    descriptors
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|target| {
            inodes
                .iter()
                .any(|inode| target.as_os_str() == inode.as_str())
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_port_of_ours_is_found_to_be_ours() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = of(listener.local_addr().unwrap()).unwrap();
        assert_eq!(holder.pid, std::process::id());
    }

    #[test]
    fn only_sockets_that_listen_are_counted() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
             0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 77 1\n\
             1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000 0 0 78 1\n";
        assert_eq!(listening(table, 8080), ["socket:[77]"]);
        assert!(listening(table, 8081).is_empty());
    }
}
