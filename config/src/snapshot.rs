//! Configuration as the engine sees it: complete, immutable, indexed, versioned.
//!
//! Built only by `validate`; every reference in it has been resolved to an
//! index, so that nothing on the path of a request can fail to be found. It
//! holds no live state: counters of buckets live in the ledger.

mod bucket;
mod proxy;
mod store;
mod tls;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::calendar::Calendar;
use crate::care::{Balance, Care, Retries};
use crate::digest::ByDigest;
use crate::rules::{Edge, Network, ServiceRules};
use crate::secret::Secret;
use crate::units::NanoUsd;

pub use bucket::{BucketSpec, Only};
pub use proxy::UpstreamProxy;
pub use store::{CrashSettle, Durability, FailMode, Numbers, Store};
pub use tls::{CertificateFiles, ClientCertificates, ServerTls, TlsVersion, UpstreamTls};

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);

        impl $name {
            /// The place in the snapshot's list.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

index!(/** A place in [`Snapshot::providers`]. */ ProviderId);
index!(/** A place in [`Snapshot::models`]. */ ModelId);
index!(/** A place in [`Snapshot::services`]. */ ServiceId);
index!(/** A place in [`Snapshot::tenants`]. */ TenantId);
index!(/** A place in [`Snapshot::teams`]. */ TeamId);
index!(/** A place in [`Snapshot::keys`]. */ KeyId);
index!(/** A place in [`Snapshot::buckets`]. */ BucketId);

/// Everything the operator said, checked.
#[derive(Debug)]
pub struct Snapshot {
    /// Rises by one with every snapshot that is put in force.
    pub version: u64,
    /// Where and how the gateway listens.
    pub server: Server,
    /// Where the operator's door is.
    pub admin: Admin,
    /// What is kept on disk; absent: counters begin anew with each process.
    pub store: Option<Store>,
    /// Who may come, and whose word about callers is believed.
    pub edge: Edge,
    /// The deadlines; a provider or service may have its own.
    pub timeouts: Timeouts,
    /// The bounds on what a client may send and how many there may be.
    pub limits: Limits,
    /// How much is reserved, and what happens when it was too little.
    pub quota: QuotaPolicy,
    /// How refusals for money are presented.
    pub errors: ErrorsPolicy,
    /// The upstream accounts.
    pub providers: Vec<Provider>,
    /// What callers may ask for by name.
    pub models: Vec<Model>,
    /// REST services, the longest path first, so that of those a host fits equally the first
    /// match is the best.
    pub services: Vec<Service>,
    /// Who pays.
    pub tenants: Vec<Tenant>,
    /// Groups of keys inside tenants.
    pub teams: Vec<Team>,
    /// What callers show.
    pub keys: Vec<ApiKey>,
    /// Every limit as a bucket with a lasting identity.
    pub buckets: Vec<BucketSpec>,
    /// What all of these are called in what is written down.
    pub numbers: Numbers,
    /// Model by the name callers use.
    pub model_by_name: HashMap<Box<str>, ModelId>,
    /// Key by the SHA-256 of what the caller shows.
    pub key_by_digest: ByDigest<KeyId>,
}

/// Where and how the gateway listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Addresses of the data port; every worker listens on each.
    pub listen: Vec<SocketAddr>,
    /// Worker threads; 0 means one per core this process may use.
    pub workers: u16,
    /// Which system interface the workers use.
    pub io: IoChoice,
    /// What the data port shows and asks for; absent: it speaks in the clear.
    pub tls: Option<ServerTls>,
    /// The unix socket at which a new process of this program may ask for the listeners.
    pub takeover: Option<PathBuf>,
    /// Whose connections begin with whose they are; absent: nobody's.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// Balancers that speak the PROXY protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Whose header is asked for and believed; nobody else's is.
    pub trusted: Vec<Network>,
}

/// Which system interface the workers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoChoice {
    /// io_uring with the best flags this kernel allows, or else epoll.
    Auto,
    /// io_uring, or refuse to start.
    IoUring,
    /// epoll.
    Epoll,
}

/// Where the operator's door is.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Address of the admin port.
    pub listen: SocketAddr,
    /// What an operator shows; absent: the program makes one and prints it once.
    pub token: Option<Secret>,
    /// What the admin port shows; absent: it speaks in the clear, on loopback alone.
    pub tls: Option<CertificateFiles>,
}

