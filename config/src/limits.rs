//! Every bound of the configuration, with its reason, checked against each other.
//!
//! A file beyond a bound is refused with the bound in the words of the fault.
//! These bound what an operator may write; what a client may send is bounded by
//! the values in the file itself, which are bounded here.

use std::time::Duration;

use crate::units::NANO_PER_USD;

/// Bytes of the file. A hundred thousand keys with limits of their own are 30 MB.
pub const FILE_BYTES_MAX: u64 = 64 * MIB;
/// Faults kept of one file; the rest are counted. More than a screen, less than a log.
pub const FAULTS_MAX: usize = 1000;
/// Characters of a value, and of a line, that a fault shows: they are there to be recognised.
pub const SHOWN_CHARS_MAX: usize = 120;
/// Names compared to find what was meant; those beyond are not looked at, as a guess is only help.
pub const GUESSES_MAX: usize = 4096;
/// Bytes of a string once variables are filled in; a key or a URL, never a document.
pub const VALUE_BYTES_MAX: usize = 16 * 1024;

/// Bytes of the name of a tenant, key, plan, provider or service: it is a label of a metric.
pub const NAME_BYTES_MAX: usize = 64;
/// Bytes of a model's name; some providers put an account and a path into it.
pub const MODEL_NAME_BYTES_MAX: usize = 256;
/// Bytes of the path prefix of a service or base URL; it is part of every target.
pub const PATH_BYTES_MAX: usize = 1024;
/// Bytes of the path of a unix socket: `sun_path` has 108 with its end (unix(7)), and a new socket
/// is made beside the old one under a name that is a little longer.
pub const SOCKET_PATH_BYTES_MAX: usize = 96;
/// Bytes of a host name (RFC 1035 §2.3.4).
pub const HOST_BYTES_MAX: usize = 253;

/// Bytes of one file of the journal: room for a few hundred records, so that tests fill one soon.
pub const SEGMENT_BYTES_MIN: u64 = 64 * 1024;
/// Every worker maps two of them.
pub const SEGMENT_BYTES_MAX: u64 = 256 * MIB;
/// Bytes of the whole journal: below this even two workers have no room to turn.
pub const JOURNAL_BYTES_MIN: u64 = MIB;
/// More than a day's requests at the rates this is built for.
pub const JOURNAL_BYTES_MAX: u64 = 1024 * 1024 * MIB;
/// Days that rows of single requests may be kept: a century.
pub const KEEP_ROWS_DAYS_MAX: u64 = 36_500;
/// Bytes of a proxy's `user:password`; with its escape in base64 it must fit the block that the
/// question is sent from. A token in place of a password is about half.
pub const PROXY_CREDENTIALS_BYTES_MAX: usize = 4 * 1024;

