//! Room: descriptors for connections, and memory.

use tollring_config::Snapshot;
use tollring_engine::{Pressure, machine};

use super::Finding;

/// Looks at both.
pub(super) fn look(site: Option<&Snapshot>) -> Vec<Finding> {
    vec![descriptors(site), memory(site)]
}

fn descriptors(site: Option<&Snapshot>) -> Finding {
    let connections = site.and_then(|site| site.limits.connections);
    let stated = site.map_or(0, |site| usize::from(site.server.workers));
    let workers = if stated == 0 {
        machine::workers()
    } else {
        stated
    };
    let addresses = site.map_or(1, |site| site.server.listen.len());
    let room = machine::descriptors(connections, workers, addresses);
    let (allowed, wanted) = (room.allowed, room.wanted);
    let remedy = "raise the limit: ulimit -n, or LimitNOFILE in the unit";
    match room.clients {
        None => Finding::fail(
            "descriptors",
            format!("{allowed}, too few for limits.connections = {wanted}"),
            remedy,
        ),
        Some(clients) if clients < wanted => Finding::warn(
            "descriptors",
            format!("{allowed}, room for {clients} clients"),
            remedy,
        ),
        Some(clients) => Finding::ok(
            "descriptors",
            format!("{allowed}, room for {clients} clients"),
        ),
    }
}

fn memory(site: Option<&Snapshot>) -> Finding {
    const MIB: u64 = 1024 * 1024;
    if let Some(stated) = site.and_then(|site| site.limits.memory) {
        let found = format!("limits.memory is {} MiB", stated / MIB);
        return Finding::ok("memory", found);
    }
    let reading = machine::group_memory();
    let Some(bound) = reading.bound_bytes else {
        return Finding::warn(
            "memory",
            "nothing bounds it",
            "set limits.memory, or MemoryMax in the unit: work is refused before it is reached",
        );
    };
    let found = format!(
        "{} of {} MiB in the control group",
        reading.used_bytes / MIB,
        bound / MIB
    );
    if reading.pressure == Pressure::None {
        return Finding::ok("memory", found);
    }
    let remedy = "work would be refused from the start; give the group more, or empty it";
    Finding::fail("memory", found, remedy)
}
