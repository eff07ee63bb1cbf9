//! A connection as a test's client or provider has it: plain, or through TLS.
//!
//! The socket beneath stays in reach, for what only a socket can: to reset, to ask who it is.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::ops::Deref;

use rustls::{ClientConnection, Connection, ServerConnection};

/// A connection.
pub struct Wire {
    socket: TcpStream,
    tls: Option<Connection>,
}

impl Wire {
    /// In the clear.
    pub fn plain(socket: TcpStream) -> Self {
        Self { socket, tls: None }
    }

    /// Through TLS, as the one who connects. The handshake is over when this returns.
    pub fn connect(socket: TcpStream, tls: ClientConnection) -> io::Result<Self> {
        Self::shake(socket, tls.into())
    }

    /// Through TLS, as the one who was connected to.
    pub fn accept(socket: TcpStream, tls: ServerConnection) -> io::Result<Self> {
        Self::shake(socket, tls.into())
    }

    fn shake(mut socket: TcpStream, mut tls: Connection) -> io::Result<Self> {
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        Ok(Self {
            socket,
            tls: Some(tls),
        })
    }

    /// What is known of the TLS.
    pub fn tls(&self) -> Option<&Connection> {
        self.tls.as_ref()
    }

    /// Says that nothing more will come, and leaves the socket as it is.
    pub fn say_goodbye(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            send_all(tls, &mut self.socket)?;
        }
        Ok(())
    }
}

impl Deref for Wire {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.socket
    }
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.socket.read(bytes);
        };
        loop {
            match tls.reader().read(bytes) {
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
            tls.read_tls(&mut self.socket)?;
            let processed = tls.process_new_packets();
            send_all(tls, &mut self.socket)?;
            processed.map_err(io::Error::other)?;
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.socket.write(bytes);
        };
        let count = tls.writer().write(bytes)?;
        send_all(tls, &mut self.socket)?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

fn send_all(tls: &mut Connection, socket: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(socket)?;
    }
    Ok(())
}
