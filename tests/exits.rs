//! Every way out of an exchange, on everything that is metered: each posts or voids exactly once.
//!
//! The table is made, not written: ways times endpoints. What the counters say while the gateway
//! runs, the rows in the store and the counters after a kill must be one and the same. How much a
//! cut answer costs is `metering.rs`'s to say.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::binary::Folder;
use support::openai::{self, CHAT, DONE, LAST_CHUNK, STREAM_HEAD, chunk};
use support::{Gate, Gateway, Peer, Provider, Request, Site};

/// What is metered, and how it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Chat { stream: bool },
    Completions { stream: bool },
    Embeddings,
    ByRequests,
    ByBytes,
}

use Endpoint::{ByBytes, ByRequests, Chat, Completions, Embeddings};

const ENDPOINTS: [Endpoint; 7] = [
    Chat { stream: false },
    Chat { stream: true },
    Completions { stream: false },
    Completions { stream: true },
    Embeddings,
    ByRequests,
    ByBytes,
];

/// How an exchange ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Whole,
    Status(u16),
    Refused,
    ResetBefore,
    ResetAfter,
    ClientReset,
    Malformed,
    NoUsage,
    ZeroUsage,
    Failover,
    CutByQuota,
}

const EXITS: [Exit; 12] = [
    Exit::Whole,
    Exit::Status(404),
    Exit::Status(500),
    Exit::Refused,
    Exit::ResetBefore,
    Exit::ResetAfter,
    Exit::ClientReset,
    Exit::Malformed,
    Exit::NoUsage,
    Exit::ZeroUsage,
    Exit::Failover,
    Exit::CutByQuota,
];

impl Endpoint {
    const fn streams(self) -> bool {
        matches!(self, Chat { stream: true } | Completions { stream: true })
    }

    const fn is_service(self) -> bool {
        matches!(self, ByRequests | ByBytes)
    }

    /// An answer of this kind in pieces: a head, what comes first, and the rest.
    fn pieces(self, usage: Option<(u64, u64)>) -> [String; 3] {
        let told = usage.map(|(input, output)| openai::usage(input, output));
        let body = match self {
            Chat { stream: false } => openai::completion("Hello there.", told),
            Completions { stream: false } => {
                let choices = json!([{ "index": 0, "text": "Hello.", "finish_reason": "stop" }]);
                with_usage(
                    json!({ "object": "text_completion", "choices": choices }),
                    told,
                )
            }
            Embeddings => {
                let data = json!([{ "object": "embedding", "index": 0, "embedding": [0.5] }]);
                with_usage(json!({ "object": "list", "data": data }), told)
            }
            ByRequests | ByBytes => "{\"ok\":true}".to_owned(),
            Chat { stream: true } | Completions { stream: true } => {
                let events = [self.word("Hello "), self.word("there.")];
                let last = told.map(|usage| event(json!([]), Some(usage)));
                let rest = chunk(&events[1]) + &last.map_or_else(String::new, |last| chunk(&last));
                let rest = rest + &chunk(DONE) + LAST_CHUNK;
                return [STREAM_HEAD.to_owned(), chunk(&events[0]), rest];
            }
        };
        let answer = String::from_utf8(openai::answer("200 OK", &body)).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let (first, rest) = body.split_at(body.len() / 2);
        [format!("{head}\r\n\r\n"), first.to_owned(), rest.to_owned()]
    }

    /// An event with a piece of text.
    fn word(self, text: &str) -> String {
        match self {
            Completions { .. } => event(json!([{ "index": 0, "text": text }]), None),
            _ => openai::content_event(text),
        }
    }
}

fn with_usage(mut body: Value, usage: Option<Value>) -> String {
    if let Some(usage) = usage {
        body["usage"] = usage;
    }
    body.to_string()
}

