//! Who there is, what they may, what they were given, and who said so.

#![allow(clippy::unwrap_used)] // a failed step fails the test

mod support;

use support::Folder;
use tollring_config::NanoUsd;
use tollring_store::{
    ApiKey, AuditEntry, FaultKind, Grant, GrantKind, Holder, Limit, NameKind, Plan, Source, Store,
    StoreFault, Team, Tenant,
};

/// A tenant on a plan, with a team and a key; their numbers.
fn declare(store: &mut Store, source: Source) -> Result<[u32; 3], StoreFault> {
    store.change(|change| {
        let name: Box<str> = "free".into();
        change.put_plan(&Plan {
            name: name.clone(),
            source,
        })?;
        let tenant = change.number(NameKind::Tenant, "acme")?;
        let team = change.number(NameKind::Team, "acme/web")?;
        let key = change.number(NameKind::Key, "acme/build-bot")?;
        let plan = Some(name);
        change.put_tenant(&Tenant {
            number: tenant,
            plan,
            suspended: false,
            source,
        })?;
        change.put_team(&Team {
            number: team,
            tenant,
            source,
        })?;
        change.put_key(&ApiKey {
            number: key,
            digest: [7; 32],
            tenant,
            team: Some(team),
            disabled: false,
            expires_s: Some(1_800_000_000),
            source,
        })?;
        Ok([tenant, team, key])
    })
}

fn limit(amount: i64) -> Limit {
    Limit {
        unit: "usd".into(),
        amount,
        per: "day".into(),
        options: "{}".into(),
    }
}

#[test]
fn what_is_declared_is_read_back() {
    let folder = Folder::new();
    let mut store = folder.store();
    let [tenant, team, key] = declare(&mut store, Source::Store).unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.plans().unwrap()[0].name, "free".into());
    let tenants = reader.tenants(0, 10).unwrap();
    assert_eq!(
        (tenants[0].number, tenants[0].plan.as_deref()),
        (tenant, Some("free"))
    );
    assert_eq!(reader.tenants(tenant, 10).unwrap(), []);
    assert_eq!(reader.teams(tenant).unwrap()[0].number, team);
    let found = reader.key_by_digest(&[7; 32]).unwrap().unwrap();
    assert_eq!(
        (found.number, found.team, found.expires_s),
        (key, Some(team), Some(1_800_000_000))
    );
    assert_eq!(reader.keys(tenant, 0, 10).unwrap(), [found]);
    assert_eq!(reader.key_by_digest(&[8; 32]).unwrap(), None);
    let names = reader.names(&[key, 0, tenant]).unwrap();
    assert_eq!(
        names,
        [Some("acme/build-bot".into()), None, Some("acme".into())]
    );
    assert_eq!(
        reader.number(NameKind::Key, "acme/build-bot").unwrap(),
        Some(key)
    );
    assert_eq!(reader.number(NameKind::Key, "acme").unwrap(), None);
}

#[test]
fn a_holder_has_the_limits_that_were_put_last() {
    let folder = Folder::new();
    let mut store = folder.store();
    let [tenant, _, key] = declare(&mut store, Source::Store).unwrap();
    let holders = [
        Holder::Plan("free"),
        Holder::Tenant(tenant),
        Holder::Key(key),
    ];
    for (amount, holder) in (1..).zip(holders) {
        let limits = [limit(amount), limit(amount + 10)];
        store
            .change(|change| {
                change.put_limits(holder, Source::Store, &[limit(99), limit(98)])?;
                change.put_limits(holder, Source::Store, &limits)
            })
            .unwrap();
        assert_eq!(store.reader().unwrap().limits(holder).unwrap(), limits);
    }
    let absent = store.change(|change| change.put_limits(Holder::Key(999), Source::Store, &[]));
    assert_eq!(absent.unwrap_err().kind, FaultKind::Conflict);
}

#[test]
fn what_the_file_declares_is_not_changed_here() {
    let folder = Folder::new();
    let mut store = folder.store();
    let [tenant, _, key] = declare(&mut store, Source::File).unwrap();
    assert_eq!(
        declare(&mut store, Source::Store).unwrap_err().kind,
        FaultKind::Declared
    );
    let limits =
        store.change(|change| change.put_limits(Holder::Key(key), Source::Store, &[limit(1)]));
    assert_eq!(limits.unwrap_err().kind, FaultKind::Declared);
    let removed = store.change(|change| change.remove(Holder::Key(key), Source::Store));
    assert_eq!(removed.unwrap_err().kind, FaultKind::Declared);
    // The file itself may.
    assert_eq!(declare(&mut store, Source::File).unwrap()[0], tenant);
    store
        .change(|change| change.remove(Holder::Key(key), Source::File))
        .unwrap();
    assert_eq!(store.reader().unwrap().keys(tenant, 0, 10).unwrap(), []);
}