/// Data ports: every worker has a listener for each.
pub const LISTEN_MAX: usize = 16;
/// Clients of one worker on their way through a TLS handshake; beyond it, newcomers are closed.
pub const HANDSHAKES_MAX: u64 = 100_000;
/// Certificates of the data port; a client names the one it wants.
pub const CERTIFICATES_MAX: usize = 1000;
/// Worker threads; more cores than any one machine of today.
pub const WORKERS_MAX: u64 = 1024;
/// Upstream accounts: every worker has a pool for each.
pub const PROVIDERS_MAX: usize = 1000;
/// Keys of one provider, used in turn.
pub const API_KEYS_MAX: usize = 64;
/// Models by the names callers use.
pub const MODELS_MAX: usize = 10_000;
/// Targets of one model: an attempt looks at each.
pub const TARGETS_MAX: usize = 32;
/// The share of one target; with [`TARGETS_MAX`] the sum stays in 32 bits.
pub const WEIGHT_MAX: u64 = 1_000_000;
/// Models tried after a model: each is a wait that the caller feels.
pub const FALLBACK_MAX: usize = 8;
/// REST services: a request without a better route is compared with each.
pub const SERVICES_MAX: usize = 1000;
/// Upstreams of one service.
pub const UPSTREAMS_MAX: usize = 64;
/// Hosts of one service: each is compared with a request's.
pub const HOSTS_MAX: usize = 64;
/// Fields that one service sets, adds or removes; with a client's they must fit a head.
pub const FIELD_EDITS_MAX: usize = 32;
/// Bytes of the name of a field that is edited.
pub const FIELD_NAME_BYTES_MAX: usize = 64;
/// Bytes of the value of a field that is edited; a token with claims in it is about half.
pub const FIELD_VALUE_BYTES_MAX: usize = 4 * 1024;
/// Origins of one service, and methods or fields that it lets their pages use.
pub const ORIGINS_MAX: usize = 64;
/// The longest a browser may be told to remember: they stop at a day themselves.
pub const CORS_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Networks in one list of callers or proxies: each is compared with the caller's address.
pub const NETWORKS_MAX: usize = 1024;
/// Bytes of a compiled pattern over paths. The library's own default is forty times that, for
/// patterns over text.
pub const PATTERN_COMPILED_BYTES_MAX: usize = 256 * 1024;
/// Attempts after the first that one request may make: each is a wait that the caller feels.
pub const RETRIES_MAX: u64 = 4;
/// Failures in a row before an upstream is put aside; more is a way of saying never.
pub const EJECT_FAILURES_MAX: u64 = 10_000;
/// Checks in a row that must agree; more takes longer than anybody waits.
pub const HEALTH_ROUNDS_MAX: u64 = 100;
/// Statuses that pass a check.
pub const HEALTH_STATUSES_MAX: usize = 16;
/// Requests that a breaker's window must hold; more than a window sees.
pub const BREAKER_REQUESTS_MAX: u64 = 1_000_000;
/// Requests let through an open circuit to see: a few tell as much as many.
pub const BREAKER_TRIALS_MAX: u64 = 100;
/// Requests in flight at one provider or service; each is a client's connection.
pub const IN_FLIGHT_MAX: u64 = CONNECTIONS_MAX;
/// Requests that wait for a place; each holds its client's connection and its reservation.
pub const QUEUE_LENGTH_MAX: u64 = 100_000;
/// Plans.
pub const PLANS_MAX: usize = 1000;
/// Tenants, by what the counters of each cost in memory.
pub const TENANTS_MAX: usize = 100_000;
/// Keys over all tenants, by what the index of digests costs in memory.
pub const KEYS_MAX: usize = 400_000;
/// Limits in one list, of a plan, a tenant or a key: each is an atomic per request.
pub const LIMITS_MAX: usize = 8;
/// Limits of one team: with those of key, tenant and plan they fill the path of a key.
pub const TEAM_LIMITS_MAX: usize = 7;
/// Models, or services, that one limit names: they are part of its bucket's identity.
pub const LIMIT_NAMES_MAX: usize = 16;
/// The most that a token may weigh in a limit, in billionths: a thousand tokens.
pub const TOKEN_WEIGHT_MAX: i64 = 1_000 * 1_000_000_000;
/// Teams of one tenant.
pub const TEAMS_MAX: usize = 1000;
/// Buckets that one request passes: the key's, its team's, the tenant's, its plan's and its
/// balance.
pub const KEY_PATH_BUCKETS_MAX: usize = 32;
/// The shortest rolling window, in seconds: it is counted in steps of a second, and what they make
/// of a shorter one would not be called its span any more.
pub const ROLLING_SPAN_MIN_S: u32 = 10;
/// The longest rolling window, in seconds: a leap year.
pub const ROLLING_SPAN_MAX_S: u32 = 366 * 24 * 60 * 60;
/// Buckets of a whole snapshot; their places are 32 bits wide.
pub const BUCKETS_MAX: usize =
    TENANTS_MAX * (2 * LIMITS_MAX + 1 + TEAMS_MAX * TEAM_LIMITS_MAX) + KEYS_MAX * LIMITS_MAX;

