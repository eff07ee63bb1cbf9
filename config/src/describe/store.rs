//! What is kept on disk, as the file would say it in full.

use serde_json::{Value, json};

use crate::schema::store::{CRASH_SETTLES, DURABILITIES, FAIL_MODES};
use crate::snapshot::Store;
use crate::value::show_duration;

pub(super) fn store(store: &Store) -> Value {
    json!({
        "path": store.path,
        "durability": word(&DURABILITIES, store.durability),
        "sync_interval": show_duration(store.sync_interval),
        "segment": store.segment_bytes,
        "journal_max": store.journal_bytes_max,
        "keep_rows_days": store.keep_rows_days,
        "fail_mode": word(&FAIL_MODES, store.fail_mode),
        "crash_settle": word(&CRASH_SETTLES, store.crash_settle),
    })
}

/// The word that means this.
pub(super) fn word<T: PartialEq>(words: &[(&'static str, T)], meant: T) -> Option<&'static str> {
    let said = words.iter().find(|(_, value)| *value == meant);
    said.map(|(word, _)| *word)
}