fn event(choices: Value, usage: Option<Value>) -> String {
    let body = json!({ "id": "c", "object": "chunk", "model": "m", "choices": choices });
    format!("data: {}\n\n", with_usage(body, usage))
}

/// What must stand in the row of an exchange, and whether it was charged as a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    posts: bool,
    outcome: u8,
    source: u8,
}

/// `Outcome` and `UsageSource`, as the store numbers them.
const WHOLE: u8 = 1;
const CUT: u8 = 2;
const CLIENT_GONE: u8 = 3;
const FAILED: u8 = 4;
const UNKNOWN: u8 = 0;
const PROVIDER: u8 = 1;
const COUNTED: u8 = 2;
const HELD: u8 = 3;

/// One field of the table.
#[derive(Clone, Copy, Debug)]
struct Case {
    endpoint: Endpoint,
    exit: Exit,
}

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        let cases = ENDPOINTS
            .into_iter()
            .flat_map(|endpoint| EXITS.into_iter().map(move |exit| Self { endpoint, exit }));
        cases.filter(|case| case.exists())
    }

    /// A service has no usage to tell, and nothing is cut that comes in one piece.
    fn exists(self) -> bool {
        match self.exit {
            Exit::Malformed | Exit::NoUsage | Exit::ZeroUsage => !self.endpoint.is_service(),
            Exit::CutByQuota => self.endpoint.streams(),
            _ => true,
        }
    }

    /// Whether its answer is one JSON text with output in it, none of which can be read.
    fn is_unread(self) -> bool {
        matches!(
            self.endpoint,
            Chat { stream: false } | Completions { stream: false }
        )
    }

    /// What it is called: model, provider, service, key and path.
    fn name(self) -> String {
        let words = format!("{:?}-{:?}", self.endpoint, self.exit).to_lowercase();
        let kept = words.split(|letter: char| !letter.is_ascii_alphanumeric());
        kept.filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join("-")
    }

    fn key(self) -> String {
        format!("tr_{}_0123456789abcdef", self.name())
    }

    fn expected(self) -> Row {
        let row = |posts, outcome, source| Row {
            posts,
            outcome,
            source,
        };
        let said = match self.endpoint.is_service() {
            true => UNKNOWN,
            false => PROVIDER,
        };
        match self.exit {
            Exit::Whole | Exit::ZeroUsage | Exit::Failover => row(true, WHOLE, said),
            // What cannot be read cannot be counted: then it is what was held for it.
            Exit::Malformed if self.is_unread() => row(true, WHOLE, HELD),
            Exit::NoUsage | Exit::Malformed => row(true, WHOLE, COUNTED),
            // Whoever fails is not paid; a service that says no has done its work.
            Exit::Status(status) => {
                let works = self.endpoint.is_service() && status < 500;
                row(works, WHOLE, UNKNOWN)
            }
            Exit::Refused | Exit::ResetBefore => row(false, FAILED, UNKNOWN),
            Exit::ResetAfter if self.endpoint.is_service() => row(true, CUT, UNKNOWN),
            // Half a vector is of no use to anybody.
            Exit::ResetAfter if self.endpoint == Embeddings => row(false, CUT, UNKNOWN),
            Exit::ResetAfter => row(true, CUT, COUNTED),
            Exit::ClientReset if self.endpoint.is_service() => row(true, CLIENT_GONE, UNKNOWN),
            Exit::ClientReset => row(true, CLIENT_GONE, COUNTED),
            Exit::CutByQuota => row(true, CUT, COUNTED),
        }
    }

    fn request(self) -> Request {
        let name = self.name();
        let target = match self.endpoint {
            Chat { .. } => CHAT.to_owned(),
            Completions { .. } => "/v1/completions".to_owned(),
            Embeddings => "/v1/embeddings".to_owned(),
            ByRequests | ByBytes => format!("/{name}/"),
        };
        let mut body = json!({ "model": name });
        match self.endpoint {
            Chat { .. } => body["messages"] = json!([{ "role": "user", "content": "Hello?" }]),
            Completions { .. } => body["prompt"] = json!("Hello?"),
            _ => body["input"] = json!("Hello?"),
        }
        if self.endpoint.streams() {
            body["stream"] = true.into();
        }
        Request::post(&target, body.to_string()).key(&self.key())
    }

    /// What the upstream does, and whether its connection stays whole; `seen` opens when the
    /// client has the head of the answer.
    fn play(self, peer: &mut Peer, seen: &Gate) -> bool {
        let [head, first, rest] = self.endpoint.pieces(match self.exit {
            Exit::NoUsage => None,
            Exit::ZeroUsage => Some((0, 0)),
            _ => Some((11, 7)),
        });
        let begun = head + &first;
        let sent = match self.exit {
            Exit::Status(404) => peer.send(openai::answer("404 Not Found", "{\"error\":{}}")),
            Exit::Status(_) => peer.send(openai::answer("500 Sorry", "{\"error\":{}}")),
            Exit::ResetBefore => return false,
            Exit::ResetAfter => {
                let _ = peer.send(begun);
                // Bytes that nobody has read yet may go with the connection.
                seen.wait();
                return false;
            }
            Exit::ClientReset => {
                let sent = if self.endpoint.streams() {
                    peer.send(begun)
                } else {
                    Ok(())
                };
                peer.await_hang_up();
                sent
            }
            Exit::Malformed if self.endpoint.streams() => {
                let broken = chunk("data: {\"choices\":[{\"del\n\n") + &chunk(DONE) + LAST_CHUNK;
                peer.send(begun + &broken)
            }
            Exit::Malformed => peer.send(openai::answer("200 OK", "{\"choices\":[{\"mess")),
            Exit::CutByQuota => {
                let words = chunk(&self.endpoint.word(&"word ".repeat(500)));
                peer.send(begun + &words.repeat(20) + &rest)
            }
            _ => peer.send(begun + &rest),
        };
        // Whoever was cut off has hung up.
        sent.is_ok()
    }

    /// Plays it to its end, as the client sees it.
    fn run(self, gateway: &Gateway, provider: &Provider, seen: &Gate) {
        let (mut client, calls) = (gateway.client(), provider.calls_total());
        client.send(self.request().field("connection", "close").bytes());
        match self.exit {
            Exit::ClientReset => {
                provider.await_calls(calls + 1);
                if self.endpoint.streams() {
                    assert_eq!(client.head().status, 200, "{self:?}");
                }
                return client.reset();
            }
            Exit::ResetAfter => {
                client.head();
                seen.open();
            }
            _ => {}
        }
        // A connection that is cut ends like any other, but for an error.
        let _ = client.wire().read_to_end(&mut Vec::new());
    }
}

