//! "Did you mean": the nearest of the names there are.

use crate::limits::GUESSES_MAX;

/// How alike two names must be, from 0 to 1, before one is offered for the other.
///
/// Found by trying: `base_ulr` and `dialact` pass, `timeout` is not offered for `token`.
const LIKENESS_MIN: f64 = 0.8;

/// The candidate most like `written`, if any is like it at all.
pub(crate) fn nearest<'n>(
    written: &str,
    candidates: impl IntoIterator<Item = &'n str>,
) -> Option<String> {
    let alike = |name: &&str| strsim::jaro_winkler(&written.to_lowercase(), &name.to_lowercase());
    candidates
        .into_iter()
        .take(GUESSES_MAX)
        .map(|name| (alike(&name), name))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_seen_and_a_stranger_is_not() {
        #[track_caller]
        fn check(written: &str, expected: Option<&str>) {
            let known = [
                "listen", "workers", "base_url", "dialect", "token", "timeouts",
            ];
            assert_eq!(nearest(written, known).as_deref(), expected, "{written}");
        }
        check("base_ulr", Some("base_url"));
        check("dialact", Some("dialect"));
        check("Listen", Some("listen"));
        check("worker", Some("workers"));
        check("timeout", Some("timeouts"));
        check("flavour", None);
        check("", None);
    }
}
