//! Decides how a refusal reads to a REST caller: `application/problem+json` (RFC 9457).
//!
//! It decides neither the refusal nor its status, and writes no headers.

use std::fmt::{self, Display, Write as _};

use crate::RefusalView;
use crate::json::write::append_object;

/// The media type of what [`append`] writes.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Appends the problem document of one refusal: `type`, `title`, `status` and `detail` as the RFC
/// has them, and `code`, `request_id` and `quota` as extension members (§3.2).
pub fn append(out: &mut Vec<u8>, refusal: &RefusalView<'_>) {
    append_object(out, |problem| {
        problem.text("type", &ProblemType(refusal.code));
        problem.text("title", &Title(refusal.kind));
        problem.number_or_null("status", Some(refusal.status.into()));
        problem.text("detail", refusal.message);
        problem.text("code", &refusal.code);
        problem.text("request_id", &refusal.request_id);
        if let Some(param) = &refusal.param {
            problem.text("param", param);
        }
        if let Some(quota) = &refusal.quota {
            quota.write(problem);
        }
    });
}

/// The problem's identity (RFC 9457 §3.1.1): a name, not an address, as there is nothing to
/// fetch that this gateway could promise to keep.
struct ProblemType<'a>(&'a str);

impl Display for ProblemType<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "urn:tollring:refusal:{}", self.0)
    }
}

/// The kind as words: `insufficient_quota` is "Insufficient quota". It follows the kind and not
/// the status, which an operator may change; RFC 9457 §3.1.3 wants one title for one type.
struct Title<'a>(&'a str);

impl Display for Title<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, char) in self.0.char_indices() {
            f.write_char(match char {
                '_' => ' ',
                first if at == 0 => first.to_ascii_uppercase(),
                other => other,
            })?;
        }
        Ok(())
    }
}
