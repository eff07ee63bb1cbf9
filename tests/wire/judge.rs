//! Judges a case by what both sides saw, when the proxy is gone and nothing more can come.
//!
//! Whatever a proxy sends must be well formed, whichever outcome is allowed; then one of the
//! allowed outcomes must be the one there was. A verdict against it says what was seen.

use super::case::{Act, Allowed, Case, Check, Step};
use super::client::{End, Heard};
use super::message::{Message, Side, shown};
use super::upstream::Taken;

/// What is right, or why it is wrong.
pub type Verdict = Result<(), String>;

const BAD_GATEWAY: &[Check] = &[Check::Status(&[502]), Check::NothingElse, Check::NotReused];

const NEXT_LINE: &str = "GET /case/next HTTP/1.1";

/// What both sides of a case saw, read.
struct Scene<'a> {
    heard: &'a Heard,
    interims: Vec<Message>,
    answers: Vec<Message>,
    taken: &'a [Taken],
    /// The requests of each connection to the upstream.
    requests: Vec<Vec<Message>>,
}

/// Judges a case.
///
/// # Errors
/// With what was seen, when it is not what is allowed.
pub fn judge(case: &Case, heard: &Heard, taken: &[Taken]) -> Verdict {
    let verdict = Scene::read(case, heard, taken).and_then(|scene| scene.judge(case.allowed));
    verdict.map_err(|why| {
        let upstream: Vec<String> = taken.iter().map(|taken| shown(&taken.bytes)).collect();
        let client = shown(&heard.bytes);
        let end = heard.end;
        format!("{why}\n      client: {client} ({end:?})\n      upstream: {upstream:?}")
    })
}

impl<'a> Scene<'a> {
    fn read(case: &Case, heard: &'a Heard, taken: &'a [Taken]) -> Result<Self, String> {
        let mut scene = Self {
            heard,
            interims: Vec::new(),
            answers: Vec::new(),
            taken,
            requests: Vec::new(),
        };
        scene.read_answers(asks_by_head(case))?;
        for taken in taken {
            let requests = read_requests(&taken.bytes)?;
            scene.requests.push(requests);
        }
        if heard.end == End::Silence {
            return Err("the connection stays open and silent".to_owned());
        }
        Ok(scene)
    }

    fn read_answers(&mut self, asks_by_head: bool) -> Result<(), String> {
        let bytes = &self.heard.bytes;
        let mut at = 0;
        while at < bytes.len() {
            let side = Side::Answer {
                to_head: asks_by_head && self.answers.is_empty(),
                ended: self.heard.end == End::Closed,
            };
            let read = Message::read(&bytes[at..], side);
            let read = read.map_err(|why| format!("malformed towards the client: {why}"))?;
            let Some(message) = read else { return Ok(()) };
            at += message.bytes;
            if message.status() < 200 {
                let switched = message.status() == 101;
                self.interims.push(message);
                if switched {
                    return Ok(());
                }
            } else {
                self.answers.push(message);
            }
        }
        Ok(())
    }

    fn judge(&self, allowed: Allowed) -> Verdict {
        match allowed {
            Allowed::Refused(statuses) => self.refused(statuses, Check::Untouched),
            Allowed::RefusedInBody(statuses) => self.refused(statuses, Check::NothingWhole),
            Allowed::Declined(statuses) => self
                .all(&[Check::Status(statuses), Check::NothingElse])
                .and_then(|()| self.only_next()),
            Allowed::Accepted(checks) => self.accepted(checks),
            Allowed::Either(statuses, checks) => self
                .refused(statuses, Check::NothingWhole)
                .or_else(|_| self.accepted(checks)),
            Allowed::Passed(status, checks) => self.passed(status, checks),
            Allowed::DoubtfulOr(checks) => {
                self.all(BAD_GATEWAY).or_else(|_| self.passed(200, checks))
            }
            Allowed::BadGateway => self.all(BAD_GATEWAY),
            Allowed::CutVisibly => self
                .check(Check::Cut)
                .or_else(|_| self.all(&[Check::Status(&[502]), Check::NothingElse])),
            Allowed::All(checks) => self.all(checks),
        }
    }

