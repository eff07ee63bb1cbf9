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
        "[tenants.a]\nlimits = [{ unit = 'usd', amount = '1', per = 'day',\ninput_weight = '1' }]",
        "3:16 tenants.a.limits[0].input_weight: weighs what the limit does not count; remove",
    ),
    (
        "[tenants.a]\nlimits = [{ unit = 'tokens', amount = 1, per = 'day',\n\
         input_weight = '0', output_weight = '0' }]",
        "2:11 tenants.a.limits[0]: lets no token count; let input",
    ),
    (
        "[tenants.a]\nlimits = [{ unit = 'tokens', amount = 1, per = 'day',\n\
         output_weight = '1001' }]",
        "3:17 tenants.a.limits[0].output_weight: '1001' is not from 0 to 1000",
    ),
    (
        "[tenants.a]\nlimits = [{ concurrent = 1, models = [] }]",
        "2:38 tenants.a.limits[0].models: is empty; write `models = [",
    ),
    (
        "[tenants.a]\nlimits = [{ concurrent = 1, models = ['m'] }]",
        "2:39 tenants.a.limits[0].models[0]: there is no model 'm'; add [models",
    ),
    (
        "[plans.p]\nlimits = [{ concurrent = 1, services = ['s'] }]",
        "2:41 plans.p.limits[0].services[0]: there is no service 's'; add [services",
    ),
    (
        "[tenants.a.teams.x]\nlimits = [{ concurrent = 1 }, { concurrent = 2 }]",
        "2:31 tenants.a.teams.x.limits[1]: limits the same unit and window as tenants.a.teams.x",
    ),
    (
        "[tenants.a]\nlimits = [{ concurrent = 1, anchor = '2026-01-01' }]",
        "2:11 tenants.a.limits[0]: is not a limit",
    ),
];
