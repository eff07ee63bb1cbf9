//! Faulty texts about what services do with heads, and about who may come.

use super::cases::Case;

/// Services; each text follows the two lines of one without its path.
pub(super) const RULES: &[Case] = &[
    (
        "path = '/'\nhosts = ['a.test', 'a.test:80']",
        "4:20 services.s.hosts[1]: 'a.test:80' is not a host; write a name, as in",
    ),
    (
        "path = '/'\nhosts = []",
        "4:9 services.s.hosts: is empty; write `hosts = [",
    ),
    (
        "path = '/'\nhosts = ['a.test']\n[services.t]\npath = '/'\n\
         upstreams = ['http://[::1]']\nhosts = ['b.test', 'A.test']",
        "8:20 services.t.hosts[1]: 'A.test' stands at services.s.hosts[0] already; remove one",
    ),
    (
        "path = '/'\nhost = 'u@h'",
        "4:8 services.s.host: 'u@h' is not a host; write a name",
    ),
    (
        "path = '/'\nrewrite = { from = '(', to = '/' }",
        "4:20 services.s.rewrite.from: '(' is not a pattern: unclosed group; write it in",
    ),
    (
        "path = '/'\nrewrite = { from = '^/a', to = '/?a' }",
        "4:32 services.s.rewrite.to: '/?a' is not what a path can become; write a path",
    ),
    (
        "path = '/'\nrewrite = { from = '^/(a)', to = '/$2' }",
        "4:34 services.s.rewrite.to: '/$2' names a group \"2\" of no pattern; write a group",
    ),
    (
        "path = '/'\nrewrite = { from = '^/a' }",
        "4:11 services.s.rewrite.to: is missing; add `to = ",
    ),
    (
        "path = '/'\nrequest_headers.set.Host = 'h'",
        "4:21 services.s.request_headers.set.Host: is not a field to be edited; use `host = ",
    ),
    (
        "path = '/'\nresponse_headers.remove = ['content_length']",
        "4:28 services.s.response_headers.remove[0]: is not a field to be edited; remove it",
    ),
    (
        "path = '/'\nrequest_headers.add.X-Forwarded-For = '1'",
        "4:21 services.s.request_headers.add.X-Forwarded-For: is not a field to be edited; use [",
    ),
    (
        "path = '/'\nrequest_headers.set.'X Y' = '1'",
        "4:21 services.s.request_headers.set.\"X Y\": 'X Y' is not a name; write letters, digits",
    ),
    (
        "path = '/'\nrequest_headers.set = { X-A = '1', x-a = '2' }",
        "4:36 services.s.request_headers.set.x-a: x-a stands at services.s.request_headers.set",
    ),
    (
        "path = '/'\nrequest_headers.set.X-A = '${LINE}'",
        "4:27 services.s.request_headers.set.X-A: is not the value of a field; write one line",
    ),
    (
        "path = '/'\nrequest_headers.set.X-A = \"a\\r\\nX-B: c\"",
        "4:27 services.s.request_headers.set.X-A: is not the value of a field; write one line",
    ),
    (
        "path = '/'\ncors = {}",
        "4:8 services.s.cors.origins: is missing; add `origins = [",
    ),
    (
        "path = '/'\ncors = { origins = ['https://a/'] }",
        "4:21 services.s.cors.origins[0]: 'https://a/' is not an origin; write scheme, host",
    ),
    (
        "path = '/'\ncors = { origins = ['*'], credentials = true }",
        "4:20 services.s.cors.origins: lets every page send credentials; name the origins",
    ),
    (
        "path = '/'\ncors = { origins = ['*', 'https://a'] }",
        "4:20 services.s.cors.origins: names every origin and some of them; keep \"*\" alone",
    ),
    (
        "path = '/'\ncors = { origins = ['*'], max_age = '25h' }",
        "4:37 services.s.cors.max_age: '25h' is not from 1ms to 24h; choose one",
    ),
    (
        "path = '/'\ncors = { origins = ['*'], methods = ['GET POST'] }",
        "4:38 services.s.cors.methods[0]: 'GET POST' is not a name; write a method",
    ),
    (
        "path = '/'\nallow = []",
        "4:9 services.s.allow: is empty; write `allow = [",
    ),
    (
        "path = '/'\ndeny = ['10.0.0.1/8']",
        "4:9 services.s.deny[0]: '10.0.0.1/8' has bits set beyond its prefix; clear them",
    ),
];

/// Who may come.
pub(super) const EDGES: &[Case] = &[
    (
        "[server]\nallow = ['10.0.0.0/33']",
        "2:10 server.allow[0]: '10.0.0.0/33' is not a network; write an address and a prefix",
    ),
    (
        "[server.forwarded]\nmode = 'add'",
        "2:8 server.forwarded.mode: 'add' is none of the choices; choose from append, replace",
    ),
    (
        "[server.forwarded]\ntrusted = ['lb']",
        "2:12 server.forwarded.trusted[0]: 'lb' is not a network; write an address",
    ),
];
