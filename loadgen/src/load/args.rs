//! The command line of `tollring load`, checked and turned into a [`Plan`].
//!
//! Decides spellings, defaults and which flags exclude each other; what a plan means is decided by
//! [`super::plan`].

use std::path::PathBuf;
use std::time::Duration;

use super::plan::{Arrivals, CONNECTIONS_MAX, Plan, Spacing, THREADS_MAX};
use super::url::Url;
use crate::units::parse_duration;

/// How long a run is when nobody says; what the other generators take.
const DURATION_DEFAULT: Duration = Duration::from_secs(10);

/// Connections of a closed loop when nobody says.
const CONNECTIONS_CLOSED: usize = 50;

/// Connections of an open loop that are made before its clock starts when nobody says.
const CONNECTIONS_OPEN: usize = 8;

/// Requests a second at most: a schedule in nanoseconds has no room for more.
const RATE_MAX: f64 = 10_000_000.0;

/// A request body and path that need no other flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Api {
    /// POST /v1/chat/completions in OpenAI's shape.
    Chat,
    /// POST /v1/embeddings in OpenAI's shape.
    Embeddings,
}

/// The command line of `tollring load`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct LoadArgs {
    /// Where to send: http://host[:port][/path]; with --api, the path may be left out
    #[arg(value_name = "URL")]
    pub(super) url: String,
    /// Open loop: requests per second, sent on schedule whether answers come or not
    #[arg(short = 'q', long, value_name = "N")]
    pub(super) rate: Option<f64>,
    /// Arrivals of --rate are spaced at random (a Poisson process) instead of evenly
    #[arg(long, requires = "rate")]
    pub(super) poisson: bool,
    /// Seeds the random spacing, so that a run can be repeated
    #[arg(long, value_name = "N", default_value_t = 1, requires = "poisson")]
    pub(super) seed: u64,
    /// Closed loop: this many connections, each sending when its last answer has come [default:
    /// 50]; with --rate, how many are open before the clock starts [default: 8]
    #[arg(short = 'c', long, value_name = "N")]
    pub(super) connections: Option<usize>,
    /// Open loop: connections at most; arrivals that find none free wait, and are counted
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub(super) max_connections: usize,
    /// Stop after this many requests
    #[arg(short = 'n', long, value_name = "N")]
    pub(super) requests: Option<u64>,
    /// Stop sending after this long [default: 10s, unless -n is given]
    #[arg(short = 'z', long, value_name = "TIME", value_parser = parse_duration)]
    pub(super) duration: Option<Duration>,
    /// Method [default: GET, or POST with a body]
    #[arg(short = 'm', long, value_name = "METHOD")]
    pub(super) method: Option<String>,
    /// Body
    #[arg(
        short = 'd',
        long = "body",
        value_name = "TEXT",
        conflicts_with = "body_file"
    )]
    pub(super) body: Option<String>,
    /// Body from a file
    #[arg(short = 'D', long, value_name = "FILE")]
    pub(super) body_file: Option<PathBuf>,
    /// Header field, may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(super) headers: Vec<String>,
    /// A ready method, path and body
    #[arg(long, value_enum)]
    pub(super) api: Option<Api>,
    /// Model name in the ready body
    #[arg(long, value_name = "NAME", default_value = "mock", requires = "api")]
    pub(super) model: String,
    /// Key, sent as Authorization: Bearer
    #[arg(long, value_name = "KEY")]
    pub(super) key: Option<String>,
    /// Ask for a stream of events with usage in the ready body
    #[arg(long, requires = "api")]
    pub(super) stream: bool,
    /// Threads, each with a ring and connections of its own
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) threads: usize,
    /// Give a request up after this long and close its connection
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(super) timeout: Duration,
    /// Print the report as one JSON object
    #[arg(long)]
    pub(super) json: bool,
    /// No progress line, even on a terminal
    #[arg(long)]
    pub(super) no_progress: bool,
}

/// The end of `tollring load --help`.
const AFTER_HELP: &str = "\
Exit codes: 0 well, 1 no answer at all, 2 wrong usage, 3 the generator was the bottleneck.

With --rate, latency is counted from when each request should have been sent, so that a server that
stalls cannot hide it; with -c alone the server sets the pace, and most of a stall goes unseen.

  tollring load http://127.0.0.1:8080 --api chat --model fast --key tr_… --rate 5000 -z 30s
  tollring load http://127.0.0.1:8080/v1/models -c 64 -n 100000 --json";

