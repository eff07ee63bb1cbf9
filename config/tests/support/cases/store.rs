//! Faulty texts of `[store]`.

use super::Case;

pub(super) const STORE: &[Case] = &[
    (
        "[store]\npath = ''",
        "2:8 store.path: '' is not the path of a file",
    ),
    (
        "[store]\ndurability = 'sync'",
        "1:1 store.path: is missing; add `path = \"/var/lib/tollring\"`",
    ),
    (
        "[store]\npath = '/x'\njournal_max = '1KiB'",
        "3:15 store.journal_max: '1KiB' is not from 1048576 to 1099511627776",
    ),
    (
        "[store]\npath = '/x'\nfail_mode = 'close'",
        "3:13 store.fail_mode: 'close' is none of the choices; did you mean `closed`?",
    ),
    (
        "[store]\npath = '/x'\nurl = 'postgres://x'",
        "3:7 store.url: this version keeps its store in a folder of its own; write `path",
    ),
];
