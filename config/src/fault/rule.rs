//! What can be wrong with the rules about heads and callers, with the words for each.

/// A rule that cannot be obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleFault {
    /// Not a host, or not one where only a name may stand.
    HostMalformed,
    /// Not a network.
    NetworkMalformed,
    /// A network with bits set beyond its prefix.
    NetworkBits,
    /// Not an origin of web pages.
    OriginMalformed,
    /// Every origin, with credentials: the standard forbids it.
    OriginAnyCredentials,
    /// Every origin, and some by name.
    OriginAnyAmongOthers,
    /// Not a pattern over paths.
    PatternMalformed {
        /// The library's words for what is wrong.
        cause: String,
    },
    /// Not what a path may become.
    ReplacementMalformed,
    /// A replacement that names a group which its pattern does not have.
    GroupUnknown {
        /// The group.
        group: String,
    },
    /// A field that cannot be edited.
    FieldReserved {
        /// What to do instead.
        remedy: &'static str,
    },
    /// A value that a header field cannot have.
    FieldValueMalformed,
}

impl RuleFault {
    /// What is wrong with `value`, the offending text as it may be shown.
    pub(super) fn message(&self, value: &str) -> String {
        match self {
            Self::HostMalformed => format!("{value} is not a host"),
            Self::NetworkMalformed => format!("{value} is not a network"),
            Self::NetworkBits => format!("{value} has bits set beyond its prefix"),
            Self::OriginMalformed => format!("{value} is not an origin"),
            Self::OriginAnyCredentials => "lets every page send credentials".to_owned(),
            Self::OriginAnyAmongOthers => "names every origin and some of them".to_owned(),
            Self::PatternMalformed { cause } => format!("{value} is not a pattern: {cause}"),
            Self::ReplacementMalformed => format!("{value} is not what a path can become"),
            Self::GroupUnknown { group } => {
                format!("{value} names a group {group:?} of no pattern")
            }
            Self::FieldReserved { .. } => "is not a field to be edited".to_owned(),
            Self::FieldValueMalformed => "is not the value of a field".to_owned(),
        }
    }

    /// What to do about it.
    pub(super) const fn remedy(&self) -> &'static str {
        match self {
            Self::HostMalformed => {
                "write a name, as in \"api.example.com\"; in `hosts` without a port, and \
                 \"*.example.com\" for all below one"
            }
            Self::NetworkMalformed => {
                "write an address and a prefix, as in \"10.0.0.0/8\", or an address"
            }
            Self::NetworkBits => "clear them, or lengthen the prefix",
            Self::OriginMalformed => {
                "write scheme, host and port without a path, as in \"https://app.example.com\""
            }
            Self::OriginAnyCredentials => "name the origins, or remove `credentials`",
            Self::OriginAnyAmongOthers => "keep \"*\" alone, or remove it",
            Self::PatternMalformed { .. } => {
                "write it in the syntax of the `regex` crate, as in \"^/v1/(.*)\""
            }
            Self::ReplacementMalformed => {
                "write a path without a query, as in \"/v2/$1\", and $$ for a plain $"
            }
            Self::GroupUnknown { .. } => {
                "write a group that `from` has, in braces where a letter or digit follows: $${1}x"
            }
            Self::FieldReserved { remedy } => remedy,
            Self::FieldValueMalformed => "write one line of visible ASCII without blanks round it",
        }
    }
}