/// The longest deadline: a day. Longer is a way of saying never, which nothing here means.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest deadline: the clock of a worker ticks in milliseconds.
pub const TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// The smallest bound on a head that real clients fit in.
pub const HEAD_BYTES_MIN: u64 = 4 * 1024;
/// The largest: a worker may hold one for every connection that is sending its head.
pub const HEAD_BYTES_MAX: u64 = MIB;
/// The fewest fields that real clients fit in.
pub const HEAD_FIELDS_MIN: u64 = 16;
/// The most: they are parsed into a table on the worker's stack.
pub const HEAD_FIELDS_MAX: u64 = 256;
/// The smallest bound on a target; a gateway should take 8,000 octets (RFC 9112 §3), but an
/// operator who knows its clients may take fewer.
pub const TARGET_BYTES_MIN: u64 = 256;
/// The largest bound on an inspected body: it is held in memory whole.
pub const BODY_BYTES_MAX: u64 = 1024 * MIB;
/// The smallest: a short prompt.
pub const BODY_BYTES_MIN: u64 = 1024;
/// Connections over all workers; each is a descriptor.
pub const CONNECTIONS_MAX: u64 = 4_000_000;
/// Requests that one connection may be allowed to carry; more is no bound.
pub const REQUESTS_PER_CONNECTION_MAX: u64 = 1_000_000_000;
/// The fastest a client may be asked to send its body, in bytes a second: what a mobile line
/// still does on a bad day.
pub const BODY_RATE_MAX: u64 = 16 * 1024;
/// Client connections where the file sets no number and descriptors allow it.
pub const CONNECTIONS_DEFAULT: usize = 100_000;
/// The smallest bound on memory: less than this the program has in use before anyone comes.
pub const MEMORY_BYTES_MIN: u64 = 16 * MIB;
/// The largest; more than any one machine of today.
pub const MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024 * MIB;

/// The largest count a limit or a model's maximum may state, as text stays readable and sums
/// of many stay in 63 bits.
pub const COUNT_MAX: i64 = 1_000_000_000_000_000;
/// The largest amount of money, in nano-USD: a billion dollars.
pub const USD_NANO_MAX: i64 = 1_000_000_000 * NANO_PER_USD;
/// The largest price, in nano-USD, per million tokens, request or megabyte: a million dollars.
pub const PRICE_NANO_MAX: i64 = 1_000_000 * NANO_PER_USD;
/// Requests that one key or tenant may be allowed to have in flight.
pub const CONCURRENT_MAX: u64 = CONNECTIONS_MAX;

/// Bytes in a mebibyte.
const MIB: u64 = 1024 * 1024;

const _: () = assert!(
    3 * LIMITS_MAX + TEAM_LIMITS_MAX < KEY_PATH_BUCKETS_MAX,
    "four full lists and a balance must fit the path of a key"
);
const _: () = assert!(
    TARGETS_MAX as u64 * WEIGHT_MAX <= u32::MAX as u64,
    "the weights of a model must add up in 32 bits"
);
const _: () = assert!(
    BUCKETS_MAX < u32::MAX as usize,
    "a place of a bucket must fit 32 bits"
);
const _: () = assert!(
    TARGET_BYTES_MIN < HEAD_BYTES_MIN,
    "the shortest target must fit the smallest head"
);
const _: () = assert!(
    (PATH_BYTES_MAX as u64) < HEAD_BYTES_MIN,
    "the longest path prefix must fit the smallest head"
);
const _: () = assert!(BODY_BYTES_MIN <= BODY_BYTES_MAX && HEAD_BYTES_MIN <= HEAD_BYTES_MAX);
const _: () = assert!(TIMEOUT_MIN.as_nanos() < TIMEOUT_MAX.as_nanos());
const _: () = assert!(
    PRICE_NANO_MAX <= USD_NANO_MAX && USD_NANO_MAX < i64::MAX / 9,
    "an amount at its bound must leave room for sums"
);
const _: () = assert!(
    IN_FLIGHT_MAX <= u32::MAX as u64,
    "what is counted of an upstream fits 32 bits"
);
const _: () = assert!(
    CONCURRENT_MAX <= COUNT_MAX as u64,
    "requests in flight are counted like everything else"
);
