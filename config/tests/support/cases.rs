//! Faulty texts, and the beginning of what is told about each: `line:column path: message`.
//!
//! The texts quote in the TOML way that needs no escapes here. A case has one fault, unless it
//! is of `long_cases`.

mod care;
mod limits;
mod store;
mod upstreams;

use super::DIGEST;
use super::rule_cases::{EDGES, RULES};
use care::{CARE, CARED};
use limits::LIMITS;
use store::STORE;
use upstreams::{PROVIDERS, PROXIES, SERVICES};

/// A text, and its one fault.
pub(super) type Case = (&'static str, &'static str);

/// The document and its tables.
const SHAPE: &[Case] = &[
    ("a = ", "1:5 : string values must be quoted"),
    ("[server]\nworkers = 1\nworkers = 2", "3:1 : duplicate key"),
    (
        "[sevrer]",
        "1:2 sevrer: is not a field of this table; did you mean `server`?",
    ),
    (
        "x = 1",
        "1:1 x: is not a field of this table; choose from server, admin, store",
    ),
    ("server = 1", "1:10 server: is a whole number, not a table"),
    (
        "[server]\nio = 5",
        "2:6 server.io: is a whole number, not a text in quotes",
    ),
    (
        "[server]\nlisten = 'a'",
        "2:10 server.listen: is a text, not a list in brackets",
    ),
    (
        "[server]\nlisten = []",
        "2:10 server.listen: is empty; write `listen = [",
    ),
    (
        "[server]\nproxy_protocol = {}",
        "2:18 server.proxy_protocol.trusted: is missing; add `trusted = [",
    ),
    (
        "[server]\nproxy_protocol = { trusted = [] }",
        "2:30 server.proxy_protocol.trusted: is empty; write `trusted = [",
    ),
    (
        "[server]\nproxy_protocol = { trusted = ['10.0.0/8'] }",
        "2:31 server.proxy_protocol.trusted[0]: '10.0.0/8' is not a network; write an address",
    ),
    (
        "[server]\nproxy_protocol = { trusted = ['10.0.0.1/8'] }",
        "2:31 server.proxy_protocol.trusted[0]: '10.0.0.1/8' has bits set beyond its prefix",
    ),
    (
        "[limits]\nbody_rate_min = 16385",
        "2:17 limits.body_rate_min: 16385 is not from 0 to 16384",
    ),
    (
        "[limits]\nconnections_per_address = 0",
        "2:27 limits.connections_per_address: 0 is not from 1 to 4000000",
    ),
    (
        "[limits]\nrequests_per_connection = 0",
        "2:27 limits.requests_per_connection: 0 is not from 1 to 1000000000",
    ),
    (
        "[server]\nio = 'epol'",
        "2:6 server.io: 'epol' is none of the choices; did you mean `epoll`?",
    ),
    (
        "[server]\nio = 'x'",
        "2:6 server.io: 'x' is none of the choices; choose from auto, io_uring",
    ),
    (
        "[server]\nworkers = 1025",
        "2:11 server.workers: 1025 is not from 0 to 1024",
    ),
    (
        "[server]\ntakeover = 'run/t.sock'",
        "2:12 server.takeover: 'run/t.sock' is not the path of a socket; write it absolute",
    ),
    (
        "[limits]\nmemory = '1MiB'",
        "2:10 limits.memory: '1MiB' is not from 16777216 to 70368744177664",
    ),
    (
        "[server]\nworkers = -1",
        "2:11 server.workers: -1 is not from 0 to 1024",
    ),
    (
        "[server]\nworkers = 99999999999999999999",
        "2:11 server.workers: 99999999999999999999 is",
    ),
    (
        "[server]\nworkers = 1979-05-27",
        "2:11 server.workers: is a date or time, not a whole",
    ),
    (
        "[server.tls]\ncertificate = 'c'\nprivate_key = ''",
        "3:15 server.tls.private_key: the value is not the path of a file; write it as in",
    ),
    (
        "[server.tls]\ncertificate = 'c'\nprivate_key = 'k'\nclient_auth = 'optional'",
        "4:15 server.tls.client_auth: has no effect without client_ca; add client_ca",
    ),
    (
        "[admin]\nlisten = '0.0.0.0:8081'",
        "2:10 admin.listen: '0.0.0.0:8081' can be reached from other machines; name a",
    ),
    (
        "[[tenants.t.keys]]\nname = 'k'",
        "1:1 tenants.t.keys[0]: must have either sha256 or subject; write sha256",
    ),
    (
        "[tenants.'a b']",
        "1:10 tenants.\"a b\": 'a b' is not a name; begin with a letter",
    ),
    (
        "[tenants.a]\nsuspended = 'no'",
        "2:13 tenants.a.suspended: is a text, not true or false",
    ),
];

