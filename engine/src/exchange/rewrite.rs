//! Which path an upstream is asked for, where that is not the one the client wrote.
//!
//! A service may take its own prefix off, and then rewrite what is left by a pattern. What
//! comes of it is looked at as what came was: it must be a path that begins with a slash,
//! fits its bound, and does not climb. The query is never touched.

use tollring_config::limits::PATH_BYTES_MAX;
use tollring_config::{Rewrite, Service};

use super::refusal::Refusal;
use super::route::climbs;
use crate::connection::Intake;

/// Bytes of a path once it is rewritten. A pattern can repeat what it matched; more than this
/// no upstream takes in a request line (8,000 octets is what RFC 9112 §3 asks of one).
const REWRITTEN_BYTES_MAX: usize = 16 * 1024;

const _: () = assert!(
    PATH_BYTES_MAX < REWRITTEN_BYTES_MAX,
    "whatever a replacement says by itself is a path"
);

/// Works out the path for the upstreams of a service. Leaves nothing behind where the client's
/// own path goes on.
///
/// # Errors
/// When what comes of it is no path, or one that climbs.
pub(super) fn apply(intake: &mut Intake, service: &Service) -> Result<(), Refusal> {
    let rules = &service.rules;
    if !rules.strip_path && rules.rewrite.is_none() {
        return Ok(());
    }
    let path = intake.head.path.of(&intake.inbox);
    // It was found by this prefix, so the prefix is there.
    let taken_off = if rules.strip_path {
        service.path.len()
    } else {
        0
    };
    let rest = match path.get(taken_off..) {
        Some(rest) if !rest.is_empty() => rest,
        _ => b"/",
    };
    let out = &mut intake.path_out;
    match &rules.rewrite {
        None => out.extend_from_slice(rest),
        Some(rewrite) => replace(rest, rewrite, out),
    }
    let fits = out.len() <= REWRITTEN_BYTES_MAX && out.starts_with(b"/");
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"?#\\".contains(byte);
    if !fits || !out.iter().all(plain) || climbs(out) {
        return Err(Refusal::PathUnfit);
    }
    Ok(())
}

/// Replaces the first match; a path without one goes on as it is.
fn replace(path: &[u8], rewrite: &Rewrite, out: &mut Vec<u8>) {
    let Some(found) = rewrite.from.captures(path) else {
        return out.extend_from_slice(path);
    };
    let whole = found.get(0).map_or(0..0, |whole| whole.range());
    out.extend_from_slice(&path[..whole.start]);
    found.expand(rewrite.to.as_bytes(), out);
    out.extend_from_slice(&path[whole.end..]);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use super::*;
    use tollring_config::parse;

    #[track_caller]
    fn check(rules: &str, path: &str, expected: Option<&str>) {
        let text = format!(
            "[services.s]\npath = \"/shop\"\nupstreams = [\"http://127.0.0.1:1\"]\n{rules}"
        );
        let snapshot = parse("test", &text, &|_| None).unwrap();
        let mut intake = Intake::holding(format!("GET {path}?q HTTP/1.1\r\nHost: a\r\n\r\n"));
        let applied = apply(&mut intake, &snapshot.services[0]);
        let out = applied
            .is_ok()
            .then(|| String::from_utf8(intake.path_out).unwrap());
        assert_eq!(out.as_deref(), expected, "{rules}: {path}");
    }

    #[test]
    fn a_prefix_is_taken_off_and_a_slash_stays() {
        check("", "/shop/a", Some(""));
        check("strip_path = true", "/shop/a/b", Some("/a/b"));
        check("strip_path = true", "/shop/", Some("/"));
        check("strip_path = true", "/shop", Some("/"));
        check("strip_path = true", "/shop//a", Some("//a"));
    }

    #[test]
    fn a_pattern_sees_what_is_left_and_the_query_stays_away_from_it() {
        let rewrite = "rewrite = { from = '^/v1/(.*)$', to = '/v2/$1/x' }";
        check(rewrite, "/shop/v1/a", Some("/shop/v1/a"));
        let both = format!("strip_path = true\n{rewrite}");
        check(&both, "/shop/v1/a/b", Some("/v2/a/b/x"));
        check(&both, "/shop/v3/a", Some("/v3/a"));
        check(
            "rewrite = { from = 'o', to = '0' }",
            "/shop/o",
            Some("/sh0p/o"),
        );
    }

    #[test]
    fn what_is_no_path_any_more_goes_nowhere() {
        check("rewrite = { from = '^/shop/', to = '' }", "/shop/a", None);
        check(
            "rewrite = { from = '^/shop/(.*)', to = '/$1/../x' }",
            "/shop/a",
            None,
        );
        check(
            "rewrite = { from = '^/shop/(.)(.)', to = '/$1./$2' }",
            "/shop/.a",
            None,
        );
        let long = format!("/shop/{}", "a".repeat(9_000));
        check("rewrite = { from = '(.*)', to = '$1$1' }", &long, None);
    }
}
