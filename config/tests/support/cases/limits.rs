//! Faulty texts of limits, and of the calendars they follow.

use super::Case;

pub(super) const LIMITS: &[Case] = &[
    (
        "[quota]\ntz = 'Berlin'",
        "2:6 quota.tz: 'Berlin' is not a time zone; write a name of the IANA database",
    ),
    (
        "[tenants.a]\ntz = ''",
        "2:6 tenants.a.tz: '' is not a time zone",
    ),
    (
        "[plans.p]\nanchor = '31'",
        "2:10 plans.p.anchor: '31' is not a day; write a day and perhaps a time",
    ),
    (
        "[plans.p]\nanchor = 2026-01-31",
        "2:10 plans.p.anchor: is a date or time, not a text in quotes",
    ),
    (
        "[tenants.a]\nlimits = [{ unit = 'tokens', amount = 1, per = 'hour', tz = 'UTC' }]",
        "2:61 tenants.a.limits[0].tz: says nothing for this window; remove it",
    ),
    (
        "[tenants.a]\nlimits = [{ unit = 'tokens', amount = 1, rolling = '5' }]",
        "2:52 tenants.a.limits[0].rolling: '5' is not a span; write",
    ),
    (
        "[tenants.a]\nlimits = [{ unit = 'tokens', amount = 1, rolling = '5s' }]",
        "2:52 tenants.a.limits[0].rolling: '5s' is not from 10s to 366d; choose",
    ),
    (
        "[tenants.a]\nlimits = [{ unit = 'tokens', amount = 1, rolling = '5h', per = 'day' }]",
        "2:52 tenants.a.limits[0].rolling: stands beside per; keep one",
    ),
    (
        "[tenants.a]\nlimits = [{ unit = 'tokens', amount = 1, rolling = '5h',\nrate = true }]",
        "3:8 tenants.a.limits[0].rate: says nothing for this window",
    ),
    (
        "[tenants.a]\nlimits = [{ concurrent = 1, anchor = '2026-01-01' }]",
        "2:11 tenants.a.limits[0]: is not a limit",
    ),
];
