//! The words of every [`Problem`]: what is wrong, and what to do about it.
//!
//! Two functions, two matches, one line each where it fits; both sentences are
//! lower case and without a full stop, as a rendered fault joins them.

use super::problem::{IdleReason, NotYet, Problem, UrlPart};
use crate::value::show_duration;

impl Problem {
    /// What is wrong with `value`, the offending text as it may be shown.
    pub(super) fn message(&self, value: &str) -> String {
        match self {
            Self::Unreadable { cause } => format!("{value} cannot be read: {cause}"),
            Self::FileTooLarge { max } => format!("{value} is larger than {max} bytes"),
            Self::NotUtf8 => format!("{value} is not UTF-8"),
            Self::Syntax { message } => message.clone(),
            Self::FieldUnknown { .. } => "is not a field of this table".to_owned(),
            Self::FieldMissing { .. } => "is missing".to_owned(),
            Self::TypeWrong { expected, found } => format!("is {found}, not {expected}"),
            Self::WordUnknown { .. } => format!("{value} is none of the choices"),
            Self::ListEmpty { .. } => "is empty".to_owned(),
            Self::TooMany { max } => format!("holds more than {max}"),
            Self::Repeated { first } => format!("{value} stands at {first} already"),
            Self::VariableMissing { name, why } => {
                let why = why
                    .as_ref()
                    .map_or_else(String::new, |why| format!(": {why}"));
                format!("${{{name}}} is not set{why}")
            }
            Self::VariableMalformed => format!("{value} has a ${{…}} that is not a variable"),
            Self::ValueTooLong { max } => format!("is longer than {max} bytes"),
            Self::SecretEmpty => "is empty".to_owned(),
            Self::SecretMalformed => "holds a blank or a character beyond ASCII".to_owned(),
            Self::NumberOutside { min, max } => format!("{value} is not from {min} to {max}"),
            Self::DurationMalformed => format!("{value} is not a duration"),
            Self::DurationOutside { min, max } => {
                format!(
                    "{value} is not from {} to {}",
                    show_duration(*min),
                    show_duration(*max)
                )
            }
            Self::BackoffReversed => format!("{value} is shorter than base"),
            Self::QueueIdle => "is never waited in".to_owned(),
            Self::SizeMalformed => format!("{value} is not a number of bytes"),
            Self::TargetBeyondHead { head_bytes } => {
                format!("{value} does not fit a head of {head_bytes} bytes")
            }
            Self::DecimalMalformed => format!("{value} is not a decimal number"),
            Self::DecimalUnquoted => format!("{value} is money written as a number"),
            Self::DecimalTooFine => format!("{value} has more than 9 digits after the point"),
            Self::DecimalOutside { max } => format!("{value} is not from 0 to {max}"),
            Self::CountFraction => format!("{value} is not a whole number"),
            Self::AmountZero => "is 0".to_owned(),
            Self::LimitShape => "is not a limit".to_owned(),
            Self::RateMisplaced => "says nothing for this window".to_owned(),
            Self::LimitRepeated { first } => {
                format!("limits the same unit and window as {first}")
            }
            other => other.message_of_meaning(value),
        }
    }