#[test]
fn what_others_refer_to_is_not_removed_and_no_digest_is_anothers() {
    let folder = Folder::new();
    let mut store = folder.store();
    let [tenant, _, key] = declare(&mut store, Source::Store).unwrap();
    let removed = store.change(|change| change.remove(Holder::Tenant(tenant), Source::Store));
    assert_eq!(removed.unwrap_err().kind, FaultKind::Conflict);
    let other = store.change(|change| {
        let number = change.number(NameKind::Key, "acme/other")?;
        change.put_key(&ApiKey {
            number,
            digest: [7; 32],
            tenant,
            team: None,
            disabled: false,
            expires_s: None,
            source: Source::Store,
        })
    });
    assert_eq!(other.unwrap_err().kind, FaultKind::Conflict);
    // A change that failed has left nothing, not even the name.
    let reader = store.reader().unwrap();
    assert_eq!(reader.number(NameKind::Key, "acme/other").unwrap(), None);
    assert_eq!(reader.keys(tenant, 0, 10).unwrap()[0].number, key);
}

fn grant(tenant: u32, amount: i64, wish: &str) -> Grant {
    Grant {
        id: 0,
        tenant,
        amount: NanoUsd(amount),
        kind: GrantKind::TopUp,
        expires_s: None,
        reason: "invoice 7".into(),
        idempotency_key: wish.into(),
        at_s: 1_795_000_000,
        by: "ann".into(),
        source: Source::Store,
    }
}

#[test]
fn a_grant_that_is_wished_for_twice_is_given_once() {
    let folder = Folder::new();
    let mut store = folder.store();
    let [tenant, ..] = declare(&mut store, Source::Store).unwrap();
    let mut give = |amount, wish| store.change(|change| change.grant(&grant(tenant, amount, wish)));
    let first = give(500, "pay-1").unwrap();
    assert_eq!(give(500, "pay-1").unwrap(), first);
    assert_ne!(give(500, "pay-2").unwrap(), first);
    assert_eq!(give(501, "pay-1").unwrap_err().kind, FaultKind::Conflict);
    assert_eq!(give(0, "pay-3").unwrap_err().kind, FaultKind::Conflict);
    let grants = store.reader().unwrap().grants(tenant).unwrap();
    assert_eq!(
        grants
            .iter()
            .map(|grant| grant.amount.0)
            .collect::<Vec<_>>(),
        [500, 500]
    );
    assert_eq!(
        grants[0],
        Grant {
            id: first,
            ..grant(tenant, 500, "pay-1")
        }
    );
}

#[test]
fn money_and_audit_are_added_to_and_never_edited() {
    let folder = Folder::new();
    let mut store = folder.store();
    let [tenant, ..] = declare(&mut store, Source::Store).unwrap();
    let entry = AuditEntry {
        at_ms: 5,
        who: "ann".into(),
        what: "grant".into(),
        target: "tenants/acme".into(),
        after: Some("{\"amount\":\"5\"}".into()),
        ..AuditEntry::default()
    };
    let id = store
        .change(|change| {
            change.grant(&grant(tenant, 5, "once"))?;
            change.record(&entry)
        })
        .unwrap();
    drop(store);
    let shell = rusqlite::Connection::open(folder.file()).unwrap();
    for table in ["grants", "audit"] {
        for sql in [
            format!("DELETE FROM {table}"),
            format!("UPDATE {table} SET id = 9"),
        ] {
            let fault = shell.execute_batch(&sql).unwrap_err();
            assert!(fault.to_string().contains("append-only"), "{sql}: {fault}");
        }
    }
    let reader = folder.store().reader().unwrap();
    assert_eq!(
        reader.audit(None, 10).unwrap(),
        [AuditEntry { id, ..entry }]
    );
    assert_eq!(reader.audit(Some(id), 10).unwrap(), []);
}

#[test]
fn a_price_has_a_new_version_only_when_it_differs_from_the_last() {
    let folder = Folder::new();
    let mut store = folder.store();
    let offers = store.numbers(NameKind::Model, &["fast", "large"]).unwrap();
    let mut versions = |price, now_s| {
        let prices = [(offers[0], price), (offers[1], "{}")];
        store.price_versions(&prices, now_s).unwrap()
    };
    let first = versions("{\"input\":1}", 10);
    assert_eq!(versions("{\"input\":1}", 20), first);
    let second = versions("{\"input\":2}", 30);
    assert_ne!(second[0], first[0]);
    assert_eq!(second[1], first[1]);
    let back = versions("{\"input\":1}", 40);
    assert!(!first.contains(&back[0]) && !second.contains(&back[0]));
    let reader = store.reader().unwrap();
    let history = reader.prices(offers[0]).unwrap();
    let told: Vec<_> = history
        .iter()
        .map(|v| (v.version, v.since_s, v.number))
        .collect();
    assert_eq!(
        told,
        [(1, 10, first[0]), (2, 30, second[0]), (3, 40, back[0])]
    );
    assert_eq!(
        reader.price_version(second[0]).unwrap().unwrap().price,
        "{\"input\":2}".into()
    );
    assert_eq!(
        store.price_versions(&[(9_999, "{}")], 1).unwrap_err().kind,
        FaultKind::Conflict
    );
}