/// Values that stand for themselves.
const VALUES: &[Case] = &[
    (
        "[server]\nlisten = [':80']",
        "2:11 server.listen[0]: ':80' is not an address and a port; write",
    ),
    (
        "[server]\nlisten = ['1.1.1.1:1', '1.1.1.1:1']",
        "2:24 server.listen[1]: '1.1.1.1:1' is taken by server.listen[0]",
    ),
    (
        "[admin]\nlisten = '127.0.0.1:8080'",
        "2:10 admin.listen: '127.0.0.1:8080' is taken by server",
    ),
    (
        "[admin]\ntoken = ''",
        "2:9 admin.token: is empty; set it, or remove the field",
    ),
    ("[admin]\ntoken = '${EMPTY}'", "2:9 admin.token: is empty"),
    (
        "[admin]\ntoken = '${LINE}'",
        "2:9 admin.token: holds a blank or a character beyond ASCII",
    ),
    (
        "[admin]\ntoken = '${LONG}'",
        "2:9 admin.token: is longer than 16384 bytes",
    ),
    (
        "[admin]\ntoken = '${NOWHERE}'",
        "2:9 admin.token: ${NOWHERE} is not set; set it, or give",
    ),
    (
        "[admin]\ntoken = '${NOWHERE:?ask Ann}'",
        "2:9 admin.token: ${NOWHERE} is not set: ask Ann",
    ),
    (
        "[admin]\ntoken = '${}'",
        "2:9 admin.token: the value has a ${…} that is not a variable",
    ),
    (
        "[timeouts]\nhead = '10'",
        "2:8 timeouts.head: '10' is not a duration; write \"500ms\"",
    ),
    (
        "[timeouts]\nhead = '0s'",
        "2:8 timeouts.head: '0s' is not from 1ms to 24h",
    ),
    (
        "[limits]\nbody_bytes = '1 MB'",
        "2:14 limits.body_bytes: '1 MB' is not a number of bytes",
    ),
    (
        "[limits]\nbody_bytes = '2GiB'",
        "2:14 limits.body_bytes: '2GiB' is not from 1024 to",
    ),
    (
        "[limits]\nbody_bytes = true",
        "2:14 limits.body_bytes: is true or false, not a number of bytes",
    ),
    (
        "[limits]\ntarget_bytes = 65536",
        "2:16 limits.target_bytes: 65536 does not fit a head of",
    ),
    (
        "[errors]\nexhausted_status = 400",
        "2:20 errors.exhausted_status: 400 is none of the choices",
    ),
    (
        "[errors]\ntop_up_url = 'pay.me'",
        "2:14 errors.top_up_url: 'pay.me' does not begin with http",
    ),
    (
        "[errors]\ntop_up_url = 'http://a>'",
        "2:14 errors.top_up_url: 'http://a>' holds a character",
    ),
];