    /// The same for what means something beyond its text.
    fn message_of_meaning(&self, value: &str) -> String {
        match self {
            Self::AddressMalformed => format!("{value} is not an address and a port"),
            Self::SocketPathMalformed => format!("{value} is not the path of a socket"),
            Self::AddressTaken { first } => format!("{value} is taken by {first}"),
            Self::UrlMalformed { what } => format!("{value} {}", what.message()),
            Self::UrlCleartext => format!("{value} leaves this machine in the clear"),
            Self::DigestMalformed => format!("{value} is not a SHA-256 in hexadecimal"),
            Self::NameMalformed { .. } => format!("{value} is not a name"),
            Self::PathMalformed => format!("{value} is not a path prefix"),
            Self::PathReserved => format!("{value} belongs to the gateway"),
            Self::Limit(fault) => fault.message(value),
            Self::Rule(fault) => fault.message(value),
            Self::ReferenceUnknown { kind, .. } => format!("there is no {kind} {value}"),
            Self::FallbackCycle { chain } => format!("leads round: {}", chain.join(" → ")),
            Self::OutsidePlan { plan } => format!("{value} is not in the plan \"{plan}\""),
            Self::PriceIdle { why } => format!("is never charged: {}", why.message()),
            Self::FileUnnamed => format!("{value} is not the path of a file"),
            Self::Idle { needs } => format!("has no effect without {needs}"),
            Self::AdminCleartext => format!("{value} can be reached from other machines"),
            Self::KeyShape => "must have either sha256 or subject".to_owned(),
            Self::NotYet(what) => what.message(),
            // Those of text and shape never get here.
            _ => format!("{value} is wrong"),
        }
    }

    /// What to do about it.
    pub(super) fn remedy(&self) -> String {
        match self {
            Self::FieldUnknown { suggestion, known } => choose(suggestion.as_deref(), known),
            Self::WordUnknown { suggestion, words } => choose(suggestion.as_deref(), words),
            Self::FieldMissing { example } => format!("add `{example}`"),
            Self::ListEmpty { example } => format!("write `{example}`"),
            Self::ReferenceUnknown { kind, suggestion } => suggestion.as_ref().map_or_else(
                || format!("add [{kind}s.…] or correct the name"),
                |meant| format!("did you mean \"{meant}\"?"),
            ),
            Self::VariableMissing { name, .. } => {
                format!("set it, or give a default with ${{{name}:-…}}")
            }
            Self::NameMalformed { rule } => (*rule).to_owned(),
            Self::UrlMalformed { what } => what.remedy().to_owned(),
            Self::NotYet(what) => what.remedy().to_owned(),
            Self::Idle { needs } => format!("add {needs} or remove this"),
            Self::Limit(fault) => fault.remedy().to_owned(),
            Self::Rule(fault) => fault.remedy().to_owned(),
            Self::PriceIdle { why } => why.remedy().to_owned(),
            other => other.fixed_remedy().to_owned(),
        }
    }

    /// What to do about a fault of which the remedy is always the same.
    const fn fixed_remedy(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "check its path and permissions",
            Self::FileTooLarge { .. } => "check that this is the right file",
            Self::NotUtf8 => "save it as UTF-8",
            Self::Syntax { .. } => "correct it; nothing else was checked",
            Self::TypeWrong { .. } => "write it as that",
            Self::TooMany { .. } => "remove some",
            Self::Repeated { .. } => "remove one",
            Self::VariableMalformed => {
                "write ${NAME}, ${NAME:-default} or ${NAME:?message}, and $${ for a plain ${"
            }
            Self::ValueTooLong { .. } => "shorten it",
            Self::SecretEmpty => "set it, or remove the field",
            Self::SecretMalformed => "look for a line end or a quote that came along",
            Self::NumberOutside { .. } | Self::DurationOutside { .. } => "choose one that is",
            Self::DurationMalformed => "write \"500ms\", \"10s\", \"2m\" or \"1h\"",
            Self::BackoffReversed => "raise it or lower base",
            Self::QueueIdle => "set max_in_flight, or remove it: nobody has to wait",
            Self::SizeMalformed => "write 65536, \"64KiB\", \"64MiB\" or \"10MB\"",
            Self::TargetBeyondHead { .. } => "lower it or raise head_bytes",
            Self::DecimalMalformed => "write digits and at most one point, as in \"0.15\"",
            Self::DecimalUnquoted => "put quotes round it, as in \"0.15\"",
            Self::DecimalTooFine => "round it",
            Self::DecimalOutside { .. } => "check the place of the point",
            Self::CountFraction => "only money has parts",
            Self::AmountZero => "use `suspended = true` to stop a tenant",
            Self::LimitShape => {
                "write { unit = \"tokens\", amount = 1000, per = \"day\" } or { concurrent = 8 }"
            }
            Self::RateMisplaced => {
                "remove it: up to a minute is always a rate, and only up to an hour may be one"
            }
            Self::LimitRepeated { .. } => "keep one: both would count, and the smaller would win",
            Self::AddressMalformed => "write it in full: \"127.0.0.1:8080\" or \"[::1]:8080\"",
            Self::SocketPathMalformed => "write it absolute, and at most 96 bytes long",
            Self::AddressTaken { .. } => "choose another port",
            Self::UrlCleartext => {
                "name a loopback address, or set `insecure = true` if that is meant"
            }
            Self::DigestMalformed => {
                "write the 64 digits of `printf %s KEY | sha256sum`, never the key itself"
            }
            Self::FileUnnamed => "write it as in \"/etc/tollring/cert.pem\"",
            Self::AdminCleartext => "name a loopback address, or add [admin.tls]",
            Self::KeyShape => {
                "write sha256 for a key that is sent, or subject for a client certificate"
            }
            Self::PathMalformed => "write \"/\" or segments, as in \"/weather/v2\"",
            Self::PathReserved => "choose a path outside /v1",
            Self::FallbackCycle { .. } => "remove one of the fallbacks",
            Self::OutsidePlan { .. } => "add it to the plan or remove it from the key",
            // Those with a remedy of their own never get here.
            _ => "correct it",
        }
    }
}