impl LoadArgs {
    /// Checks the command line, reads the body's file and resolves the host's name.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn plan(&self) -> Result<Plan, String> {
        let url = Url::parse(&self.url)?;
        let address = url.resolve()?;
        let body = self.body()?;
        let method = match &self.method {
            Some(method) => method.as_str(),
            None if body.is_empty() => "GET",
            None => "POST",
        };
        let duration = match (self.duration, self.requests) {
            (None, None) => Some(DURATION_DEFAULT),
            (duration, _) => duration,
        };
        let threads = in_bounds("--threads", self.threads, THREADS_MAX)?;
        if self.timeout.is_zero() {
            return Err("--timeout must be more than nothing".to_owned());
        }
        Ok(Plan {
            url: self.url.clone(),
            address,
            request: self.request(&url, method, &body)?,
            to_head: method == "HEAD",
            needs_done: self.stream && self.api == Some(Api::Chat),
            arrivals: self.arrivals(threads)?,
            requests_max: self.requests,
            duration,
            threads,
            timeout: self.timeout,
        })
    }

    fn arrivals(&self, threads: usize) -> Result<Arrivals, String> {
        let connections = |default: usize| {
            // A thread without a connection would have nothing to do.
            let asked = self.connections.unwrap_or(default);
            in_bounds("--connections", asked, CONNECTIONS_MAX).map(|asked| asked.max(threads))
        };
        let Some(rate) = self.rate else {
            return Ok(Arrivals::Closed {
                connections: connections(CONNECTIONS_CLOSED)?,
            });
        };
        if !(rate.is_finite() && rate > 0.0 && rate <= RATE_MAX) {
            return Err(format!("--rate must be more than 0 and at most {RATE_MAX}"));
        }
        let most = in_bounds("--max-connections", self.max_connections, CONNECTIONS_MAX)?;
        let connections_max = most.max(threads);
        let spacing = match self.poisson {
            true => Spacing::Poisson { seed: self.seed },
            false => Spacing::Constant,
        };
        let connections_first = connections(CONNECTIONS_OPEN)?.min(connections_max);
        Ok(Arrivals::Open {
            rate,
            spacing,
            connections_first,
            connections_max,
        })
    }

    fn body(&self) -> Result<Vec<u8>, String> {
        if let Some(file) = &self.body_file {
            return std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()));
        }
        if let Some(body) = &self.body {
            return Ok(body.clone().into_bytes());
        }
        Ok(self
            .api
            .map_or_else(Vec::new, |api| api.body(&self.model, self.stream)))
    }

    /// The request as it goes out, head and body.
    fn request(&self, url: &Url, method: &str, body: &[u8]) -> Result<Vec<u8>, String> {
        if method.is_empty() || !method.bytes().all(is_token) {
            return Err(format!("{method:?} is not a method"));
        }
        let path = match self.api {
            Some(api) => api.path(&url.path),
            None => url.path.clone(),
        };
        let fields = self.headers.iter().map(|field| parse_field(field));
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        let is_given = |name: &str| {
            fields
                .iter()
                .any(|(given, _)| given.eq_ignore_ascii_case(name))
        };
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        let mut add = |name: &str, value: &str| {
            if !is_given(name) {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        };
        add("host", &url.authority);
        add(
            "user-agent",
            concat!("tollring-load/", env!("CARGO_PKG_VERSION")),
        );
        add("accept", "*/*");
        if let Some(key) = &self.key {
            add("authorization", &format!("Bearer {key}"));
        }
        if !body.is_empty() && self.api.is_some() {
            add("content-type", "application/json");
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            add("content-length", &body.len().to_string());
        }
        for (name, value) in &fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        Ok(request)
    }
}

impl Api {
    /// The path to use for a URL's: a URL may end at the host or at `/v1`.
    fn path(self, path: &str) -> String {
        let path = path.trim_end_matches('/');
        let end = match self {
            Self::Chat => "/chat/completions",
            Self::Embeddings => "/embeddings",
        };
        match path {
            "" => format!("/v1{end}"),
            _ if path.ends_with("/v1") => format!("{path}{end}"),
            _ => path.to_owned(),
        }
    }

    fn body(self, model: &str, stream: bool) -> Vec<u8> {
        let mut body = match self {
            Self::Chat => serde_json::json!({
                "model": model,
                "messages": [
                    { "role": "system", "content": SYSTEM },
                    { "role": "user", "content": QUESTION },
                ],
                "max_tokens": 64,
            }),
            Self::Embeddings => serde_json::json!({ "model": model, "input": QUESTION }),
        };
        if stream && self == Self::Chat {
            body["stream"] = true.into();
            body["stream_options"] = serde_json::json!({ "include_usage": true });
        }
        body.to_string().into_bytes()
    }
}