    fn refused(&self, statuses: &'static [u16], upstream: Check) -> Verdict {
        self.all(&[Check::Status(statuses), upstream])?;
        let first = &self.answers[0];
        if self.answers.len() != 1 || !first.whole {
            return Err(format!(
                "{} answers to a refused request",
                self.answers.len()
            ));
        }
        let says_so = first
            .values("connection")
            .iter()
            .any(|value| value.eq_ignore_ascii_case(b"close"));
        expect(says_so, || "a refusal without Connection: close".to_owned())
    }

    fn accepted(&self, checks: &[Check]) -> Verdict {
        self.all(&[Check::Statuses(&[200, 200]), Check::NothingElse])?;
        self.first_is_whole()?;
        let calls = self.calls();
        let next = calls.last().is_some_and(|call| call.line == NEXT_LINE);
        expect(calls.len() == 2 && next, || {
            let lines: Vec<&str> = calls.iter().map(|call| call.line.as_str()).collect();
            format!("not the two requests that were sent: {lines:?}")
        })?;
        self.all(checks)
    }

    fn passed(&self, status: u16, checks: &[Check]) -> Verdict {
        let first = self.answers.first().map(Message::status);
        expect(first == Some(status), || format!("{first:?}, not {status}"))?;
        self.check(Check::NothingElse)?;
        self.first_is_whole()?;
        self.all(checks)
    }

    /// At most the request that every case ends with.
    fn only_next(&self) -> Verdict {
        let next = self
            .requests
            .iter()
            .flatten()
            .all(|call| call.line == NEXT_LINE);
        expect(next, || "the declined request went on".to_owned())
    }

    fn first_is_whole(&self) -> Verdict {
        let whole = self.answers.first().is_some_and(|answer| answer.whole);
        expect(whole, || "the answer is not whole".to_owned())
    }

    fn all(&self, checks: &[Check]) -> Verdict {
        checks.iter().try_for_each(|&check| self.check(check))
    }

    fn check(&self, check: Check) -> Verdict {
        let holds = match check {
            Check::Statuses(expected) => self.statuses() == expected,
            Check::Status(expected) => {
                let first = self.answers.first().map(Message::status);
                first.is_some_and(|status| expected.contains(&status))
            }
            Check::Interims(expected) => {
                let interims: Vec<u16> = self.interims.iter().map(Message::status).collect();
                interims == expected
            }
            Check::NothingElse => self.nothing_else(),
            Check::NoAnswer => self.heard.bytes.is_empty(),
            Check::Cut => self.is_cut(),
            Check::Body(body) => self.answers.first().is_some_and(|first| first.body == body),
            Check::BodyBytes(length) => self
                .answers
                .first()
                .is_some_and(|first| first.body.len() == length),
            Check::Has(name, values) => self
                .answers
                .first()
                .is_some_and(|first| first.values(name) == values),
            Check::Lacks(name) => self
                .answers
                .first()
                .is_some_and(|first| first.values(name).is_empty()),
            Check::Some(name) => self
                .answers
                .first()
                .is_some_and(|first| !first.values(name).is_empty()),
            Check::OneOf(checks) => checks.iter().any(|&check| self.check(check).is_ok()),
            Check::Never(bytes) => !holds_anywhere(&self.heard.bytes, bytes),
            Check::Somewhere(bytes) => holds_anywhere(&self.heard.bytes, bytes),
            upstream => self.check_upstream(upstream),
        };
        expect(holds, || format!("not so: {}", told(check)))
    }

