//! Paths of unix sockets: absolute, and short enough for the kernel.
//!
//! Whether anything is there is not looked at: the file may be checked elsewhere.

use std::path::PathBuf;

use crate::fault::Problem;
use crate::limits::SOCKET_PATH_BYTES_MAX;

/// `"/run/tollring/takeover.sock"`.
pub(crate) fn parse_socket_path(text: &str) -> Result<PathBuf, Problem> {
    let names_a_file = text.starts_with('/') && !text.ends_with('/');
    if !names_a_file || text.len() > SOCKET_PATH_BYTES_MAX || text.contains('\0') {
        return Err(Problem::SocketPathMalformed);
    }
    Ok(PathBuf::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_short_absolute_path_of_a_file_is_one() {
        assert_eq!(
            parse_socket_path("/run/t.sock"),
            Ok(PathBuf::from("/run/t.sock"))
        );
        let long = format!("/{}", "a".repeat(SOCKET_PATH_BYTES_MAX));
        for text in ["", "t.sock", "./t.sock", "/", "/run/", "/a\0b", &long] {
            assert_eq!(
                parse_socket_path(text),
                Err(Problem::SocketPathMalformed),
                "{text:?}"
            );
        }
    }
}
