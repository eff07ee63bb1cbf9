//! Decides what a request asks for: model, stream or not, how much output, how much input.
//!
//! One pass over the body; what is not asked for is only checked to be JSON. A member that two
//! readers could understand differently is refused rather than read one way here and another way
//! at the provider: the model that was paid for must be the model that ran.
//!
//! Whether the model exists and whether its cost can be held is decided elsewhere.

use std::borrow::Cow;

use super::Endpoint;
use super::estimate::Estimate;
use super::fault::{AskFault, Member};
use super::prompts::count_prompts;
use crate::Span;
use crate::json::scan::{Leaf, Scanner};
use crate::json::text::{Text, decode};
use crate::json::whole;

/// What one request asks for. It borrows nothing; its places are offsets into the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Where the model's name is, inside its quotes and still escaped.
    pub model: Span,
    /// Whether the answer shall come as events. Never so for embeddings.
    pub stream: bool,
    /// The most output that one choice may have, in tokens: `max_completion_tokens`, else
    /// `max_tokens`. None where the caller set no bound; 0 for embeddings, which have no output.
    pub output_tokens_max: Option<u64>,
    /// How many outputs the provider makes: `n`, or `best_of` where that is larger, for each
    /// prompt; at least 1.
    pub choices: u32,
    /// Whether the caller asked for the usage chunk of a stream.
    pub include_usage: bool,
    /// What the input may cost, in tokens: an estimate from the bytes of its strings.
    pub input_tokens_estimate: u64,
    pub(super) usage_option: UsageOption,
    /// Where the bounds on the output are written, `max_tokens` and `max_completion_tokens`.
    pub(super) output_bounds: [Option<Span>; 2],
    /// The offset of the body's last brace.
    pub(super) close: u32,
}

/// How the body asks for the usage chunk, and where to ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UsageOption {
    /// There is no `stream_options`. The body's last brace is at this offset.
    Absent(u32),
    /// `stream_options` is `null`.
    Null(Span),
    /// An object that does not say. It has no members, and its first brace ends at this offset.
    Empty(u32),
    /// An object that does not say, but has other members.
    Unsaid(u32),
    /// `include_usage` is `false` or `null`.
    Off(Span),
    /// `include_usage` is `true`.
    On,
}

impl Ask {
    /// The model's name with its escapes read, from the body that this was read from.
    ///
    /// # Errors
    ///
    /// [`AskFault::ModelNotText`] where `body` is another one and there is no text at that place.
    pub fn model_name<'b>(&self, body: &'b [u8]) -> Result<Cow<'b, str>, AskFault> {
        self.model
            .of(body)
            .and_then(decode)
            .ok_or(AskFault::ModelNotText)
    }
}

/// Reads what a request asks for.
///
/// # Errors
///
/// The first fault met; see [`AskFault`]. All are the caller's, and answered with 400.
pub fn read_ask(endpoint: Endpoint, body: &[u8]) -> Result<Ask, AskFault> {
    if u32::try_from(body.len()).is_err() {
        return Err(AskFault::TooLong);
    }
    let mut scan = Scanner::new(body);
    if !enter(&mut scan)? {
        return Err(AskFault::NotObject);
    }
    let mut draft = Draft::default();
    let mut first = true;
    while let Some(key) = scan.member(first)? {
        first = false;
        match draft.recognise(&key)? {
            Some(member) => draft.read(member, &mut scan)?,
            None => draft.read_input(&mut scan, false)?,
        }
    }
    let close = offset(&scan) - 1;
    scan.end()?;
    draft.finish(endpoint, close, body)
}

/// Steps into the body's object; false where the body is some other value.
fn enter(scan: &mut Scanner<'_>) -> Result<bool, AskFault> {
    if scan.peek() == Some(b'{') {
        scan.enter_object()?;
        return Ok(true);
    }
    scan.pass(|_| {})?;
    scan.end()?;
    Ok(false)
}

fn offset(scan: &Scanner<'_>) -> u32 {
    u32::try_from(scan.offset()).expect("bodies over 4 GiB are refused before they are scanned")
}