/// Models; each text follows [`OPENAI`], so it begins on line 4.
const MODELS: &[Case] = &[
    (
        "[models.m]",
        "4:1 models.m.targets: is missing; add `targets = [",
    ),
    (
        "[models.m]\ntargets = []",
        "5:11 models.m.targets: is empty",
    ),
    (
        "[models.m]\ntargets = [{ model = 'x' }]",
        "5:12 models.m.targets[0].provider: is missing",
    ),
    (
        "[models.m]\ntargets = [{ provider = 'opnai', model = 'x' }]",
        "5:25 models.m.targets[0].provider: there is no provider 'opnai'; did you mean \"openai",
    ),
    (
        "[models.m]\ntargets = [{ provider = 'zzz', model = 'x' }]",
        "5:25 models.m.targets[0].provider: there is no provider 'zzz'; add [providers.…]",
    ),
    (
        "[models.m]\ntargets = [{ provider = 'openai', model = 'x', weight = 0 }]",
        "5:57 models.m.targets[0].weight: 0 is not from 1 to 1000000",
    ),
    (
        "[models.m]\ntargets = [{ provider = 'openai', model = 'a b' }]",
        "5:43 models.m.targets[0].model: 'a b' is not a name",
    ),
    (
        "[models.m]\ntargets = [\n{ provider = 'openai', model = 'x' },\n\
         { provider = 'openai', model = 'x' },\n]",
        "7:1 models.m.targets[1]: { provider = 'openai', model = 'x' } stands at models",
    ),
];

/// More of models; each text follows [`MODEL`], so it begins on line 6.
const PRICES: &[Case] = &[
    (
        "fallback = ['m']",
        "6:13 models.m.fallback[0]: leads round: m → m; remove one",
    ),
    (
        "downgrade = 'n'",
        "6:13 models.m.downgrade: there is no model 'n'",
    ),
    ("price = {}", "6:9 models.m.price: is empty"),
    (
        "price = { input = 0.15 }",
        "6:19 models.m.price.input: 0.15 is money written as a number; put quotes",
    ),
    (
        "price = { input = '1,5' }",
        "6:19 models.m.price.input: '1,5' is not a decimal number",
    ),
    (
        "price = { input = '0.0000000001' }",
        "6:19 models.m.price.input: '0.0000000001' has more than 9 digits",
    ),
    (
        "price = { input = '-1' }",
        "6:19 models.m.price.input: '-1' is not from 0 to 1000000",
    ),
];

/// Tenants, plans and keys.
const TENANTS: &[Case] = &[
    (
        "[tenants.a]\nplan = 'free'\n[plans.fre]",
        "2:8 tenants.a.plan: there is no plan 'free'; did you mean \"fre\"?",
    ),
    (
        "[tenants.a]\nbalance = 25",
        "2:11 tenants.a.balance: 25 is money written as a number",
    ),
    (
        "[tenants.a]\nlimits = [{ unit = 'tokens', amount = 0, per = 'day' }]",
        "2:39 tenants.a.limits[0].amount: is 0; use `suspended = true` to stop a tenant",
    ),
    (
        "[tenants.a]\nlimits = [{ concurrent = 0 }]",
        "2:26 tenants.a.limits[0].concurrent: is 0",
    ),
    (
        "[tenants.a]\nlimits = [{ unit = 'tokens', amount = 1.5, per = 'day' }]",
        "2:39 tenants.a.limits[0].amount: 1.5 is not a whole number; only money",
    ),
    (
        "[tenants.a]\nlimits = [{ unit = 'tokens', amount = -5, per = 'day' }]",
        "2:39 tenants.a.limits[0].amount: -5 is not from 1 to",
    ),
    (
        "[tenants.a]\nlimits = [{ unit = 'usd', amount = 5, per = 'day' }]",
        "2:36 tenants.a.limits[0].amount: 5 is money written as a number",
    ),
    (
        "[tenants.a]\nlimits = [{}]",
        "2:11 tenants.a.limits[0]: is not a limit; write { unit",
    ),
    (
        "[tenants.a]\nlimits = [{ concurrent = 1, per = 'day' }]",
        "2:11 tenants.a.limits[0]: is not a limit",
    ),
    (
        "[tenants.a]\nlimits = [{ unit = 'tokens', amount = 1 }]",
        "2:11 tenants.a.limits[0].per: is missing; add `per = \"day\"`",
    ),
    (
        "[tenants.a]\nlimits = [{ unit = 'tokens', amount = 1, per = 'day',\n\
         rate = true }]",
        "3:8 tenants.a.limits[0].rate: says nothing for this window",
    ),
    (
        "[tenants.a]\nlimits = [{ concurrent = 1 }, { concurrent = 2 }]",
        "2:31 tenants.a.limits[1]: limits the same unit and window as tenants.a",
    ),
    (
        "[plans.p]\nlimits = [{ concurrent = 1 }]\n[tenants.a]\nplan = 'p'\n\
         limits = [{ concurrent = 2 }]",
        "5:11 tenants.a.limits[0]: limits the same unit and window as plans.p.limits[0]",
    ),
    (
        "[[tenants.a.keys]]\nname = 'k'\nsha256 = 'tr_demo'",
        "3:10 tenants.a.keys[0].sha256: 'tr_demo' is not a SHA-256 in hexadecimal",
    ),
    (
        "[[tenants.a.keys]]\nname = 'k'",
        "1:1 tenants.a.keys[0]: must have either sha256 or subject; write",
    ),
    (
        "[plans.p]\nmodels = ['m']",
        "2:11 plans.p.models[0]: there is no model 'm'",
    ),
    (
        "[plans.p]\nservices = ['s']",
        "2:13 plans.p.services[0]: there is no service 's'",
    ),
];

