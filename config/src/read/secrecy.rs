//! Which bytes of a file no fault may show.
//!
//! Judged by the names of fields, generously, for a secret under a misspelt name is
//! as secret as under the right one. What stands under a name that the table does
//! not have is not shown either: who knows what it is.

use std::collections::HashMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// Adds the bytes of every secret in the table, however deep.
pub(super) fn of_table<'d>(table: &'d DeTable<'_>, hidden: &'d mut Vec<Range<usize>>) {
    Secrets {
        judged: HashMap::new(),
        hidden,
    }
    .add_table(table);
}

/// The secrets found so far.
struct Secrets<'d> {
    /// Names that were judged before: a file with many keys says the same few in each.
    judged: HashMap<&'d str, bool>,
    hidden: &'d mut Vec<Range<usize>>,
}

impl<'d> Secrets<'d> {
    fn add_table(&mut self, table: &'d DeTable<'_>) {
        for (key, value) in table {
            let name: &'d str = key.get_ref();
            let judge = || is_secret_name(name);
            let secret = *self.judged.entry(name).or_insert_with(judge);
            self.add_value(value.get_ref(), value.span(), secret);
        }
    }

    fn add_value(&mut self, value: &'d DeValue<'_>, span: Range<usize>, secret: bool) {
        match value {
            // A table under a secret name is judged by its own fields: `keys` are tables.
            DeValue::Table(table) => self.add_table(table),
            DeValue::Array(items) => {
                for item in items.iter() {
                    self.add_value(item.get_ref(), item.span(), secret);
                }
            }
            _ if secret => self.hidden.push(span),
            _ => {}
        }
    }
}

/// Adds the bytes of everything in the value, whatever its fields are called.
pub(super) fn of_stranger(value: &DeValue<'_>, span: Range<usize>, hidden: &mut Vec<Range<usize>>) {
    match value {
        DeValue::Table(table) => {
            for inside in table.values() {
                of_stranger(inside.get_ref(), inside.span(), hidden);
            }
        }
        DeValue::Array(items) => {
            for item in items.iter() {
                of_stranger(item.get_ref(), item.span(), hidden);
            }
        }
        _ => hidden.push(span),
    }
}

/// The bytes to hide round a slip in the grammar, where fields cannot be told apart.
///
/// If a secret is named anywhere between the header of the section and the slip,
/// everything from its name to the end of the slip's line is hidden.
pub(super) fn near_slip(text: &str, slip: usize) -> Range<usize> {
    let mut slip = slip.min(text.len());
    while !text.is_char_boundary(slip) {
        slip -= 1;
    }
    let end = text[slip..]
        .find('\n')
        .map_or(text.len(), |feed| slip + feed);
    let section = text[..slip].rfind("\n[").map_or(0, |feed| feed + 1);
    let mut at = section;
    for word in text[section..end].split_inclusive(|letter: char| !is_name_letter(letter)) {
        at += word.len();
        if is_secret_name(word.trim_end_matches(|letter: char| !is_name_letter(letter))) {
            return at..end;
        }
    }
    end..end
}

fn is_name_letter(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '-'
}

/// Whether a field of this name, or of the name it was meant to be, holds a secret.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase();
    let near = |secret: &str| strsim::damerau_levenshtein(&name, secret) <= 2;
    let counts = name.contains("tokens");
    name.contains("secret")
        || name.contains("passw")
        || name.contains("authorization")
        || name.contains("cookie")
        || (name.contains("token") && !counts)
        || (name.contains("key") && name != "keys")
        || ["api_keys", "token"].into_iter().any(near) && !counts
        // A proxy's URL may hold a password.
        || strsim::damerau_levenshtein(&name, "proxy") <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_name_even_misspelt() {
        for name in [
            "api_keys",
            "api_key",
            "apikeys",
            "token",
            "tokne",
            "Admin_Token",
            "password",
            "Authorization",
            "Set-Cookie",
            "proxy",
            "prxoy",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "keys",
            "output_tokens_max",
            "tokens",
            "listen",
            "name",
            "sha256",
            "price",
            "proxy_protocol",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn a_slip_after_a_secret_hides_the_rest_of_its_line() {
        #[track_caller]
        fn check(text: &str, slip: &str, expected: &str) {
            let at = text.find(slip).unwrap_or(text.len());
            assert_eq!(&text[near_slip(text, at)], expected, "{text}");
        }
        check("token = sk-1", "sk-1", "= sk-1");
        check("[a]\ntoken = \"x\"\n[b]\nworkers = oops\n", "oops", "");
        check(
            "[a]\napi_keys = [\n  \"sk-1,\n]\n",
            "sk-1",
            "= [\n  \"sk-1,",
        );
    }
}
