//! Every way a file can be wrong, with the words for each.
//!
//! One variant, one message, one remedy. A message never holds a value that came
//! from the environment or stands in a secret field: the value is handed in by
//! the fault, which knows what may be shown.

use std::time::Duration;

use super::limit::LimitFault;
use super::rule::RuleFault;
use crate::units::NanoUsd;

/// What is wrong with a value, or with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The file could not be read.
    Unreadable {
        /// The system's words for why.
        cause: String,
    },
    /// The file is beyond [`crate::limits::FILE_BYTES_MAX`].
    FileTooLarge {
        /// The bound in bytes.
        max: u64,
    },
    /// The file is not UTF-8, which TOML must be.
    NotUtf8,
    /// The text is not TOML.
    Syntax {
        /// The parser's words; they never hold the text itself.
        message: String,
    },
    /// A field that the table does not have.
    FieldUnknown {
        /// The nearest field that it has.
        suggestion: Option<String>,
        /// All the fields that it has.
        known: Vec<&'static str>,
    },
    /// A field that the table must have.
    FieldMissing {
        /// What to add.
        example: &'static str,
    },
    /// A value of another type.
    TypeWrong {
        /// What it should be, with its article.
        expected: &'static str,
        /// What it is, with its article.
        found: &'static str,
    },
    /// A word that is not among those to choose from.
    WordUnknown {
        /// The nearest one.
        suggestion: Option<String>,
        /// All of them.
        words: Vec<&'static str>,
    },
    /// A list that must not be empty, and is.
    ListEmpty {
        /// What to put into it.
        example: &'static str,
    },
    /// More of something than there may be.
    TooMany {
        /// The bound.
        max: usize,
    },
    /// The same thing twice where it may stand once.
    Repeated {
        /// The path of the first.
        first: String,
    },

    /// A variable that is not set and has no default.
    VariableMissing {
        /// Its name.
        name: String,
        /// What the file says about it, after `:?`.
        why: Option<String>,
    },
    /// A `${` that is not one of the forms of a variable.
    VariableMalformed,
    /// A string that is too long once its variables are filled in.
    ValueTooLong {
        /// The bound in bytes.
        max: usize,
    },
    /// A secret that is empty, or of blanks.
    SecretEmpty,
    /// A secret with a byte that a header field cannot carry.
    SecretMalformed,

    /// A number outside its bounds.
    NumberOutside {
        /// The least it may be.
        min: u64,
        /// The most it may be.
        max: u64,
    },
    /// Not a duration.
    DurationMalformed,
    /// A duration outside its bounds.
    DurationOutside {
        /// The least it may be.
        min: Duration,
        /// The most it may be.
        max: Duration,
    },
    /// A back-off that begins longer than it may become.
    BackoffReversed,
    /// A queue for places that are not counted.
    QueueIdle,
    /// Not a number of bytes.
    SizeMalformed,
    /// The bound on targets is not below the one on heads.
    TargetBeyondHead {
        /// The bound on heads, in bytes.
        head_bytes: usize,
    },
    /// Not a decimal number.
    DecimalMalformed,
    /// An amount of money written as a number instead of as text.
    DecimalUnquoted,
    /// More than nine digits after the point.
    DecimalTooFine,
    /// More than may be stated.
    DecimalOutside {
        /// The most that may.
        max: NanoUsd,
    },
    /// A part of something that is only counted whole.
    CountFraction,
    /// A limit of nothing.
    AmountZero,
    /// A limit that is neither an amount nor a number in flight, or both.
    LimitShape,
    /// `rate` on a window that it means nothing for.
    RateMisplaced,
    /// A limit that cannot be counted as it is written.
    Limit(LimitFault),
    /// Two limits of one owner for the same unit and window.
    LimitRepeated {
        /// The path of the first.
        first: String,
    },

    /// Not an address and a port.
    AddressMalformed,
    /// Not an absolute path of a socket, or too long for one.
    SocketPathMalformed,
    /// An address that another listener has.
    AddressTaken {
        /// The path of the other.
        first: String,
    },
    /// Not a URL, or one with a part that a base URL cannot have.
    UrlMalformed {
        /// What is wrong with it.
        what: UrlPart,
    },
    /// A URL that is sent to another machine without encryption.
    UrlCleartext,
    /// Not 64 hexadecimal digits.
    DigestMalformed,
    /// A name with characters, or a length, that a name cannot have.
    NameMalformed {
        /// What a name of this kind may be.
        rule: &'static str,
    },
    /// Not a path prefix.
    PathMalformed,
    /// A path prefix that belongs to the gateway.
    PathReserved,
    /// A rule about heads or callers that cannot be obeyed.
    Rule(RuleFault),

    /// A reference to something that is not in the file.
    ReferenceUnknown {
        /// What kind of thing.
        kind: &'static str,
        /// The nearest one there is.
        suggestion: Option<String>,
    },
    /// A model that falls back to itself, perhaps by way of others.
    FallbackCycle {
        /// The way round, from the model to itself.
        chain: Vec<String>,
    },
    /// A model or service of a key that its plan does not hold.
    OutsidePlan {
        /// The plan.
        plan: String,
    },
    /// A price that can never be charged.
    PriceIdle {
        /// Why not.
        why: IdleReason,
    },
    /// A field for a file's path, without one.
    FileUnnamed,
    /// A field that has no effect without another.
    Idle {
        /// The other.
        needs: &'static str,
    },
    /// An admin port for other machines that speaks in the clear.
    AdminCleartext,
    /// A key with neither a digest nor a certificate's subject, or with both.
    KeyShape,
    /// Something that is planned and not in this version.
    NotYet(NotYet),
}

/// Something planned and not in this version; refused rather than ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotYet {
    /// `[store] url`.
    StorePostgres,
}

/// The part of a URL that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlPart {
    /// It does not begin with `http://` or `https://`.
    Scheme,
    /// It has a user name or password.
    UserInfo,
    /// Its host is no name and no address.
    Host,
    /// Its port is not a number from 1 to 65535.
    Port,
    /// Its path has characters or segments that a prefix cannot have.
    Path,
    /// It has a query.
    Query,
    /// It has a fragment.
    Fragment,
    /// It has a character that would have to be escaped.
    Character,
    /// A proxy's does not begin with `http://`.
    ProxyScheme,
    /// A proxy's names a user with a colon.
    ProxyUser,
    /// A proxy's leads further than to a port.
    ProxyPath,
}

/// Why a price can never be charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleReason {
    /// The service is open to anyone.
    NoKey,
    /// The service's `meter` does not count that.
    NotMetered,
}