/// Deadlines, each named for what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A request's head, from its first byte.
    pub head: Duration,
    /// Between two reads of a request's body.
    pub body: Duration,
    /// A keep-alive connection without a request.
    pub idle: Duration,
    /// A client that does not read.
    pub write: Duration,
    /// A connection to a provider.
    pub connect: Duration,
    /// The first byte of a provider's answer.
    pub first_byte: Duration,
    /// Between two reads of a provider's answer.
    pub between_bytes: Duration,
    /// Requests in flight when the process is told to stop.
    pub drain: Duration,
    /// From a request's first byte to its answer's head, all attempts together; absent: no bound.
    pub total: Option<Duration>,
}

/// Bounds on what a client may send, and how many clients there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head, request line and fields.
    pub head_bytes: usize,
    /// Fields of a head.
    pub head_fields: usize,
    /// Bytes of a request target.
    pub target_bytes: usize,
    /// Bytes of a body that is inspected; what is only passed on has no bound.
    pub body_bytes: usize,
    /// Bytes a second at which a body must come once `timeouts.body` was waited for it; 0 asks
    /// for none.
    pub body_rate_min: u64,
    /// Client connections over all workers; absent: as many as the process may have
    /// descriptors for, up to [`CONNECTIONS_DEFAULT`](crate::limits::CONNECTIONS_DEFAULT).
    pub connections: Option<usize>,
    /// Client connections over all workers from one address, or from one /64 of IPv6; absent:
    /// no bound of its own.
    pub connections_per_address: Option<usize>,
    /// Requests that one connection may carry before it is closed; absent: no bound.
    pub requests_per_connection: Option<u64>,
    /// Clients of one worker that are on their way through a TLS handshake.
    pub handshakes: usize,
    /// Bytes of memory; absent: what the control group allows, if anything bounds it.
    pub memory: Option<u64>,
}

/// How much is reserved, what happens when it was too little, and whose days count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaPolicy {
    /// How the output of a streamed answer is reserved.
    pub hold: HoldMode,
    /// What happens when there is less than a call needs.
    pub on_insufficient: OnInsufficient,
    /// What happens when an extension is denied while the answer streams.
    pub on_midstream: OnMidstream,
    /// The calendar of windows whose limit, tenant and plan name none.
    pub calendar: Calendar,
}

/// How the output of an answer is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldMode {
    /// The whole of `max_tokens`, or of the model's maximum.
    Strict,
    /// Of a stream a first step, extended as it is produced; of other answers the estimate.
    Rolling,
    /// As much as 99 of 100 answers of the same key and model took, and no more than the whole.
    /// Before there were enough of them: the whole, or of a stream the first step.
    Estimate,
}

/// What happens when there is less than a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInsufficient {
    /// It is refused.
    Reject,
    /// It may write as much as can be paid for, if that is worth having; it is told how much.
    Clamp,
    /// The model's `downgrade` answers, if that can be paid for; it is told which.
    Downgrade,
}

/// What happens when an extension is denied while the answer streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMidstream {
    /// The answer goes on; what it costs more is recorded as an overdraft.
    Finish,
    /// The provider is stopped and the stream ends with the 402 as its error event.
    Cut,
}

/// How refusals for money are presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorsPolicy {
    /// The status of a refusal for lack of money or quota: 402, 429 or 403.
    pub exhausted_status: u16,
    /// Where a caller can buy more; sent as `link: <…>; rel="payment"`.
    pub top_up_url: Option<Box<str>>,
    /// Whether a caller sees the amounts of its tenant's buckets, not only of its key's.
    pub expose_parent_amounts: bool,
}

/// A wire language that providers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's chat completions and everything compatible with it.
    OpenAi,
}

/// Scheme, host, port and path prefix of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    /// Host name or address literal, without brackets, lower case.
    pub host: Box<str>,
    /// TCP port.
    pub port: u16,
    /// Path prefix without a trailing slash; empty for none.
    pub path: Box<str>,
    /// What goes into the `Host` field: host, and port unless it is the scheme's own.
    pub authority: Box<str>,
    /// Whether it is reached by TLS.
    pub tls: bool,
    /// The socket of this machine it is reached by; absent: host and port say where it is.
    pub socket: Option<Box<str>>,
}

/// Deadlines towards one upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// A connection.
    pub connect: Duration,
    /// The first byte of an answer.
    pub first_byte: Duration,
    /// Between two reads of an answer.
    pub between_bytes: Duration,
    /// From a request's first byte to its answer's head, all attempts together; absent: no bound.
    pub total: Option<Duration>,
}