/// What has been read of a request so far.
#[derive(Default)]
struct Draft {
    /// A bit for each member that has been met.
    seen: u32,
    model: Option<Span>,
    stream: bool,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    output_bounds: [Option<Span>; 2],
    choices: Option<u32>,
    best_of: Option<u32>,
    prompt: Option<Span>,
    usage_option: Option<UsageOption>,
    estimate: Estimate,
}

impl Draft {
    /// Tells which member a key is, if it is one that matters.
    fn recognise(&mut self, key: &Text<'_>) -> Result<Option<Member>, AskFault> {
        let member = if key.escaped {
            // A key that is not text is a key that we do not know.
            let Some(name) = decode(key.raw) else {
                return Ok(None);
            };
            Member::at_top(name.as_bytes())?
        } else {
            Member::at_top(key.raw)?
        };
        let Some(member) = member else {
            return Ok(None);
        };
        let bit = 1 << member as u32;
        if self.seen & bit != 0 {
            return Err(AskFault::Duplicate(member));
        }
        self.seen |= bit;
        Ok(Some(member))
    }

    /// Reads the value of a member that matters.
    fn read(&mut self, member: Member, scan: &mut Scanner<'_>) -> Result<(), AskFault> {
        match member {
            Member::Model => self.model = Some(read_model(scan)?),
            Member::Stream => self.stream = read_flag(scan, member)?.0,
            Member::StreamOptions => self.usage_option = Some(read_options(scan)?),
            Member::MaxTokens => {
                (self.max_tokens, self.output_bounds[0]) = read_bound(scan, member)?;
            }
            Member::MaxCompletionTokens => {
                (self.max_completion_tokens, self.output_bounds[1]) = read_bound(scan, member)?;
            }
            Member::N => self.choices = read_choices(scan, member)?,
            Member::BestOf => self.best_of = read_choices(scan, member)?,
            Member::Prompt => {
                scan.peek();
                let start = offset(scan);
                self.read_input(scan, true)?;
                self.prompt = Some(Span {
                    start,
                    end: offset(scan),
                });
            }
            Member::Input => self.read_input(scan, true)?,
            // The last of these is no member of the top; `Member::at_top` never finds it there.
            Member::Messages | Member::Tools | Member::IncludeUsage => {
                self.read_input(scan, false)?;
            }
        }
        Ok(())
    }

    /// Adds a value to the estimate. Members that are unknown count as well: what a provider
    /// makes of them is not known either, and a hold that is a little large does no harm.
    fn read_input(&mut self, scan: &mut Scanner<'_>, token_ids: bool) -> Result<(), AskFault> {
        scan.pass(|leaf| match leaf {
            Leaf::Key(key) => self.estimate.key(&key),
            Leaf::Text(text) => self.estimate.text(&text),
            Leaf::Number if token_ids => self.estimate.number(),
            Leaf::Number | Leaf::Literal => {}
        })?;
        Ok(())
    }

    fn finish(&self, endpoint: Endpoint, close: u32, body: &[u8]) -> Result<Ask, AskFault> {
        let model = self.model.ok_or(AskFault::ModelMissing)?;
        let usage_option = self.usage_option.unwrap_or(UsageOption::Absent(close));
        let (old, new) = (self.max_tokens, self.max_completion_tokens);
        if old.is_some() && new.is_some() && old != new {
            return Err(AskFault::TokensBoth);
        }
        let made = self.choices.unwrap_or(1).max(self.best_of.unwrap_or(1));
        // Each prompt of a list is answered with that many choices.
        let prompt = self.prompt.filter(|_| endpoint == Endpoint::Completions);
        let prompts = prompt
            .and_then(|prompt| prompt.of(body))
            .map_or(1, count_prompts);
        let made = made.saturating_mul(prompts);
        let embeds = endpoint == Endpoint::Embeddings;
        Ok(Ask {
            model,
            stream: self.stream && !embeds,
            output_tokens_max: if embeds { Some(0) } else { new.or(old) },
            choices: if embeds { 1 } else { made },
            include_usage: usage_option == UsageOption::On,
            input_tokens_estimate: self.estimate.tokens(),
            usage_option,
            output_bounds: self.output_bounds,
            close,
        })
    }
}

