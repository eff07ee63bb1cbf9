//! Where the door may stand, how many it lets in, and how it closes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tollring_admin::{Door, Gateway, open};
use tollring_config::Secret;

use crate::support::{DEADLINE, Script, door, send};

#[test]
fn a_connection_carries_one_request_after_another() {
    let (door, _) = door(Script::default());
    let pair = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n\
                GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(door.address()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(pair.as_bytes()).unwrap();
    let mut received = String::new();
    stream.read_to_string(&mut received).unwrap();
    assert!(
        received.contains("alive") && received.contains("ready"),
        "{received}"
    );
}

#[test]
fn a_head_without_an_end_is_cut_off_at_its_bound() {
    let (door, _) = door(Script::default());
    let endless = format!("GET /livez HTTP/1.1\r\nx: {}", "a".repeat(64 * 1024));
    assert_eq!(send(&door, endless.as_bytes()).status, 431);
}

#[test]
fn a_connection_too_many_waits_until_another_has_ended() {
    let (door, _) = door(Script::default());
    let request = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let ask = || {
        let mut stream = TcpStream::connect(door.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(request).unwrap();
        stream
    };
    // Each has its answer and stays, so every place is taken.
    let mut inside: Vec<TcpStream> = (0..64).map(|_| ask()).collect();
    for stream in &mut inside {
        stream.read_exact(&mut [0]).unwrap();
    }
    let mut late = ask();
    // A door with a place more would answer at once; this one never would.
    late.set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let waits = late.read(&mut [0]).unwrap_err();
    assert_eq!(waits.kind(), io::ErrorKind::WouldBlock);
    late.set_read_timeout(Some(DEADLINE)).unwrap();
    drop(inside);
    late.read_exact(&mut [0]).unwrap();
}

#[test]
fn a_port_that_is_taken_is_said_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let fault = refused(taken.local_addr().unwrap(), "adm_x");
    assert_eq!(fault.kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn the_door_stands_only_where_no_network_reaches_it() {
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let fault = refused(listen.parse().unwrap(), "adm_x");
        assert_eq!(fault.kind(), io::ErrorKind::InvalidInput, "{listen}");
        assert!(
            fault.to_string().contains("127.0.0.1"),
            "no remedy in: {fault}"
        );
    }
}

#[test]
fn the_door_does_not_open_for_an_empty_token() {
    for token in ["", "two words", "line\n"] {
        let fault = refused(SocketAddr::from(([127, 0, 0, 1], 0)), token);
        assert_eq!(fault.kind(), io::ErrorKind::InvalidInput, "{token:?}");
    }
}

#[test]
fn a_closed_door_frees_its_port_and_ends_idle_connections() {
    let (door, _) = door(Script::default());
    let address = door.address();
    let mut idle = TcpStream::connect(address).unwrap();
    idle.set_read_timeout(Some(DEADLINE)).unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    let mut byte = [0];
    idle.read_exact(&mut byte).unwrap();
    door.close();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).unwrap();
    assert!(
        TcpStream::connect(address).is_err(),
        "the port still answers"
    );
}

#[track_caller]
fn refused(listen: SocketAddr, token: &str) -> io::Error {
    let door = Door {
        tls: None,
        listen,
        token: Secret::new(token),
    };
    open(door, Arc::new(Script::default()) as Arc<dyn Gateway>).unwrap_err()
}
