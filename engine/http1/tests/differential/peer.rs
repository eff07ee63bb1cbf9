//! A parser of another language, in a process of its own.
//!
//! Decides how it is asked: all streams go in at once while its lines come out, so that a
//! hundred thousand messages cost one process and not as many.

use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::reading::{Reading, Stream};

/// One that reads frames and prints lines.
pub(crate) struct Peer {
    /// What it is called.
    pub(crate) name: &'static str,
    /// Names the program that runs it, where it is not the first of its name in `PATH`.
    pub(crate) variable: &'static str,
    pub(crate) program: &'static str,
    /// Its script, beside this file.
    pub(crate) script: &'static str,
}

/// Everyone who is asked.
pub(crate) const PEERS: [Peer; 2] = [
    Peer {
        name: "llhttp",
        variable: "NODE",
        program: "node",
        script: "llhttp.mjs",
    },
    Peer {
        name: "h11",
        variable: "PYTHON",
        program: "python3",
        script: "h11_reader.py",
    },
];

impl Peer {
    /// What it makes of every stream, in order.
    ///
    /// # Errors
    /// When it cannot be run, or does not answer as it should.
    pub(crate) fn read(&self, streams: &[Stream]) -> io::Result<Vec<Reading>> {
        let program = std::env::var(self.variable).unwrap_or_else(|_| self.program.to_owned());
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/differential");
        let mut process = Command::new(program)
            .arg(here.join(self.script))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            unreachable!("both were asked for")
        };
        let lines = std::thread::scope(|scope| {
            let written = scope.spawn(|| {
                let mut stdin = BufWriter::new(stdin);
                for stream in streams {
                    stdin.write_all(stream.frame().as_bytes())?;
                    stdin.write_all(&stream.bytes)?;
                }
                stdin.flush()
            });
            let lines: io::Result<Vec<String>> = BufReader::new(stdout).lines().collect();
            written.join().expect("writing does not panic").and(lines)
        });
        let (lines, status) = (lines, process.wait()?);
        let readings: Option<Vec<_>> = lines?.iter().map(|line| Reading::of_line(line)).collect();
        match readings {
            Some(readings) if status.success() && readings.len() == streams.len() => Ok(readings),
            _ => Err(io::Error::other(format!(
                "{} ended with {status}",
                self.name
            ))),
        }
    }
}
