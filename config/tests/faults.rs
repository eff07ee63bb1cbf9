//! Every way a file can be wrong, by what an operator is told about it.
//!
//! The table is text in, text out. A `match` over every kind of fault fails to
//! compile when one is added, and a test fails until the table has a case of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use support::cases::{cases, long_cases};
use support::{check, env, faults, line};
use tollring_config::fault::{LimitFault, NotYet, Problem, RuleFault};
use tollring_config::{load, parse};

#[test]
fn every_fault_is_told_with_its_place_and_its_remedy() {
    for (text, expected) in cases() {
        check(&text, &[expected]);
    }
    for (text, expected) in long_cases() {
        check(&text, &expected);
    }
}

/// A name for each kind of fault; those of a file are brought about by [`load`] alone.
fn kind(problem: &Problem) -> &'static str {
    match problem {
        Problem::Unreadable { .. } => "unreadable",
        Problem::FileTooLarge { .. } => "file too large",
        Problem::NotUtf8 => "not utf-8",
        Problem::Syntax { .. } => "syntax",
        Problem::FieldUnknown { .. } => "field unknown",
        Problem::FieldMissing { .. } => "field missing",
        Problem::TypeWrong { .. } => "type wrong",
        Problem::WordUnknown { .. } => "word unknown",
        Problem::ListEmpty { .. } => "list empty",
        Problem::TooMany { .. } => "too many",
        Problem::Repeated { .. } => "repeated",
        Problem::VariableMissing { .. } => "variable missing",
        Problem::VariableMalformed => "variable malformed",
        Problem::ValueTooLong { .. } => "value too long",
        Problem::SecretEmpty => "secret empty",
        Problem::SecretMalformed => "secret malformed",
        Problem::NumberOutside { .. } => "number outside",
        Problem::DurationMalformed => "duration malformed",
        Problem::DurationOutside { .. } => "duration outside",
        Problem::BackoffReversed => "backoff reversed",
        Problem::QueueIdle => "queue idle",
        Problem::SizeMalformed => "size malformed",
        Problem::TargetBeyondHead { .. } => "target beyond head",
        Problem::DecimalMalformed => "decimal malformed",
        Problem::DecimalUnquoted => "decimal unquoted",
        Problem::DecimalTooFine => "decimal too fine",
        Problem::DecimalOutside { .. } => "decimal outside",
        Problem::CountFraction => "count fraction",
        Problem::AmountZero => "amount zero",
        Problem::LimitShape => "limit shape",
        Problem::RateMisplaced => "rate misplaced",
        Problem::Limit(fault) => kind_of_limit(*fault),
        Problem::LimitRepeated { .. } => "limit repeated",
        Problem::AddressMalformed => "address malformed",
        Problem::SocketPathMalformed => "socket path",
        Problem::AddressTaken { .. } => "address taken",
        Problem::UrlMalformed { .. } => "url malformed",
        Problem::UrlCleartext => "url cleartext",
        Problem::DigestMalformed => "digest malformed",
        Problem::NameMalformed { .. } => "name malformed",
        Problem::PathMalformed => "path malformed",
        Problem::PathReserved => "path reserved",
        Problem::Rule(RuleFault::HostMalformed) => "host malformed",
        Problem::Rule(RuleFault::NetworkMalformed) => "network malformed",
        Problem::Rule(RuleFault::NetworkBits) => "network bits",
        Problem::Rule(RuleFault::OriginMalformed) => "origin malformed",
        Problem::Rule(RuleFault::OriginAnyCredentials) => "origin any credentials",
        Problem::Rule(RuleFault::OriginAnyAmongOthers) => "origin any among others",
        Problem::Rule(RuleFault::PatternMalformed { .. }) => "pattern malformed",
        Problem::Rule(RuleFault::ReplacementMalformed) => "replacement malformed",
        Problem::Rule(RuleFault::GroupUnknown { .. }) => "group unknown",
        Problem::Rule(RuleFault::FieldReserved { .. }) => "field reserved",
        Problem::Rule(RuleFault::FieldValueMalformed) => "field value malformed",
        Problem::ReferenceUnknown { .. } => "reference unknown",
        Problem::FallbackCycle { .. } => "fallback cycle",
        Problem::OutsidePlan { .. } => "outside plan",
        Problem::PriceIdle { .. } => "price idle",
        Problem::FileUnnamed => "file unnamed",
        Problem::Idle { .. } => "idle",
        Problem::AdminCleartext => "admin cleartext",
        Problem::KeyShape => "key shape",
        Problem::NotYet(NotYet::StorePostgres) => "store postgres",
    }
}

