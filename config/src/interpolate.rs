//! Variables of the environment in the strings of the file.
//!
//! `${NAME}`, `${NAME:-default}` for one that is unset or empty, `${NAME:?message}`
//! to say what it is for, and `$${` for a plain `${`. A default is plain text:
//! nothing is looked up inside it, and nothing inside a value.

use std::borrow::Cow;

use crate::fault::Problem;
use crate::limits::VALUE_BYTES_MAX;

/// The environment: the value of a variable, if it is set.
pub(crate) type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Fills in the variables of a string.
///
/// The faults name the variable and never its value.
pub(crate) fn interpolate<'t>(
    text: &'t str,
    env: Environment<'_>,
) -> Result<Cow<'t, str>, Problem> {
    if !text.contains("${") {
        return bounded(Cow::Borrowed(text));
    }
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, variable) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            filled.push_str(before);
            filled.push_str("${");
            rest = &variable[2..];
            continue;
        }
        filled.push_str(before);
        let (inside, after) = variable[2..]
            .split_once('}')
            .ok_or(Problem::VariableMalformed)?;
        filled.push_str(&look_up(inside, env)?);
        rest = after;
    }
    filled.push_str(rest);
    bounded(Cow::Owned(filled))
}

fn bounded(text: Cow<'_, str>) -> Result<Cow<'_, str>, Problem> {
    if text.len() > VALUE_BYTES_MAX {
        return Err(Problem::ValueTooLong {
            max: VALUE_BYTES_MAX,
        });
    }
    Ok(text)
}

/// The value of what stands between `${` and `}`.
fn look_up(inside: &str, env: Environment<'_>) -> Result<String, Problem> {
    let (name, otherwise) = match inside.split_once(':') {
        Some((name, rest)) => (name, Some(rest)),
        None => (inside, None),
    };
    if !is_name(name) {
        return Err(Problem::VariableMalformed);
    }
    let value = env(name);
    let missing = |why| Problem::VariableMissing {
        name: name.to_owned(),
        why,
    };
    // As in a shell, a colon asks for a value that is not empty either.
    match otherwise.map(|rest| rest.split_at_checked(1)) {
        None => value.ok_or_else(|| missing(None)),
        Some(Some(("-", default))) => Ok(value
            .filter(|value| !value.is_empty())
            .unwrap_or_else(|| default.to_owned())),
        Some(Some(("?", why))) => value
            .filter(|value| !value.is_empty())
            .ok_or_else(|| missing(Some(why.to_owned()).filter(|why| !why.is_empty()))),
        Some(_) => Err(Problem::VariableMalformed),
    }
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("example.com".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${HOST}".to_owned()),
            _ => None,
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(interpolate(text, &env).as_deref(), Ok(expected), "{text}");
    }

    #[track_caller]
    fn check_fault(text: &str, expected: Problem) {
        assert_eq!(interpolate(text, &env), Err(expected), "{text}");
    }

    #[test]
    fn each_form_is_filled_in() {
        check("plain $5 {a}", "plain $5 {a}");
        check("http://${HOST}/v1", "http://example.com/v1");
        check("${HOST}${HOST}", "example.comexample.com");
        check("${EMPTY}", "");
        check("${EMPTY:-x}", "x");
        check("${NOWHERE:-a:b-c}", "a:b-c");
        check("${NOWHERE:-}", "");
        check("${HOST:-x}", "example.com");
        check("${HOST:?needed}", "example.com");
        check("$${HOST}", "${HOST}");
        check("a$$${HOST}", "a$${HOST}");
        check("${NESTED}", "${HOST}");
    }

    #[test]
    fn a_variable_that_is_not_there_is_named() {
        let missing = |name: &str, why: Option<&str>| Problem::VariableMissing {
            name: name.to_owned(),
            why: why.map(str::to_owned),
        };
        check_fault("${NOWHERE}", missing("NOWHERE", None));
        check_fault(
            "${NOWHERE:?ask the vault}",
            missing("NOWHERE", Some("ask the vault")),
        );
        check_fault("${NOWHERE:?}", missing("NOWHERE", None));
        check_fault("${EMPTY:?no}", missing("EMPTY", Some("no")));
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for text in [
            "${",
            "${}",
            "${HOST",
            "${A B}",
            "${1A}",
            "${HOST:x}",
            "${HOST:}",
            "${é}",
            "${A:é}",
        ] {
            check_fault(text, Problem::VariableMalformed);
        }
    }

    #[test]
    fn a_value_is_bounded() {
        let long = |_: &str| Some("x".repeat(VALUE_BYTES_MAX + 1));
        let expected = Err(Problem::ValueTooLong {
            max: VALUE_BYTES_MAX,
        });
        assert_eq!(interpolate("${A}", &long), expected);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[$a-z{}:?é-]{0,24}") {
            let _ = interpolate(&text, &env);
        }
    }
}
