//! `[store]`, for editors.

use serde_json::{Value, json};

use super::{bytes, duration, table, text, whole, word};
use crate::limits::{
    JOURNAL_BYTES_MAX, JOURNAL_BYTES_MIN, KEEP_ROWS_DAYS_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN,
};
use crate::schema::store::{
    CRASH_SETTLES, DURABILITIES, FAIL_MODES, JOURNAL_MAX_DEFAULT, KEEP_ROWS_DAYS_DEFAULT,
    SEGMENT_BYTES_DEFAULT, SYNC_INTERVAL_DEFAULT,
};

pub(super) fn store() -> Value {
    let interval = Some(SYNC_INTERVAL_DEFAULT);
    let mut store = table(
        &["path"],
        json!({
            "path": text("The folder of the database and the journal."),
            "url": { "description": "Not available yet.", "not": {} },
            "durability": word(&DURABILITIES.map(|(word, _)| word), "What an answer waits for."),
            "sync_interval": duration(interval, "How often the journal is made to last."),
            "segment": bytes(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX, "One file of the journal."),
            "journal_max": bytes(JOURNAL_BYTES_MIN, JOURNAL_BYTES_MAX, "The journal in all."),
            "keep_rows_days": whole(1, KEEP_ROWS_DAYS_MAX, "Days that a request's row is kept."),
            "fail_mode": word(&FAIL_MODES.map(|(word, _)| word), "When nothing can be written."),
            "crash_settle": word(
                &CRASH_SETTLES.map(|(word, _)| word),
                "What a request in flight is charged when the process is killed.",
            ),
        }),
    );
    let fields = &mut store["properties"];
    fields["segment"]["default"] = json!(SEGMENT_BYTES_DEFAULT);
    fields["journal_max"]["default"] = json!(JOURNAL_MAX_DEFAULT);
    fields["keep_rows_days"]["default"] = json!(KEEP_ROWS_DAYS_DEFAULT);
    store
}