const fn kind_of_limit(fault: LimitFault) -> &'static str {
    match fault {
        LimitFault::ZoneUnknown => "zone unknown",
        LimitFault::AnchorMalformed => "anchor malformed",
        LimitFault::CalendarIdle => "calendar idle",
        LimitFault::SpanMalformed => "span malformed",
        LimitFault::SpanOutside => "span outside",
        LimitFault::WeightIdle => "weight idle",
        LimitFault::WeightZero => "weight zero",
        LimitFault::WindowTwice => "window twice",
    }
}

/// How many names [`kind`] can give, without the three that [`load`] alone brings about.
const KINDS: usize = 66;

#[test]
fn every_kind_of_fault_has_a_case() {
    let texts = cases()
        .map(|(text, _)| text)
        .chain(long_cases().into_iter().map(|(text, _)| text));
    let seen: BTreeSet<_> = texts
        .flat_map(|text| faults(&text).faults)
        .inspect(|fault| assert!(!fault.remedy().is_empty(), "{}", line(fault)))
        .map(|fault| kind(&fault.problem))
        .collect();
    assert_eq!(seen.len(), KINDS, "{seen:#?}");
}

#[test]
fn a_file_with_eleven_faults_reports_eleven() {
    let text = "\
[server]
io = \"kqueue\"
workers = -1
colour = \"red\"
[providers.far]
dialect = \"cobol\"
base_url = \"http://api.example.com\"
[models.m]
targets = [{ provider = \"near\", model = \"x\", weight = 0 }]
[timeouts]
head = \"soon\"
[tenants.acme]
limits = [{ unit = \"tokens\", amount = 0, per = \"fortnight\" }]
plan = \"none\"
";
    let expected = [
        "2:6 server.io",
        "3:11 server.workers",
        "4:1 server.colour",
        "6:11 providers.far.dialect",
        "7:12 providers.far.base_url",
        "9:25 models.m.targets[0].provider",
        "9:55 models.m.targets[0].weight",
        "11:8 timeouts.head",
        "13:39 tenants.acme.limits[0].amount",
        "13:48 tenants.acme.limits[0].per",
        "14:8 tenants.acme.plan",
    ];
    check(text, &expected);
}

#[test]
fn what_refers_to_a_faulty_thing_is_not_a_second_fault() {
    let text = "[providers.p]\ndialect = \"x\"\nbase_url = \"http://[::1]\"\n\
                [models.m]\ntargets = [{ provider = \"p\", model = \"x\" }]\n";
    check(text, &["2:11 providers.p.dialect"]);
}

#[test]
fn more_faults_than_anyone_reads_are_counted() {
    let fields: String = (0..1500).map(|n| format!("f{n} = 1\n")).collect();
    let faults = faults(&fields);
    assert_eq!(
        (faults.faults.len(), faults.left_out, faults.count()),
        (1000, 500, 1500)
    );
    assert!(faults.render_text().ends_with("… and 500 more\n"));
}

#[test]
fn a_file_that_is_not_there_is_one_fault() {
    let faults = load(Path::new("/nowhere/tollring.toml"), &env).unwrap_err();
    assert_eq!(kind(&faults.faults[0].problem), "unreadable");
    let text = faults.render_text();
    assert!(
        text.contains("/nowhere/tollring.toml cannot be read: No such file"),
        "{text}"
    );
}

#[test]
fn an_endless_file_is_not_read_to_its_end() {
    let faults = load(Path::new("/dev/zero"), &env).unwrap_err();
    assert_eq!(kind(&faults.faults[0].problem), "file too large");
}

#[test]
fn a_file_that_is_not_text_is_one_fault() {
    let path = std::env::temp_dir().join(format!("tollring-{}-latin1.toml", std::process::id()));
    std::fs::write(&path, b"# caf\xe9\n").unwrap();
    let faults = load(&path, &env).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(kind(&faults.faults[0].problem), "not utf-8");
}

#[test]
fn an_empty_file_is_sound() {
    assert!(parse("tollring.toml", "", &env).is_ok());
}