impl NotYet {
    fn message(self) -> String {
        match self {
            Self::StorePostgres => "this version keeps its store in a folder of its own",
        }
        .to_owned()
    }

    const fn remedy(self) -> &'static str {
        match self {
            Self::StorePostgres => "write `path = \"/var/lib/tollring\"` in its place",
        }
    }
}

impl UrlPart {
    const fn message(self) -> &'static str {
        match self {
            Self::Scheme => "does not begin with http://, https:// or unix:",
            Self::UserInfo => "holds a user name or password",
            Self::Host => "has no valid host",
            Self::Port => "has no valid port",
            Self::Path => "has a path that is not a plain prefix",
            Self::Query => "has a query",
            Self::Fragment => "has a fragment",
            Self::Character => "holds a character that a URL cannot",
            Self::ProxyScheme => "does not begin with http://",
            Self::ProxyUser => "names a user with a colon",
            Self::ProxyPath => "has a path",
        }
    }

    const fn remedy(self) -> &'static str {
        match self {
            Self::Scheme | Self::Host => "write it in full, as in \"http://127.0.0.1:9000/v1\"",
            Self::UserInfo => "remove it; a provider's keys belong into api_keys",
            Self::Port => "write a number from 1 to 65535 after the colon",
            Self::Path => "write segments of letters, digits, - . _ and ~ between slashes",
            Self::Query | Self::Fragment => "remove it",
            Self::Character => "write it as % and two hexadecimal digits",
            Self::ProxyScheme => {
                "write it as in \"http://user:password@proxy.internal:3128\"; what passes a proxy \
                 may speak TLS, the proxy itself does not"
            }
            Self::ProxyUser => "choose another user: no proxy could tell it from the password's",
            Self::ProxyPath => "remove it; a proxy is a host and a port",
        }
    }
}

impl IdleReason {
    const fn message(self) -> &'static str {
        match self {
            Self::NoKey => "auth = \"none\" leaves nobody to charge",
            Self::NotMetered => "the service's meter does not count it",
        }
    }

    const fn remedy(self) -> &'static str {
        match self {
            Self::NoKey => "remove the price or set auth = \"key\"",
            Self::NotMetered => "remove it or choose the meter that counts it",
        }
    }
}

/// The nearest choice, or all of them.
fn choose(suggestion: Option<&str>, choices: &[&str]) -> String {
    match suggestion {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if choices.is_empty() => "remove it".to_owned(),
        None => format!("choose from {}", choices.join(", ")),
    }
}
