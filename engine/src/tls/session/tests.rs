//! Two sessions, or one and something hostile, with nothing but bytes between them.
//!
//! Here is every way to cut records into pieces, and what is in them once the handshake is
//! over; what a certificate must be is tested from outside.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod hostile;

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::{CryptoProvider, aws_lc_rs as library};
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, SupportedProtocolVersion};

use super::*;

const NAME: &str = "gateway.test";

const BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

/// The configurations of two ends that believe each other; made once, for keys take a while.
struct Ends {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Ends {
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([NAME.to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        // The smallest of hellos: every byte of them is a place to cut.
        let provider = Arc::new(CryptoProvider {
            kx_groups: vec![library::kx_group::X25519],
            cipher_suites: vec![
                library::cipher_suite::TLS13_AES_256_GCM_SHA384,
                library::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            ],
            ..library::default_provider()
        });
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let mut server = builder
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        server.ticketer = library::Ticketer::new().unwrap();
        let builder = ClientConfig::builder_with_provider(provider);
        let mut client = builder
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.enable_secret_extraction = true;
        Self {
            server: Arc::new(server),
            client: Arc::new(client),
        }
    }

    fn begin(&self) -> (End, End) {
        let name = ServerName::try_from(NAME).unwrap();
        (
            End::new(Session::connect(&self.client, name).unwrap()),
            End::new(Session::accept(&self.server).unwrap()),
        )
    }

    /// Two ends whose handshake is over.
    fn shaken(&self) -> (End, End) {
        let (mut client, mut server) = self.begin();
        shake_hands(
            &mut client,
            &mut server,
            &mut Path::whole(),
            &mut Path::whole(),
        );
        (client, server)
    }
}

/// A session, what has come for it, and what it made of that.
struct End {
    session: Session,
    arrived: Vec<u8>,
    content: Vec<u8>,
    last: Result<Opened, Error>,
}

impl End {
    fn new(session: Session) -> Self {
        Self {
            session,
            arrived: Vec::new(),
            content: Vec::new(),
            last: Ok(Opened::NeedMore),
        }
    }

    /// Opens all that can be opened, through a window of `room` bytes, and checks the bounds.
    fn receive(&mut self, bytes: &[u8], room: usize) {
        self.arrived.extend_from_slice(bytes);
        loop {
            let mut content = Vec::with_capacity(room);
            let (used, opened) = self.session.open(&mut self.arrived, &mut content);
            self.arrived.drain(..used);
            assert!(self.session.opened.len() <= RECORD_CONTENT_MAX);
            assert!(self.session.begun <= self.arrived.len());
            let goes_on = opened == Ok(Opened::Content);
            self.content.append(&mut content);
            self.last = opened;
            if !goes_on {
                return;
            }
        }
    }

    fn version(&self) -> Option<ProtocolVersion> {
        match &self.session.side {
            Side::Client(side) => side.protocol_version(),
            Side::Server(side) => side.protocol_version(),
        }
    }

    fn leaving(&mut self) -> Vec<u8> {
        std::mem::take(self.session.leaving())
    }

    fn seal(&mut self, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.session.seal(content, &mut out).unwrap();
        out
    }

    fn refresh_keys(&mut self) {
        let nothing = &mut [];
        match &mut self.session.side {
            Side::Client(side) => match side.process_tls_records(nothing).state.unwrap() {
                ConnectionState::WriteTraffic(traffic) => traffic.refresh_traffic_keys().unwrap(),
                other => panic!("{other:?}"),
            },
            Side::Server(side) => match side.process_tls_records(nothing).state.unwrap() {
                ConnectionState::WriteTraffic(traffic) => traffic.refresh_traffic_keys().unwrap(),
                other => panic!("{other:?}"),
            },
        }
    }
}

/// One direction, cut once at a byte, or not at all.
struct Path {
    cut: usize,
    passed: usize,
}

impl Path {
    fn whole() -> Self {
        Self::cut_at(usize::MAX)
    }

    fn cut_at(cut: usize) -> Self {
        Self { cut, passed: 0 }
    }

