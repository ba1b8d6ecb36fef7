//! Settings under `/proc/sys/net`, of the network namespace of the calling thread.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::NetworkError;

const ROOT: &str = "/proc/sys";

/// Writes `value` to the setting at `path` (`net/ipv4/ip_forward`), unless it has it.
pub(super) fn set(path: &str, value: &str) -> Result<(), NetworkError> {
    let file = Path::new(ROOT).join(path);
    match fs::read_to_string(&file) {
        Ok(found) if found.trim() == value => return Ok(()),
        _ => {}
    }
    fs::write(&file, value).map_err(|source| failed(path, value, source))
}

/// As [`set`], for a setting that this kernel may not have (no IPv6).
pub(super) fn set_if_there(path: &str, value: &str) -> Result<(), NetworkError> {
    match fs::write(Path::new(ROOT).join(path), value) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, value, error)),
        _ => Ok(()),
    }
}

/// The value of the setting at `path`, if it is there.
pub(super) fn get(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(ROOT).join(path)).ok().map(|value| value.trim().to_owned())
}

/// Sets `name`, as a user writes it: `net.ipv4.tcp_syncookies`, or with slashes where a part has dots
/// in it (`net/ipv4/conf/eth0.1/rp_filter`).
pub(super) fn set_named(name: &str, value: &str) -> Result<(), NetworkError> {
    let path = path_of(name).ok_or_else(|| NetworkError::BadSysctl(name.to_owned()))?;
    fs::write(Path::new(ROOT).join(path), value).map_err(|source| failed(name, value, source))
}

/// The file of a setting; `None` if it is not one of a network namespace.
fn path_of(name: &str) -> Option<PathBuf> {
    let separator = if name.contains('/') { '/' } else { '.' };
    let parts: Vec<_> = name.split(separator).collect();
    if parts.len() < 3 || parts[0] != "net" || !parts.iter().all(is_a_name) {
        return None;
    }
    Some(parts.iter().collect())
}

fn is_a_name(part: &&str) -> bool {
    !["", ".", ".."].contains(part) && !part.contains('\0')
}

fn failed(name: &str, value: &str, source: io::Error) -> NetworkError {
    NetworkError::Sysctl { name: name.to_owned(), value: value.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_separate_the_parts_of_a_name() {
        assert_eq!(path_of("net.core.somaxconn"), Some("net/core/somaxconn".into()));
    }

    #[test]
    fn slashes_leave_the_dots_of_a_link_alone() {
        let path = path_of("net/ipv4/conf/eth0.1/rp_filter");
        assert_eq!(path, Some("net/ipv4/conf/eth0.1/rp_filter".into()));
    }

    #[test]
    fn nothing_outside_the_network_can_be_named() {
        for bad in
            ["kernel.core.pattern", "net/../kernel/core_pattern", "net", "net..x", "", "net.x"]
        {
            assert_eq!(path_of(bad), None, "{bad}");
        }
    }
}