/// What the ready body asks; about 400 bytes, the size of a short question with its instructions.
const SYSTEM: &str = "You are a careful assistant that answers in one short paragraph.";
const QUESTION: &str = "Say in a few words how a toll ring around a city works: who pays at the \
    gates, when they pay, and why the carts that have paid before need not stop. Use plain \
    sentences, no lists and no headings.";

/// Reads `name: value`.
fn parse_field(field: &str) -> Result<(&str, &str), String> {
    let (name, value) = field
        .split_once(':')
        .ok_or_else(|| format!("{field:?} has no colon; write name: value"))?;
    let value = value.trim();
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("{name:?} is not a field name"));
    }
    if value
        .bytes()
        .any(|byte| byte.is_ascii_control() && byte != b'\t')
    {
        return Err(format!("the value of {name} has control characters"));
    }
    for framing in ["content-length", "transfer-encoding", "connection"] {
        if name.eq_ignore_ascii_case(framing) {
            return Err(format!("{framing} is set by the generator"));
        }
    }
    Ok((name, value))
}

/// Whether a byte may stand in a method or a field's name (RFC 9110 §5.6.2).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

fn in_bounds(flag: &str, count: usize, max: usize) -> Result<usize, String> {
    if (1..=max).contains(&count) {
        Ok(count)
    } else {
        Err(format!("{flag} must be from 1 to {max}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed step fails the test

    use clap::Parser;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        load: LoadArgs,
    }

    /// The plan of a command line that has no blanks within its arguments.
    fn plan(line: &str) -> Result<Plan, String> {
        let line = Line::try_parse_from(format!("load {line}").split_whitespace());
        line.map_err(|error| error.to_string())?.load.plan()
    }

    fn request(line: &str) -> String {
        String::from_utf8(plan(line).unwrap().request).unwrap()
    }

    #[test]
    fn a_bare_url_is_a_closed_loop_of_gets_for_ten_seconds() {
        let plan = plan("http://127.0.0.1:9/a?b").unwrap();
        assert_eq!(plan.arrivals, Arrivals::Closed { connections: 50 });
        assert_eq!(plan.duration, Some(Duration::from_secs(10)));
        assert!(
            plan.request
                .starts_with(b"GET /a?b HTTP/1.1\r\nhost: 127.0.0.1:9\r\n")
        );
        assert!(plan.request.ends_with(b"\r\n\r\n"));
    }

    #[test]
    fn a_rate_is_an_open_loop() {
        let plan = plan("http://127.0.0.1:9 --rate 100 --poisson --seed 4 -n 5").unwrap();
        let Arrivals::Open { rate, spacing, .. } = plan.arrivals else {
            panic!("not open")
        };
        assert_eq!((rate, spacing), (100.0, Spacing::Poisson { seed: 4 }));
        assert_eq!((plan.requests_max, plan.duration), (Some(5), None));
    }

    #[test]
    fn the_ready_chat_asks_for_its_model_with_the_key_where_the_url_may_end_early() {
        for url in ["http://127.0.0.1:9", "http://127.0.0.1:9/v1/"] {
            let request = request(&format!("{url} --api chat --model fast --key k1 --stream"));
            assert!(
                request.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"),
                "{request}"
            );
            assert!(request.contains("\r\nauthorization: Bearer k1\r\n"));
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("\r\ncontent-length: {}", body.len())));
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["model"], "fast");
            assert_eq!(body["stream_options"]["include_usage"], true);
        }
    }

    #[test]
    fn fields_of_the_user_replace_the_default_ones() {
        let request = request("http://127.0.0.1:9 -H Host:other -H x-a:1 -d body -m PUT");
        assert!(request.starts_with("PUT / HTTP/1.1\r\n"));
        assert_eq!(request.matches("ost: ").count(), 1);
        assert!(request.contains("Host: other\r\n") && request.contains("x-a: 1\r\n"));
        assert!(request.contains("content-length: 4\r\n") && request.ends_with("\r\n\r\nbody"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_sentence() {
        for line in [
            "127.0.0.1:9",
            "https://127.0.0.1:9",
            "http://127.0.0.1:9 --rate 0",
            "http://127.0.0.1:9 --rate NaN",
            "http://127.0.0.1:9 --poisson",
            "http://127.0.0.1:9 -c 0",
            "http://127.0.0.1:9 -c 1000000",
            "http://127.0.0.1:9 --threads 0",
            "http://127.0.0.1:9 --timeout 0",
            "http://127.0.0.1:9 -m G/T",
            "http://127.0.0.1:9 -H nocolon",
            "http://127.0.0.1:9 -H content-length:5",
            "http://127.0.0.1:9 -D /nonexistent/body",
            "http://127.0.0.1:9 --model m",
        ] {
            assert!(plan(line).is_err(), "{line}");
        }
    }
}