    fn carry(&mut self, bytes: &[u8], to: &mut End) {
        let first = self.cut.saturating_sub(self.passed).min(bytes.len());
        let (before, after) = bytes.split_at(first);
        self.passed += bytes.len();
        for piece in [before, after] {
            if !piece.is_empty() {
                to.receive(piece, 64);
            }
        }
    }
}

fn shake_hands(client: &mut End, server: &mut End, up: &mut Path, down: &mut Path) {
    client.receive(b"", 0);
    for _ in 0..4 {
        up.carry(&client.leaving(), server);
        down.carry(&server.leaving(), client);
    }
    assert!(!client.session.is_shaking() && !server.session.is_shaking());
}

/// A handshake, words both ways, new keys, more words, and the end; returns what passed.
fn converse(ends: &Ends, up: usize, down: usize) -> (usize, usize) {
    let (mut client, mut server) = ends.begin();
    let (mut up, mut down) = (Path::cut_at(up), Path::cut_at(down));
    shake_hands(&mut client, &mut server, &mut up, &mut down);
    up.carry(&client.seal(b"a question"), &mut server);
    down.carry(&server.seal(b"an answer"), &mut client);
    if client.version() == Some(ProtocolVersion::TLSv1_3) {
        client.refresh_keys();
    }
    let mut last = client.seal(b", and one more");
    client.session.seal_close(&mut last).unwrap();
    up.carry(&last, &mut server);
    let mut last = server.seal(b" to each");
    server.session.seal_close(&mut last).unwrap();
    down.carry(&last, &mut client);
    assert_eq!(server.content, b"a question, and one more");
    assert_eq!(client.content, b"an answer to each");
    assert_eq!(server.last, Ok(Opened::Closed));
    assert_eq!(client.last, Ok(Opened::Closed));
    assert!(client.arrived.is_empty() && server.arrived.is_empty());
    (up.passed, down.passed)
}

#[test]
fn records_may_be_cut_at_every_byte_in_both_directions() {
    for version in BOTH {
        let ends = Ends::new(version);
        let (up, down) = converse(&ends, usize::MAX, usize::MAX);
        assert!(up > 300 && down > 600, "{up} {down}");
        // Signatures differ in length by a byte or two.
        for cut in 1..up.max(down) + 4 {
            converse(&ends, cut, cut);
        }
    }
}

#[test]
fn a_record_of_the_greatest_length_is_opened_through_any_window() {
    let content: Vec<u8> = (0..251).cycle().take(RECORD_CONTENT_MAX).collect();
    for version in BOTH {
        let (mut client, mut server) = Ends::new(version).shaken();
        for room in [1, 1000, RECORD_CONTENT_MAX, RECORD_CONTENT_MAX + 1] {
            let sealed = client.seal(&content);
            assert!(sealed.len() <= content.len() + RECORD_OVERHEAD);
            server.content.clear();
            server.receive(&sealed, room);
            assert!(server.content == content, "through {room}");
        }
    }
}

#[test]
fn content_before_a_fault_is_told_first_and_the_fault_says_why() {
    for version in BOTH {
        let (mut client, mut server) = Ends::new(version).shaken();
        let mut sealed = client.seal(b"well");
        let whole = sealed.len();
        sealed.extend(client.seal(b"spoilt"));
        *sealed.last_mut().unwrap() ^= 1;
        server.receive(&sealed, 64);
        assert_eq!(server.content, b"well");
        assert_eq!(server.last, Err(Error::DecryptError));
        assert!(whole < sealed.len());
        let alert = server.leaving();
        client.receive(&alert, 64);
        let told = Err(Error::AlertReceived(rustls::AlertDescription::BadRecordMac));
        assert_eq!(client.last, told);
        // Whoever has ended a connection says nothing more on it.
        assert!(server.session.seal(b"more", &mut Vec::new()).is_err());
        assert!(client.session.seal(b"more", &mut Vec::new()).is_err());
        server.receive(&client_bytes_after_the_end(), 64);
        assert_eq!(server.last, Err(Error::DecryptError));
    }
}

#[test]
fn an_alert_comes_with_what_it_is_sealed_after() {
    // A protocol that we do not speak is found after the server's hello was said.
    let mut ends = Ends::new(&rustls::version::TLS13);
    let server = Arc::get_mut(&mut ends.server).unwrap();
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    let client = Arc::get_mut(&mut ends.client).unwrap();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let (mut client, mut server) = ends.begin();
    client.receive(b"", 0);
    server.receive(&client.leaving(), 64);
    assert_eq!(server.last, Err(Error::NoApplicationProtocol));
    client.receive(&server.leaving(), 64);
    let alert = rustls::AlertDescription::NoApplicationProtocol;
    assert_eq!(client.last, Err(Error::AlertReceived(alert)));
}

fn client_bytes_after_the_end() -> Vec<u8> {
    vec![0x17, 3, 3, 0, 4, 1, 2, 3, 4]
}

#[test]
fn a_record_that_says_it_is_too_long_is_refused_before_it_has_come() {
    for version in BOTH {
        let (_, mut server) = Ends::new(version).shaken();
        server.receive(&[0x17, 3, 3, 0xff, 0xff], 64);
        assert!(server.last.is_err(), "{:?}", server.last);
        assert!(!server.leaving().is_empty());
    }
}
