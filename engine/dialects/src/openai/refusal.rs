//! Decides how a refusal, or a failure in mid-stream, reads to a caller that speaks OpenAI.
//!
//! The SDKs take `message`, `type`, `param` and `code` from the `error` object, and raise an error
//! for one that comes as an event. A stream that failed ends with that event and without `[DONE]`,
//! so that a broken answer is never taken for a whole one.
//!
//! Which refusal it is, its status and its headers were decided elsewhere.

use std::fmt::Display;

use crate::RefusalView;
use crate::json::write::append_object;

/// What `source` says, so that a caller can tell our refusals from a provider's errors, which are
/// passed on as they are.
const SOURCE: &str = "gateway";

/// Appends the body of a refusal.
pub fn append(out: &mut Vec<u8>, refusal: &RefusalView<'_>) {
    append_object(out, |body| {
        body.object("error", |error| {
            error.text("message", refusal.message);
            error.text("type", &refusal.kind);
            error.text_or_null("param", refusal.param.as_ref().map(|param| param as _));
            error.text("code", &refusal.code);
            error.text("source", &SOURCE);
            error.text("request_id", &refusal.request_id);
            if let Some(quota) = &refusal.quota {
                quota.write(error);
            }
        });
    });
}

/// Appends the event that ends a stream with a refusal. What came before must have been whole
/// events.
pub fn append_stream_error(out: &mut Vec<u8>, refusal: &RefusalView<'_>) {
    out.extend_from_slice(b"data: ");
    append(out, refusal);
    out.extend_from_slice(b"\n\n");
}

/// Appends the event that ends a stream whose provider died in the middle of it. What came before
/// must have been whole events.
pub fn append_midstream_failure(
    out: &mut Vec<u8>,
    code: &str,
    message: &dyn Display,
    request_id: &str,
) {
    let failure = RefusalView {
        // The answer began with 200 long ago, and this shape has no place for another.
        status: 200,
        kind: "server_error",
        code,
        message,
        param: None,
        request_id,
        quota: None,
    };
    append_stream_error(out, &failure);
}

#[cfg(test)]
mod tests;