/// A site with an account or a service, a model and a key for each case.
fn site_of(cases: &[(Case, Gate)], provider: &Provider, store: &Path) -> Site {
    let mut site = Site::new()
        .set("store", "path", &format!("{store:?}"))
        .set("quota", "on_midstream", "\"cut\"")
        .provider("nowhere", &Provider::nowhere())
        .tenant("acme", "");
    for (case, _) in cases {
        let name = case.name();
        let nowhere = Provider::nowhere();
        let url = match case.exit {
            Exit::Refused => nowhere.clone(),
            _ => provider.url(),
        };
        let tokens = if case.exit == Exit::CutByQuota {
            2_000
        } else {
            1_000_000
        };
        let limits = format!(
            "limits = [{{ unit = \"requests\", amount = 9, per = \"total\" }}, \
             {{ unit = \"tokens\", amount = {tokens}, per = \"total\" }}, \
             {{ unit = \"usd\", amount = \"100\", per = \"total\" }}]"
        );
        site = site.key("acme", &name, &case.key(), &limits);
        if case.endpoint.is_service() {
            let upstreams = match case.exit {
                Exit::Failover => format!("\"{nowhere}\", \"{url}\""),
                _ => format!("\"{url}\""),
            };
            let meter = match case.endpoint {
                ByBytes => "meter = \"bytes\"\nprice = { request = \"0.01\", megabyte = \"1\" }",
                _ => "meter = \"requests\"\nprice = { request = \"0.01\" }",
            };
            site = site.raw(&format!(
                "[services.{name}]\npath = \"/{name}\"\nupstreams = [{upstreams}]\n\
                 auth = \"key\"\n{meter}"
            ));
        } else {
            let account = format!("{url}/{name}");
            let first = format!("{{ provider = \"{name}\", model = \"m\" }}");
            let targets = match case.exit {
                Exit::Failover => format!("{{ provider = \"nowhere\", model = \"m\" }}, {first}"),
                _ => first,
            };
            let price = "price = { input = \"1.00\", output = \"2.00\" }";
            site = site
                .provider_with(&name, &account, "cancel_stops_billing = true")
                .model_with(&name, &targets, price);
        }
    }
    site
}

