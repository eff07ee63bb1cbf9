//! Bodies and answers in OpenAI's shape, as text.
//!
//! Written out by hand rather than taken from the program's own scripted provider, so that
//! a misreading there does not confirm itself here.

use serde_json::{Value, json};

/// Where chat requests go.
pub const CHAT: &str = "/v1/chat/completions";

/// A chat request: `extra`'s members are added to model and messages.
#[track_caller]
pub fn chat(model: &str, extra: Value) -> Vec<u8> {
    let mut body = json!({
        "model": model,
        "messages": [{ "role": "user", "content": "Say hello." }],
    });
    let Value::Object(extra) = extra else {
        panic!("extra members come as an object")
    };
    body.as_object_mut()
        .expect("it was just written as one")
        .extend(extra);
    body.to_string().into_bytes()
}

/// A usage object.
pub fn usage(input: u64, output: u64) -> Value {
    json!({
        "prompt_tokens": input,
        "completion_tokens": output,
        "total_tokens": input + output,
    })
}

/// The body of a unary answer, with or without usage.
pub fn completion(content: &str, usage: Option<Value>) -> String {
    let mut body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m-upstream",
        "choices": [{
            "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": content },
        }],
    });
    if let Some(usage) = usage {
        body["usage"] = usage;
    }
    body.to_string()
}

/// A whole HTTP answer with a length, whose connection stays open.
pub fn answer(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n\
         {body}"
    )
    .into_bytes()
}

/// A unary answer that says what it used.
pub fn answer_using(input: u64, output: u64) -> Vec<u8> {
    answer("200 OK", &completion("Hello.", Some(usage(input, output))))
}

/// One event of a stream: a piece of content.
pub fn content_event(text: &str) -> String {
    event(
        &json!([{ "index": 0, "delta": { "content": text }, "finish_reason": null }]),
        None,
    )
}

/// The event that ends the content.
pub fn finish_event() -> String {
    event(
        &json!([{ "index": 0, "delta": {}, "finish_reason": "stop" }]),
        None,
    )
}

/// The extra event that carries usage and no choices.
pub fn usage_event(input: u64, output: u64) -> String {
    event(&json!([]), Some(usage(input, output)))
}

/// The event that says a stream ended well.
pub const DONE: &str = "data: [DONE]\n\n";

fn event(choices: &Value, usage: Option<Value>) -> String {
    let mut body = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
        "model": "m-upstream", "choices": choices,
    });
    if let Some(usage) = usage {
        body["usage"] = usage;
    }
    format!("data: {body}\n\n")
}

/// The head of a chunked stream.
pub const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// One chunk.
pub fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// The end of a chunked body.
pub const LAST_CHUNK: &str = "0\r\n\r\n";

/// A whole streamed answer, one chunk for each event.
pub fn stream_of(events: &[String]) -> Vec<u8> {
    let chunks: String = events.iter().map(|event| chunk(event)).collect();
    format!("{STREAM_HEAD}{chunks}{LAST_CHUNK}").into_bytes()
}

/// The events of an ordinary streamed answer; usage, when given, as its own last event.
pub fn stream_events(words: &[&str], usage: Option<(u64, u64)>) -> Vec<String> {
    let mut events: Vec<String> = words.iter().map(|word| content_event(word)).collect();
    events.push(finish_event());
    events.extend(usage.map(|(input, output)| usage_event(input, output)));
    events.push(DONE.to_owned());
    events
}