/// What a provider's text follows.
const PROVIDER: &str = "[providers.p]\ndialect = 'openai'\n";
/// What a service's text follows.
const SERVICE: &str = "[services.s]\nupstreams = ['http://127.0.0.1']\n";
/// What a model's text follows.
const OPENAI: &str = "[providers.openai]\ndialect = 'openai'\nbase_url = 'http://[::1]'\n";

/// What a price's text follows.
const MODEL: &str = "\
[providers.openai]
dialect = 'openai'
base_url = 'http://[::1]'
[models.m]
targets = [{ provider = 'openai', model = 'x' }]
";

/// Every case of the tables, with what it follows.
pub(crate) fn cases() -> impl Iterator<Item = (String, &'static str)> {
    let tables = [
        ("", SHAPE),
        ("", VALUES),
        (PROVIDER, PROVIDERS),
        (PROVIDER, PROXIES),
        (SERVICE, SERVICES),
        (SERVICE, RULES),
        ("", EDGES),
        ("", STORE),
        ("", LIMITS),
        (CARED, CARE),
        (OPENAI, MODELS),
        (MODEL, PRICES),
        ("", TENANTS),
    ];
    let cases = |(before, table): (&'static str, &'static [Case])| {
        table
            .iter()
            .map(move |(text, expected)| (format!("{before}{text}"), *expected))
    };
    tables.into_iter().flat_map(cases)
}

/// Faults that take more than a line of text to bring about.
pub(crate) fn long_cases() -> Vec<(String, Vec<&'static str>)> {
    let listen = vec!["'127.0.0.1:0'"; 17].join(", ");
    let key = |name: &str| format!("[[tenants.a.keys]]\nname = '{name}'\nsha256 = '{DIGEST}'\n");
    let same_digest = key("one") + &key("two");
    let model = |name: &str, next: &str| {
        format!(
            "[models.{name}]\ntargets = [{{ provider = 'openai', model = 'x' }}]\n\
             fallback = ['{next}']\n"
        )
    };
    let circle = format!(
        "{OPENAI}{}{}{}",
        model("a", "b"),
        model("b", "c"),
        model("c", "a")
    );
    let outside = format!(
        "{OPENAI}[models.m]\ntargets = [{{ provider = 'openai', model = 'x' }}]\n\
         [plans.p]\nmodels = []\n[tenants.a]\nplan = 'p'\n{}models = ['m']",
        key("k")
    );
    vec![
        (
            format!("[server]\nlisten = [{listen}]"),
            vec!["2:10 server.listen: holds more than 16; remove some"],
        ),
        (
            same_digest,
            vec!["6:10 tenants.a.keys[1].sha256: '9f86d081"],
        ),
        (
            key("k") + &key("k").replace("9f", "8f"),
            vec!["5:8 tenants.a.keys[1].name: 'k' stands"],
        ),
        (
            circle,
            vec!["12:13 models.c.fallback[0]: leads round: a → b → c → a"],
        ),
        (
            key("k") + "team = 'x'\n[tenants.a.teams.y]",
            vec!["4:8 tenants.a.keys[0].team: there is no team 'x'; add [teams"],
        ),
        (
            outside,
            vec!["13:11 tenants.a.keys[0].models[0]: 'm' is not in the plan \"p\"; add it"],
        ),
    ]
}
