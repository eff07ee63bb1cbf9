//! Decides how a request can fail to be one, and what its caller is told.
//!
//! One variant, one fault. The status is 400 for all of them and is set elsewhere.

use std::fmt;

use crate::json::{DEPTH_MAX, Fault};

/// A member of a request that the gateway reads. All others pass unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// What to run.
    Model,
    /// Whether the answer comes as events.
    Stream,
    /// How it comes as events.
    StreamOptions,
    /// Whether the last event but one tells the usage; a member of `stream_options`.
    IncludeUsage,
    /// The bound of the output, by its old name.
    MaxTokens,
    /// The bound of the output, thinking included.
    MaxCompletionTokens,
    /// How many answers.
    N,
    /// How many answers are made, of which `n` are sent.
    BestOf,
    /// The input of a chat.
    Messages,
    /// The input of a completion.
    Prompt,
    /// The input of an embedding.
    Input,
    /// The tools that a chat may call; part of its input.
    Tools,
}

impl Member {
    /// Its key, as a request spells it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Stream => "stream",
            Self::StreamOptions => "stream_options",
            Self::IncludeUsage => "include_usage",
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::N => "n",
            Self::BestOf => "best_of",
            Self::Messages => "messages",
            Self::Prompt => "prompt",
            Self::Input => "input",
            Self::Tools => "tools",
        }
    }

    /// The path by which a caller knows it.
    const fn path(self) -> &'static str {
        match self {
            Self::IncludeUsage => "stream_options.include_usage",
            other => other.key(),
        }
    }

    /// The top-level member that a key names, if any; a fault if it only nearly does.
    pub(crate) fn at_top(key: &[u8]) -> Result<Option<Self>, AskFault> {
        let candidate = match key.len() {
            1 => Self::N,
            5 if key[0].eq_ignore_ascii_case(&b'm') => Self::Model,
            5 if key[0].eq_ignore_ascii_case(&b't') => Self::Tools,
            5 => Self::Input,
            6 if key[0].eq_ignore_ascii_case(&b's') => Self::Stream,
            6 => Self::Prompt,
            7 => Self::BestOf,
            8 => Self::Messages,
            10 => Self::MaxTokens,
            14 => Self::StreamOptions,
            21 => Self::MaxCompletionTokens,
            _ => return Ok(None),
        };
        candidate
            .is_named(key)
            .map(|named| named.then_some(candidate))
    }

    /// Whether a key names this member; a fault where it would if its case were right.
    pub(crate) fn is_named(self, key: &[u8]) -> Result<bool, AskFault> {
        let name = self.key().as_bytes();
        match key == name {
            true => Ok(true),
            false if key.eq_ignore_ascii_case(name) => Err(AskFault::Misspelt(self)),
            false => Ok(false),
        }
    }
}

/// Why a body is not a request that can be metered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskFault {
    /// It is 4 GiB or more.
    TooLong,
    /// It is not JSON.
    NotJson(Fault),
    /// It is JSON, but not an object.
    NotObject,
    /// A member is there twice: one reader would take the first, another the last.
    Duplicate(Member),
    /// A key differs from a member's only in case: some readers would take it for the member.
    Misspelt(Member),
    /// There is no `model`.
    ModelMissing,
    /// `model` is not a string.
    ModelNotString,
    /// `model` is the empty string.
    ModelEmpty,
    /// `model` is a string that stands for no text: half of a surrogate pair.
    ModelNotText,
    /// `stream` or `include_usage` is neither `true`, `false` nor `null`.
    NotBoolean(Member),
    /// `stream_options` is neither an object nor `null`.
    StreamOptionsNotObject,
    /// A bound of the output is not a whole number from 0 to 2^53 − 1.
    TokensNotWhole(Member),
    /// `max_tokens` and `max_completion_tokens` differ: providers obey one or the other.
    TokensBoth,
    /// `n` or `best_of` is not a whole number from 1 to 2^32 − 1.
    ChoicesNotWhole(Member),
}

impl AskFault {
    /// The member that is to blame, as the path that the caller knows it by.
    pub const fn param(&self) -> Option<&'static str> {
        match self {
            Self::TooLong | Self::NotJson(_) | Self::NotObject => None,
            Self::ModelMissing | Self::ModelNotString | Self::ModelEmpty | Self::ModelNotText => {
                Some(Member::Model.path())
            }
            Self::StreamOptionsNotObject => Some(Member::StreamOptions.path()),
            Self::TokensBoth => Some(Member::MaxTokens.path()),
            Self::Duplicate(member)
            | Self::Misspelt(member)
            | Self::NotBoolean(member)
            | Self::TokensNotWhole(member)
            | Self::ChoicesNotWhole(member) => Some(member.path()),
        }
    }

    /// The word that a program may act on: the `code` of the refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "body_too_long",
            Self::NotJson(_) | Self::NotObject => "invalid_json",
            Self::Duplicate(_) | Self::Misspelt(_) => "ambiguous_parameter",
            Self::ModelMissing => "missing_required_parameter",
            Self::ModelNotString
            | Self::NotBoolean(_)
            | Self::StreamOptionsNotObject
            | Self::TokensNotWhole(_)
            | Self::ChoicesNotWhole(_) => "invalid_type",
            Self::ModelEmpty | Self::ModelNotText | Self::TokensBoth => "invalid_value",
        }
    }

    /// The sentence for the caller. It quotes nothing of what the caller sent.
    pub fn message(&self) -> &dyn fmt::Display {
        self
    }
}

impl fmt::Display for AskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("The body is too long."),
            Self::NotJson(Fault {
                cause: crate::json::Cause::Depth,
                at,
            }) => write!(
                f,
                "The body nests more than {DEPTH_MAX} objects and arrays, at offset {at}."
            ),
            Self::NotJson(fault) => write!(f, "The body is not valid JSON: {fault}."),
            Self::NotObject => f.write_str("The body must be a JSON object."),
            Self::Duplicate(member) => write!(f, "`{}` is there more than once.", member.path()),
            Self::Misspelt(member) => write!(
                f,
                "A key differs from `{0}` only in case; write it as `{0}`, and only once.",
                member.path()
            ),
            Self::ModelMissing => f.write_str("`model` is missing."),
            Self::ModelNotString => f.write_str("`model` must be a string."),
            Self::ModelEmpty => f.write_str("`model` is empty."),
            Self::ModelNotText => f.write_str("`model` is not valid text."),
            Self::NotBoolean(member) => write!(f, "`{}` must be a boolean.", member.path()),
            Self::StreamOptionsNotObject => f.write_str("`stream_options` must be an object."),
            Self::TokensNotWhole(member) => {
                write!(f, "`{}` must be a whole number, 0 or more.", member.path())
            }
            Self::TokensBoth => f.write_str(
                "`max_tokens` and `max_completion_tokens` say different things; send one of them.",
            ),
            Self::ChoicesNotWhole(member) => {
                write!(f, "`{}` must be a whole number, 1 or more.", member.path())
            }
        }
    }
}

impl std::error::Error for AskFault {}

impl From<Fault> for AskFault {
    fn from(fault: Fault) -> Self {
        Self::NotJson(fault)
    }
}