    fn check_upstream(&self, check: Check) -> bool {
        let calls = self.calls();
        let first = self.requests.iter().flatten().next();
        let values = |name| first.map(|first| first.values(name)).unwrap_or_default();
        match check {
            Check::Untouched => self.taken.iter().all(|taken| taken.bytes.is_empty()),
            Check::NothingWhole => calls.is_empty(),
            Check::Calls(count) => calls.len() == count,
            Check::Once(method) => {
                let of_it = |call: &&&Message| call.line.split(' ').next() == Some(method);
                calls.iter().filter(of_it).count() == 1
            }
            Check::CallsMax(count) => calls.len() <= count,
            Check::Line(line) => first.is_some_and(|first| first.line == line),
            Check::Sent(body) => first.is_some_and(|first| first.whole && first.body == body),
            Check::SentBytes(length) => {
                first.is_some_and(|first| first.whole && first.body.len() == length)
            }
            Check::Passes(name, expected) => values(name) == expected,
            Check::Drops(name) => first.is_some() && values(name).is_empty(),
            Check::Adds(name) => !values(name).is_empty(),
            Check::Hides(bytes) => !self.reached(bytes),
            Check::Reaches(bytes) => self.reached(bytes),
            Check::Reused => self.taken.len() == 1,
            Check::NotReused => self.requests.iter().all(|requests| requests.len() <= 1),
            Check::ToldInTime => self.taken.iter().any(|taken| taken.hung_up),
            _ => unreachable!("the client's checks are made above"),
        }
    }

    /// Beyond the first answer at most the right one to the request that every case ends with.
    fn nothing_else(&self) -> bool {
        let rest = self.answers.get(1..).unwrap_or_default();
        let right = |answer: &Message| answer.status() == 200 && answer.body == b"ok";
        rest.len() <= 1 && rest.iter().all(|answer| answer.whole && right(answer))
    }

    fn is_cut(&self) -> bool {
        let read: usize = self.answers.iter().map(|answer| answer.bytes).sum();
        let interim: usize = self.interims.iter().map(|answer| answer.bytes).sum();
        let begun = self.heard.bytes.len() > read + interim;
        begun || self.answers.last().is_some_and(|answer| !answer.whole)
    }

    fn reached(&self, bytes: &[u8]) -> bool {
        let mut taken = self.taken.iter();
        taken.any(|taken| holds_anywhere(&taken.bytes, bytes))
    }

    fn statuses(&self) -> Vec<u16> {
        self.answers.iter().map(Message::status).collect()
    }

    /// Requests that reached the upstream whole, by connection.
    fn calls(&self) -> Vec<&Message> {
        let all = self.requests.iter().flatten();
        all.filter(|request| request.whole).collect()
    }
}

/// A check in words.
fn told(check: Check) -> String {
    let all = |values: &[&[u8]]| {
        let values: Vec<String> = values.iter().map(|value| shown(value)).collect();
        values.join(" | ")
    };
    match check {
        Check::Never(bytes) => format!("never \"{}\" to the client", shown(bytes)),
        Check::Somewhere(bytes) => format!("\"{}\" to the client", shown(bytes)),
        Check::Hides(bytes) => format!("never \"{}\" to the upstream", shown(bytes)),
        Check::Reaches(bytes) => format!("\"{}\" to the upstream", shown(bytes)),
        Check::Body(bytes) => format!("an answer of \"{}\"", shown(bytes)),
        Check::Sent(bytes) => format!("a request of \"{}\"", shown(bytes)),
        Check::Has(name, values) => format!("{name}: {} to the client", all(values)),
        Check::Passes(name, values) => format!("{name}: {} to the upstream", all(values)),
        other => format!("{other:?}"),
    }
}

fn expect(holds: bool, why: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(why()) }
}

fn read_requests(bytes: &[u8]) -> Result<Vec<Message>, String> {
    let mut requests = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let read = Message::read(&bytes[at..], Side::Request);
        let read = read.map_err(|why| format!("malformed towards the upstream: {why}"))?;
        let Some(message) = read else { break };
        at += message.bytes;
        requests.push(message);
    }
    Ok(requests)
}

fn holds_anywhere(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window.eq_ignore_ascii_case(needle))
}

fn asks_by_head(case: &Case) -> bool {
    match case.client.first() {
        Some(Step::Send(bytes)) => bytes.starts_with(b"HEAD "),
        Some(Step::Act(Act::Send(bytes))) => bytes.starts_with(b"HEAD "),
        _ => false,
    }
}