/// What stands in the store of a key: rows, outcome, source, tokens and nano-USD.
fn row_of(store: &Connection, case: Case) -> (u32, u8, u8, i128, i128) {
    let asked = "SELECT count(*), max(outcome), max(usage_source), sum(input + output), sum(cost) \
                 FROM usage_rows JOIN names ON number = key WHERE name = ?1";
    let key = format!("acme/{}", case.name());
    store
        .query_row(asked, [key], |row| {
            let (tokens, cost) = (row.get::<_, i64>(3)?, row.get::<_, i64>(4)?);
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                tokens.into(),
                cost.into(),
            ))
        })
        .unwrap()
}

/// What the live counters of a key read: requests, tokens, nano-USD.
fn counted(gateway: &Gateway, case: Case) -> [i128; 3] {
    ["requests", "tokens", "usd"].map(|unit| gateway.bucket_at_rest(&case.key(), unit).used)
}

#[test]
fn every_way_out_of_everything_metered_posts_or_voids_exactly_once() {
    let cases: Arc<[(Case, Gate)]> = Case::all().map(|case| (case, Gate::default())).collect();
    let played = Arc::clone(&cases);
    let provider = Provider::start(move |mut peer| {
        while let Some(call) = peer.call() {
            let name = call.target.split('/').nth(1).unwrap_or_default();
            let (case, seen) = played.iter().find(|(case, _)| case.name() == name).unwrap();
            if !case.play(&mut peer, seen) {
                return peer.reset();
            }
        }
    });
    let folder = Folder::new();
    let site = site_of(&cases, &provider, &folder.file("store"));
    let mut gateway = Gateway::start(&site);
    let mut before = Vec::new();
    for (case, seen) in &*cases {
        case.run(&gateway, &provider, seen);
        before.push(counted(&gateway, *case));
    }
    gateway.signal("KILL");
    gateway.await_exit();

    let gateway = Gateway::start(&site);
    let store = Connection::open(folder.file("store").join("tollring.db")).unwrap();
    let mut wrong = String::new();
    for ((case, _), before) in cases.iter().zip(before) {
        let (rows, outcome, source, tokens, cost) = row_of(&store, *case);
        let [requests, ..] = before;
        let found = Row {
            posts: requests == 1,
            outcome,
            source,
        };
        let after = counted(&gateway, *case);
        if (rows, found) != (1, case.expected())
            || before != [i128::from(found.posts), tokens, cost]
            || after != before
        {
            writeln!(
                wrong,
                "{}: {rows} rows, {found:?} for {:?}; rows {tokens} tokens {cost} nano-USD, \
                 live {before:?}, after a kill {after:?}",
                case.name(),
                case.expected(),
            )
            .unwrap();
        }
    }
    assert!(wrong.is_empty(), "of {} cases:\n{wrong}", cases.len());
}
