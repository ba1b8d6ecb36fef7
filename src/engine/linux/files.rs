//! The files that a container gets from its host: `/etc/hosts`, `/etc/resolv.conf`, `/etc/hostname`.

use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::model::{Container, HostMount, HostMountSource, Resolv, Sandbox};

/// Where the host's own resolver settings are.
const HOST_RESOLV: &str = "/etc/resolv.conf";

/// The largest such file that is read from the host.
const RESOLV_MAX: usize = 64 << 10;

/// Writes the files into `directory` and returns the mounts that bring them into the container. They
/// are written in place, so that a container of the task that runs already sees the change.
///
/// # Errors
/// If they cannot be written.
pub(super) fn prepare(
    directory: &Path,
    container: &Container,
    sandbox: Option<&Sandbox>,
) -> io::Result<Vec<HostMount>> {
    std::fs::create_dir_all(directory)?;
    let host_resolv = std::fs::read(HOST_RESOLV).unwrap_or_default();
    let host_resolv = String::from_utf8_lossy(&host_resolv[..host_resolv.len().min(RESOLV_MAX)]);
    let contents = [
        ("hosts", "/etc/hosts", hosts(container, sandbox)),
        ("resolv.conf", "/etc/resolv.conf", resolv(&container.resolv, &host_resolv)),
        ("hostname", "/etc/hostname", format!("{}\n", container.hostname)),
    ];
    let mut mounts = Vec::new();
    for (name, target, content) in contents {
        if container.mounts.iter().any(|mount| mount.target == target) {
            continue;
        }
        let path = directory.join(name);
        std::fs::write(&path, content)?;
        mounts.push(own(path, target));
    }
    Ok(mounts)
}

fn own(path: PathBuf, target: &str) -> HostMount {
    HostMount { target: target.to_owned(), read_only: false, source: HostMountSource::Own { path } }
}

fn hosts(container: &Container, sandbox: Option<&Sandbox>) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::\tip6-localnet\n\
         ff00::\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n",
    );
    let own_name = match &container.domainname {
        Some(domain) => format!("{0}.{domain} {0}", container.hostname),
        None => container.hostname.clone(),
    };
    for (address, name) in &container.extra_hosts {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{address}\t{name}");
    }
    for interface in sandbox.iter().flat_map(|sandbox| &sandbox.interfaces) {
        let _ = writeln!(text, "{}\t{own_name}", interface.address);
        if let Some(address) = interface.address6 {
            let _ = writeln!(text, "{address}\t{own_name}");
        }
    }
    text
}

/// The file's text: what the container asks for, and for the rest what the host has.
fn resolv(wanted: &Resolv, host: &str) -> String {
    if wanted.nameservers.is_empty() && wanted.search.is_none() && wanted.options.is_empty() {
        return host.to_owned();
    }
    let mut text = String::new();
    let nameservers = if wanted.nameservers.is_empty() {
        host_words(host, "nameserver").filter_map(|word| word.parse().ok()).collect()
    } else {
        wanted.nameservers.clone()
    };
    for address in nameservers {
        let _: Result<(), std::fmt::Error> =
            writeln!(text, "nameserver {}", IpAddr::to_string(&address));
    }
    let search: Vec<String> = match &wanted.search {
        Some(search) => search.clone(),
        None => host_words(host, "search").map(str::to_owned).collect(),
    };
    // A single dot means none at all, as in docker.
    if !search.is_empty() && search != ["."] {
        let _ = writeln!(text, "search {}", search.join(" "));
    }
    if !wanted.options.is_empty() {
        let _ = writeln!(text, "options {}", wanted.options.join(" "));
    }
    text
}

fn host_words<'a>(host: &'a str, keyword: &'a str) -> impl Iterator<Item = &'a str> {
    host.lines()
        .filter_map(move |line| line.trim().strip_prefix(keyword))
        .filter(|rest| rest.starts_with([' ', '\t']))
        .flat_map(str::split_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str =
        "# made by hand\nnameserver 192.0.2.1\nsearch example.org lan\noptions edns0\n";

    #[test]
    fn a_container_with_no_wishes_has_the_hosts_settings() {
        assert_eq!(resolv(&Resolv::default(), HOST), HOST);
    }

    #[test]
    fn our_resolver_keeps_the_hosts_search_domains() {
        let wanted = Resolv {
            nameservers: vec!["127.0.0.11".parse().unwrap()],
            search: None,
            options: vec!["ndots:0".to_owned()],
        };
        assert_eq!(
            resolv(&wanted, HOST),
            "nameserver 127.0.0.11\nsearch example.org lan\noptions ndots:0\n"
        );
    }

    #[test]
    fn a_dot_turns_the_search_off() {
        let wanted = Resolv { search: Some(vec![".".to_owned()]), ..Resolv::default() };
        assert_eq!(resolv(&wanted, HOST), "nameserver 192.0.2.1\n");
    }
}
