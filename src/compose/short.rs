//! The short forms that a command line has in common with the files: `orca run -v` and `-p`.

use std::path::Path;

use super::value::{clean_path, parse_ports, parse_volume, split_words};
use crate::model::{Mount, MountSource, Port, Protocol};

/// A mount as `-v` writes it. Relative paths are seen from `directory`, `~` is `home`. A name is a key
/// of the project's volumes.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub fn mount(text: &str, directory: &Path, home: Option<&str>) -> Result<Mount, String> {
    let short = parse_volume(text)?;
    if !short.target.starts_with('/') || short.target == "/" {
        return Err(format!("invalid path {:?} in the container", short.target));
    }
    let source = if short.is_bind() {
        let path = match (short.source.strip_prefix('~'), home) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
                Path::new(home).join(rest.trim_start_matches('/'))
            }
            _ => directory.join(&short.source),
        };
        let path = clean_path(&path.to_string_lossy()).into();
        let propagation = short.propagation;
        MountSource::Bind { path, create: true, propagation, recursive: true }
    } else if short.source.is_empty() {
        MountSource::Anonymous
    } else {
        MountSource::Volume { volume: short.source, subpath: None, nocopy: short.nocopy }
    };
    Ok(Mount { target: short.target, read_only: short.read_only, source })
}

/// Ports as `-p` writes them.
///
/// # Errors
/// What is wrong with them, as a sentence.
pub fn ports(text: &str) -> Result<Vec<Port>, String> {
    let port = |short: super::value::ShortPort| {
        let number = |text: &str| text.parse::<u16>().ok();
        let published = match short.published.split_once('-') {
            Some((first, last)) => number(first).zip(number(last)),
            None => number(&short.published).map(|port| (port, port)),
        };
        let host_ip = short.host_ip.parse::<std::net::IpAddr>().ok();
        Port {
            target: short.target,
            published: published.filter(|(first, _)| *first != 0),
            host_ip: host_ip.filter(|address| !address.is_unspecified()),
            protocol: match short.protocol.as_str() {
                "udp" => Protocol::Udp,
                "sctp" => Protocol::Sctp,
                _ => Protocol::Tcp,
            },
            name: None,
        }
    };
    Ok(parse_ports(text)?.into_iter().map(port).collect())
}

/// A command line as words: quotes and backslashes, no variables, no patterns.
///
/// # Errors
/// If a quote has no end.
pub fn words(line: &str) -> Result<Vec<String>, String> {
    split_words(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_seen_from_where_the_command_runs() {
        let here = Path::new("/srv/app");
        let source = |text: &str| mount(text, here, Some("/home/me")).map(|mount| mount.source);
        let bind = |path: &str| MountSource::Bind {
            path: path.into(),
            create: true,
            propagation: None,
            recursive: true,
        };
        assert_eq!(source("./data:/data"), Ok(bind("/srv/app/data")));
        assert_eq!(source("../x:/data:ro"), Ok(bind("/srv/x")));
        assert_eq!(source("~/x:/data"), Ok(bind("/home/me/x")));
        assert_eq!(source("/a/b:/data"), Ok(bind("/a/b")));
        assert_eq!(source("/data"), Ok(MountSource::Anonymous));
        let volume = MountSource::Volume { volume: "v".to_owned(), subpath: None, nocopy: false };
        assert_eq!(source("v:/data"), Ok(volume));
        assert!(mount("./data:/data:ro", here, None).unwrap().read_only);
        for wrong in ["", "a:b", "a:/", "a::b"] {
            assert!(source(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ports_are_read_as_in_the_files() {
        let port = |text: &str| ports(text).unwrap().remove(0);
        assert_eq!(port("8080:80").published, Some((8080, 8080)));
        assert_eq!(port("80").published, None);
        assert_eq!(port("127.0.0.1:0:53/udp").published, None);
        assert_eq!(port("127.0.0.1::53/udp").protocol, Protocol::Udp);
        assert_eq!(ports("8000-8002:80-82").unwrap().len(), 3);
        assert!(ports("x").is_err());
    }
}
