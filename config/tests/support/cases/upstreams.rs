//! Faults in providers, services and the proxies before them.

use super::Case;

/// Providers; each text follows `PROVIDER`.
pub(super) const PROVIDERS: &[Case] = &[
    (
        "base_url = 'http://a'",
        "3:12 providers.p.base_url: 'http://a' leaves this machine in the clear",
    ),
    (
        "base_url = 'unix:app.sock'",
        "3:12 providers.p.base_url: 'unix:app.sock' is not the path of a socket; write",
    ),
    (
        "base_url = 'http://127.0.0.1'\ntls = { ca = 'c' }",
        "4:7 providers.p.tls: has no effect without an https:// URL; add an https",
    ),
    (
        "base_url = 'a:80'",
        "3:12 providers.p.base_url: 'a:80' does not begin with http://, https:// or unix:",
    ),
    (
        "base_url = 'http://h?q'",
        "3:12 providers.p.base_url: 'http://h?q' has a query; remove it",
    ),
    (
        "base_url = 'http://u:p@h'",
        "3:12 providers.p.base_url: the value holds a user name or password",
    ),
    ("", "1:1 providers.p.base_url: is missing; add `base_url = "),
];

/// Proxies; each text follows `PROVIDER`.
pub(super) const PROXIES: &[Case] = &[
    (
        "base_url = 'https://h'\nproxy = 'https://u:p@h:1'",
        "4:9 providers.p.proxy: the value does not begin with http://; write it as in",
    ),
    (
        "base_url = 'https://h'\nproxy = 'http://h'",
        "4:9 providers.p.proxy: the value has no valid port; write a number from 1",
    ),
    (
        "base_url = 'https://h'\nproxy = 'http://h:1/x'",
        "4:9 providers.p.proxy: the value has a path; remove it; a proxy is a host and a port",
    ),
    (
        "base_url = 'https://h'\nproxy = 'http://u:p@x@h:1'",
        "4:9 providers.p.proxy: the value holds a character that a URL cannot; write it as %",
    ),
    (
        "base_url = 'https://h'\nproxy = 'http://a%3ab:p@h:1'",
        "4:9 providers.p.proxy: the value names a user with a colon; choose another user",
    ),
    (
        "base_url = 'https://h'\nproxy = 'http://:${EMPTY}@h:1'",
        "4:9 providers.p.proxy: is empty; set it, or remove the field",
    ),
    (
        "base_url = 'https://h'\nproxy = 'http://u:${LONG}@h:1'",
        "4:9 providers.p.proxy: is longer than 16384 bytes; shorten it",
    ),
    (
        "base_url = 'http://127.0.0.1'\nproxy = 'http://10.0.0.1:1'",
        "3:12 providers.p.base_url: 'http://127.0.0.1' leaves this machine in the clear; name",
    ),
    (
        "base_url = 'unix:/run/a.sock'\nproxy = 'http://h:1'",
        "4:9 providers.p.proxy: has no effect without an http:// or https:// URL; add an",
    ),
];

/// Services; each text follows `SERVICE`.
pub(super) const SERVICES: &[Case] = &[
    (
        "path = '/v1'",
        "3:8 services.s.path: '/v1' belongs to the gateway; choose a path outside",
    ),
    (
        "path = '/v1/x/'",
        "3:8 services.s.path: '/v1/x/' belongs to the gateway",
    ),
    (
        "path = 'x'",
        "3:8 services.s.path: 'x' is not a path prefix; write \"/\" or segments",
    ),
    (
        "path = '/a/../b'",
        "3:8 services.s.path: '/a/../b' is not a path prefix",
    ),
    (
        "path = '/'\nprice = { megabyte = '1' }",
        "4:22 services.s.price.megabyte: is never charged",
    ),
    (
        "path = '/'\nmeter = 'none'\nprice = { request = '1' }",
        "5:21 services.s.price.request: is",
    ),
    (
        "path = '/'\nauth = 'none'\nprice = { request = '1' }",
        "5:21 services.s.price.request: is",
    ),
    (
        "path = '/'\n[services.t]\npath = '/'\nupstreams = ['http://[::1]']",
        "5:8 services.t.path: '/' stands at services.s.path already",
    ),
];