/// An upstream account.
#[derive(Debug)]
pub struct Provider {
    /// The name in the file.
    pub name: Box<str>,
    /// What it speaks.
    pub dialect: Dialect,
    /// Where it is.
    pub base: BaseUrl,
    /// Its keys, used in turn; none for a provider that wants none.
    pub api_keys: Vec<Secret>,
    /// Its deadlines.
    pub timeouts: UpstreamTimeouts,
    /// Whether closing the connection stops what it charges us.
    pub cancel_stops_billing: bool,
    /// Whom it is believed to be, and what it is shown.
    pub tls: UpstreamTls,
    /// The HTTP proxy that opens the way there; absent: it is reached directly.
    pub proxy: Option<UpstreamProxy>,
    /// How it is looked after.
    pub care: Care,
}

/// One provider and its own name for a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Who answers.
    pub provider: ProviderId,
    /// The name the provider knows.
    pub model: Box<str>,
    /// Its share among the targets of the model; at least 1.
    pub weight: u32,
}

/// What callers may ask for by name.
#[derive(Debug)]
pub struct Model {
    /// The name callers use.
    pub name: Box<str>,
    /// Who may answer, by weight.
    pub targets: Vec<Target>,
    /// How one of them is chosen.
    pub balance: Balance,
    /// How often a failed attempt is followed by another at them.
    pub retries: Retries,
    /// Models tried in order when every target of this one has failed.
    pub fallback: Vec<ModelId>,
    /// The model that answers where the caller cannot pay for this one.
    pub downgrade: Option<ModelId>,
    /// What it costs; absent: unpriced.
    pub price: Option<Price>,
    /// The most tokens it will write, where known.
    pub output_tokens_max: Option<u64>,
    /// The most tokens it will take in and write together, where known.
    pub context_tokens_max: Option<u64>,
}

/// Prices in nano-USD per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Input that was not cached.
    pub input: NanoUsd,
    /// Output, reasoning included.
    pub output: NanoUsd,
    /// Input read from the provider's cache.
    pub cached_input: NanoUsd,
    /// Each request, in nano-USD.
    pub request: NanoUsd,
}

/// A REST service under a path.
#[derive(Debug)]
pub struct Service {
    /// The name in the file.
    pub name: Box<str>,
    /// The path prefix it answers under, without a trailing slash; empty for "/".
    pub path: Box<str>,
    /// Where it goes.
    pub upstreams: Vec<BaseUrl>,
    /// How one of them is chosen.
    pub balance: Balance,
    /// How often a failed attempt is followed by another.
    pub retries: Retries,
    /// How its upstreams are looked after.
    pub care: Care,
    /// Whether callers need a key.
    pub auth: Auth,
    /// What of it is counted.
    pub meter: Meter,
    /// What it costs.
    pub price: ServicePrice,
    /// Its deadlines.
    pub timeouts: UpstreamTimeouts,
    /// Whom its upstreams are believed to be, and what they are shown.
    pub tls: UpstreamTls,
    /// The HTTP proxy that opens the way there; absent: it is reached directly.
    pub proxy: Option<UpstreamProxy>,
    /// What it does with the heads that pass.
    pub rules: ServiceRules,
}

/// Whether callers of a service need a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// They do.
    Key,
    /// Anyone may call.
    None,
}

/// What of a service is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    /// Each request, at `price.request`.
    Requests,
    /// Each request and every byte of both bodies, at `price.megabyte`.
    Bytes,
    /// Each request at `price.request`, counted against no request limit.
    Fixed,
    /// Nothing; refused to keys with a money limit.
    None,
}

/// What a REST service costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServicePrice {
    /// Each request.
    pub request: NanoUsd,
    /// Each million bytes, both bodies together.
    pub megabyte: NanoUsd,
}

/// Who pays.
#[derive(Debug)]
pub struct Tenant {
    /// The name in the file.
    pub name: Box<str>,
    /// Whether every request of it is refused.
    pub suspended: bool,
    /// The name of its plan, for answers.
    pub plan: Option<Box<str>>,
}

/// A group of keys inside a tenant.
#[derive(Debug)]
pub struct Team {
    /// The name in the file.
    pub name: Box<str>,
    /// Whose it is.
    pub tenant: TenantId,
}

/// What a caller shows.
#[derive(Debug)]
pub struct ApiKey {
    /// The name in the file.
    pub name: Box<str>,
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    /// Who pays for it.
    pub tenant: TenantId,
    /// The team it belongs to, if any.
    pub team: Option<TeamId>,
    /// Whether every request with it is refused.
    pub disabled: bool,
    /// The models it may ask for; absent: all.
    pub models: Option<Vec<ModelId>>,
    /// The services it may call; absent: all.
    pub services: Option<Vec<ServiceId>>,
    /// Every bucket a request with it must pass, in the order they are asked:
    /// by [`LimitClass`], then the key's own before its team's, and those before its tenant's.
    pub path: Vec<BucketId>,
}
