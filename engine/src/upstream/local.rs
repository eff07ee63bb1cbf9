//! Connects to sockets of this machine as one who may wait: for checks, and for the doctor.
//!
//! A worker may not, and asks the kernel for an answer at once ([`crate::net::stream`]).

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

/// Connects to a socket within `limit`, which must not be zero. Where as many wait there as may,
/// the kernel would have us wait for ever.
///
/// # Errors
/// What the system says; `WouldBlock` when it took too long.
pub fn connect(path: &str, limit: Duration) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // For connecting as well (unix(7) sleeps as long as a send may, in unix_stream_connect).
    socket.set_write_timeout(Some(limit))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(socket.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use super::*;

    #[test]
    fn a_socket_where_too_many_wait_is_given_up_in_time() {
        let path = std::env::temp_dir().join(format!("tollring-local-{}", std::process::id()));
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        let _ = std::fs::remove_file(&path);
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let text = path.to_str().unwrap();
        let limit = Duration::from_millis(10);
        let mut taken = Vec::new();
        let fault = loop {
            match connect(text, limit) {
                Ok(stream) => taken.push(stream),
                Err(fault) => break fault,
            }
        };
        std::fs::remove_file(&path).unwrap();
        assert_eq!(fault.kind(), io::ErrorKind::WouldBlock);
        assert!(!taken.is_empty(), "the first is let in");
    }
}