/// A bound on the output, and where its value stands.
fn read_bound(
    scan: &mut Scanner<'_>,
    member: Member,
) -> Result<(Option<u64>, Option<Span>), AskFault> {
    scan.peek();
    let start = offset(scan);
    let tokens = read_tokens(scan, member)?;
    let end = offset(scan);
    Ok((tokens, Some(Span { start, end })))
}

fn read_model(scan: &mut Scanner<'_>) -> Result<Span, AskFault> {
    if scan.peek() != Some(b'"') {
        scan.pass(|_| {})?;
        return Err(AskFault::ModelNotString);
    }
    let text = scan.text()?;
    if text.raw.is_empty() {
        return Err(AskFault::ModelEmpty);
    }
    if text.escaped && decode(text.raw).is_none() {
        return Err(AskFault::ModelNotText);
    }
    Ok(text.span())
}

/// Reads `true`, or `false` or `null` which mean the same, and where it stands.
fn read_flag(scan: &mut Scanner<'_>, member: Member) -> Result<(bool, Span), AskFault> {
    scan.peek();
    let start = offset(scan);
    let on = scan.take_literal(b"true");
    if on || scan.take_literal(b"false") || scan.take_literal(b"null") {
        let end = offset(scan);
        return Ok((on, Span { start, end }));
    }
    scan.pass(|_| {})?;
    Err(AskFault::NotBoolean(member))
}

/// Reads a whole number, or none for `null`; anything else is `wrong`.
fn read_whole(scan: &mut Scanner<'_>, wrong: AskFault) -> Result<Option<u64>, AskFault> {
    if scan.take_literal(b"null") {
        return Ok(None);
    }
    if matches!(scan.peek(), Some(b'-' | b'0'..=b'9')) {
        return whole(scan.number()?).map(Some).ok_or(wrong);
    }
    scan.pass(|_| {})?;
    Err(wrong)
}

fn read_tokens(scan: &mut Scanner<'_>, member: Member) -> Result<Option<u64>, AskFault> {
    read_whole(scan, AskFault::TokensNotWhole(member))
}

fn read_choices(scan: &mut Scanner<'_>, member: Member) -> Result<Option<u32>, AskFault> {
    let wrong = AskFault::ChoicesNotWhole(member);
    match read_whole(scan, wrong)?.map(u32::try_from) {
        None => Ok(None),
        Some(Ok(choices @ 1..)) => Ok(Some(choices)),
        Some(_) => Err(wrong),
    }
}

/// Reads `stream_options`: whether it asks for usage, and where it could be made to.
fn read_options(scan: &mut Scanner<'_>) -> Result<UsageOption, AskFault> {
    if scan.peek() != Some(b'{') {
        let start = offset(scan);
        if scan.take_literal(b"null") {
            let end = offset(scan);
            return Ok(UsageOption::Null(Span { start, end }));
        }
        scan.pass(|_| {})?;
        return Err(AskFault::StreamOptionsNotObject);
    }
    scan.enter_object()?;
    let inside = offset(scan);
    let mut option = UsageOption::Empty(inside);
    let mut first = true;
    while let Some(key) = scan.member(first)? {
        first = false;
        let name = decode(key.raw).unwrap_or_default();
        let names_it = Member::IncludeUsage.is_named(name.as_bytes())?;
        let said = matches!(option, UsageOption::On | UsageOption::Off(_));
        option = match (names_it, said) {
            (true, true) => return Err(AskFault::Duplicate(Member::IncludeUsage)),
            (true, false) => match read_flag(scan, Member::IncludeUsage)? {
                (true, _) => UsageOption::On,
                (false, place) => UsageOption::Off(place),
            },
            (false, said) => {
                scan.pass(|_| {})?;
                if said {
                    option
                } else {
                    UsageOption::Unsaid(inside)
                }
            }
        };
    }
    Ok(option)
}

#[cfg(test)]
mod tests;
