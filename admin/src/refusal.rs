//! Every no of the operator's door.
//!
//! One variant, one status, one code, one sentence; the body is problem+json
//! (RFC 9457). Nothing here shows what was sent, so that no secret can come back
//! in an answer. It does not decide who is refused, and a head that cannot even
//! be read is answered below this room, with a status and no body.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tollring_config::{Fault, Faults};

use crate::gateway::ReloadFault;

/// Every way the door says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No bearer token was shown, or more than one.
    TokenMissing,
    /// One was shown, and it is not the operator's.
    TokenWrong,
    /// The request calls this machine by a name that is not its own.
    HostForeign,
    /// A page from elsewhere made the request.
    OriginForeign,
    /// There is nothing at this path.
    PathUnknown,
    /// There is something at this path, but not for this method.
    MethodUnknown,
    /// The body did not come in time.
    BodyLate,
    /// The body is larger than any that is taken here.
    BodyTooLarge,
    /// There is a body where none is taken, or it ended in the middle.
    BodyUnwanted,
    /// The configuration was not put in force.
    ReloadRefused(ReloadFault),
    /// The reload took longer than is waited for; it may still come into force.
    ReloadLate,
    /// A broken invariant of ours ended the answer.
    Broken,
}

/// The body of a no (RFC 9457 §3); `code` and what follows it are extensions.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    #[serde(flatten)]
    file: Option<FaultyFile<'a>>,
}

/// Why a file was not put in force.
#[derive(Serialize)]
struct FaultyFile<'a> {
    file: &'a str,
    faults: Vec<FaultyValue<'a>>,
    /// How many more there are than are shown.
    left_out: usize,
}

/// One of its values, with what to do about it.
#[derive(Serialize)]
struct FaultyValue<'a> {
    line: usize,
    column: usize,
    path: &'a str,
    message: String,
    remedy: String,
}

impl<'a> From<&'a Faults> for FaultyFile<'a> {
    fn from(faults: &'a Faults) -> Self {
        let value = |fault: &'a Fault| FaultyValue {
            line: fault.line,
            column: fault.column,
            path: &fault.path,
            message: fault.message(),
            remedy: fault.remedy(),
        };
        Self {
            file: &faults.file,
            faults: faults.faults.iter().map(value).collect(),
            left_out: faults.left_out,
        }
    }
}

impl Refusal {
    /// The status the operator sees.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::BodyUnwanted => StatusCode::BAD_REQUEST,
            Self::TokenMissing | Self::TokenWrong => StatusCode::UNAUTHORIZED,
            Self::OriginForeign => StatusCode::FORBIDDEN,
            Self::PathUnknown => StatusCode::NOT_FOUND,
            Self::MethodUnknown => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyLate => StatusCode::REQUEST_TIMEOUT,
            Self::ReloadRefused(ReloadFault::NoFile) => StatusCode::CONFLICT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HostForeign => StatusCode::MISDIRECTED_REQUEST,
            Self::ReloadRefused(ReloadFault::Faulty(_) | ReloadFault::Keys(_)) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ReloadLate | Self::ReloadRefused(ReloadFault::Unwritten(_)) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// The word a program goes by; it never changes once published.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::TokenMissing => "token_missing",
            Self::TokenWrong => "token_wrong",
            Self::HostForeign => "host_foreign",
            Self::OriginForeign => "origin_foreign",
            Self::PathUnknown => "path_unknown",
            Self::MethodUnknown => "method_unknown",
            Self::BodyLate => "body_late",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyUnwanted => "body_unwanted",
            Self::ReloadRefused(ReloadFault::NoFile) => "no_file",
            Self::ReloadRefused(ReloadFault::Faulty(_)) => "file_faulty",
            Self::ReloadRefused(ReloadFault::Keys(_)) => "keys_unfit",
            Self::ReloadRefused(ReloadFault::Unwritten(_)) => "store_unavailable",
            Self::ReloadLate => "reload_late",
            Self::Broken => "broken",
        }
    }

    /// The sentence for a person, with the remedy where there is one.
    fn detail(&self) -> &str {
        match self {
            Self::ReloadRefused(ReloadFault::Keys(sentence) | ReloadFault::Unwritten(sentence)) => {
                sentence
            }
            Self::TokenMissing => "Send the admin token as `Authorization: Bearer …`.",
            Self::TokenWrong => "This is not the admin token of this gateway.",
            Self::HostForeign => "Address this port as localhost or by its loopback address.",
            Self::OriginForeign => "A page from another origin may not change anything here.",
            Self::PathUnknown => "There is nothing at this path.",
            Self::MethodUnknown => "This path does not take this method; `Allow` says which.",
            Self::BodyLate => "The body did not arrive in time.",
            Self::BodyTooLarge => "The body is larger than this port takes.",
            Self::BodyUnwanted => "This route takes no body, or an empty JSON object.",
            Self::ReloadRefused(ReloadFault::NoFile) => {
                "The gateway was started without a file, so there is none to read again."
            }
            Self::ReloadRefused(ReloadFault::Faulty(_)) => {
                "The file has faults; the configuration in force was kept."
            }
            Self::ReloadLate => "The reload takes longer than expected; ask again, or see the log.",
            Self::Broken => "Something in the gateway is broken; the log says what.",
        }
    }

    /// What RFC 6750 §3 wants said to whom: an error only to whoever did show something.
    fn challenge(&self) -> Option<HeaderValue> {
        match self {
            Self::TokenMissing => Some(HeaderValue::from_static(r#"Bearer realm="admin""#)),
            Self::TokenWrong => Some(HeaderValue::from_static(
                r#"Bearer realm="admin", error="invalid_token""#,
            )),
            _ => None,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        let file = match &self {
            Self::ReloadRefused(ReloadFault::Faulty(faults)) => Some(FaultyFile::from(faults)),
            _ => None,
        };
        let problem = Problem {
            // The code tells problems apart; `about:blank` means that the title is the status's.
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: self.detail(),
            code: self.code(),
            file,
        };
        let mut answer = (status, Json(problem)).into_response();
        let fields = answer.headers_mut();
        fields.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(challenge) = self.challenge() {
            fields.insert(header::WWW_AUTHENTICATE, challenge);
        }
        answer
    }
}

impl From<ReloadFault> for Refusal {
    fn from(fault: ReloadFault) -> Self {
        Self::ReloadRefused(fault)
    }
}
