//! What an operator has done to the fields of a service's heads: set, added, taken away.
//!
//! Prepared once for a snapshot, as lines to copy and names to leave out. Which fields may be
//! edited at all the configuration has decided.

use tollring_config::FieldEdits;

/// Edits of the fields of one direction.
pub(crate) struct FieldPlan {
    /// What is written, as whole lines.
    lines: Box<[u8]>,
    /// What does not go on, in lower case.
    dropped: Box<[Box<str>]>,
}

impl FieldPlan {
    /// Prepares edits; `None` where there are none, so that a head costs no look at them.
    pub(crate) fn of(edits: &FieldEdits) -> Option<Self> {
        if edits.is_empty() {
            return None;
        }
        let mut lines = Vec::new();
        for (name, value) in edits.set.iter().chain(&edits.add) {
            tollring_http1::append_field(&mut lines, name.as_bytes(), value.expose().as_bytes());
        }
        let set = edits.set.iter().map(|(name, _)| name);
        Some(Self {
            lines: lines.into(),
            dropped: set.chain(&edits.remove).cloned().collect(),
        })
    }

    /// Whether a field that came does not go on.
    pub(super) fn drops(&self, name: &[u8]) -> bool {
        self.dropped
            .iter()
            .any(|dropped| name.eq_ignore_ascii_case(dropped.as_bytes()))
    }

    /// What is written beside the fields that go on.
    pub(super) fn lines(&self) -> &[u8] {
        &self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollring_config::Secret;

    #[test]
    fn what_is_set_takes_the_place_of_what_came_and_what_is_added_stands_beside_it() {
        let plan = FieldPlan::of(&FieldEdits {
            set: vec![("x-a".into(), Secret::new("1"))],
            add: vec![("x-b".into(), Secret::new("2"))],
            remove: vec!["x-c".into()],
        })
        .expect("there are edits");
        assert_eq!(plan.lines(), b"x-a: 1\r\nx-b: 2\r\n");
        assert!(plan.drops(b"X-A") && plan.drops(b"X-C") && !plan.drops(b"X-B"));
        assert!(FieldPlan::of(&FieldEdits::default()).is_none());
    }
}
