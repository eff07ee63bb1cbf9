//! Decides how the models on offer are listed to a caller that speaks OpenAI.
//!
//! Which models those are is decided elsewhere.

use crate::json::write::{Object, append_object};

/// Who a model belongs to: the gateway offers it, whoever runs it.
const OWNER: &str = "tollring";

/// Appends the list of models (`GET /v1/models`), in the order given.
pub fn append_models<'a>(out: &mut Vec<u8>, ids: impl IntoIterator<Item = &'a str>) {
    out.extend_from_slice(br#"{"object":"list","data":["#);
    for (at, id) in ids.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        append_model(out, id);
    }
    out.extend_from_slice(b"]}");
}

/// Appends one model (`GET /v1/models/{id}`).
pub fn append_model(out: &mut Vec<u8>, id: &str) {
    append_object(out, |model: &mut Object<'_>| {
        model.text("id", &id);
        model.text("object", &"model");
        // Nobody knows when a name was made up; the SDKs only want a number.
        model.number_or_null("created", Some(0));
        model.text("owned_by", &OWNER);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ids: &[&str], expected: &str) {
        let mut out = Vec::new();
        append_models(&mut out, ids.iter().copied());
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn models_are_listed_in_the_order_given_with_their_names_escaped() {
        check(&[], r#"{"object":"list","data":[]}"#);
        check(
            &["fast", "a\"b"],
            concat!(
                r#"{"object":"list","data":["#,
                r#"{"id":"fast","object":"model","created":0,"owned_by":"tollring"},"#,
                r#"{"id":"a\"b","object":"model","created":0,"owned_by":"tollring"}]}"#,
            ),
        );
    }
}
