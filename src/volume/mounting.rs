//! File systems of volumes, mounted while containers use them.

use std::io;
use std::net::ToSocketAddrs as _;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use rustix::fs::{AtFlags, StatxFlags, statx};

use super::options::FileSystem;

/// Mounts what a volume is at `target`, unless it is there already.
///
/// # Errors
/// If the kernel does not know the file system or refuses it, or the server's name means nothing.
pub(super) fn attach(file_system: &FileSystem, target: &Path) -> io::Result<()> {
    if is_attached(target)? {
        return Ok(());
    }
    let FileSystem { kind, device, flags, data } = file_system;
    if flags.contains(MsFlags::MS_BIND) {
        let only_bind = *flags & (MsFlags::MS_BIND | MsFlags::MS_REC);
        mount(Some(device.as_str()), target, None::<&str>, only_bind, None::<&str>)?;
        // The kernel takes the other flags only of a mount that is there.
        let again = *flags | MsFlags::MS_REMOUNT;
        return mount(None::<&str>, target, None::<&str>, again, None::<&str>).map_err(|error| {
            drop(detach(target));
            error.into()
        });
    }
    let data = data.iter().map(|option| resolved(kind, option)).collect::<io::Result<Vec<_>>>()?;
    let data = data.join(",");
    let mounted =
        mount(Some(device.as_str()), target, Some(kind.as_str()), *flags, Some(data.as_str()));
    mounted.map_err(|error| match error {
        nix::Error::ENODEV => io::Error::other(format!("this kernel has no file system {kind}")),
        nix::Error::EINVAL => io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{kind} does not take these options ({data})"),
        ),
        error => error.into(),
    })
}

/// Unmounts what is at `target`. Fine if nothing is.
///
/// # Errors
/// If somebody uses it.
pub(super) fn detach(target: &Path) -> io::Result<()> {
    // Somebody by hand may have mounted more over it.
    while is_attached(target)? {
        umount2(target, MntFlags::UMOUNT_NOFOLLOW)?;
    }
    Ok(())
}

/// Whether something is mounted at `target`.
pub(super) fn is_attached(target: &Path) -> io::Result<bool> {
    let mount_of = |path: &Path| -> io::Result<u64> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(statx(rustix::fs::CWD, path, flags, StatxFlags::MNT_ID)?.stx_mnt_id)
    };
    let parent = target.parent().unwrap_or(Path::new("/"));
    Ok(mount_of(target)? != mount_of(parent)?)
}

/// The kernel wants the addresses of servers as numbers.
fn resolved(kind: &str, option: &str) -> io::Result<String> {
    let name = match option.strip_prefix("addr=") {
        Some(name) if matches!(kind, "nfs" | "nfs4" | "cifs" | "smb3") => name,
        _ => return Ok(option.to_owned()),
    };
    let unknown = |error: String| io::Error::new(io::ErrorKind::NotFound, error);
    let mut found = (name, 0)
        .to_socket_addrs()
        .map_err(|error| unknown(format!("the address of `{name}` cannot be found: {error}")))?;
    let address = found.next().ok_or_else(|| unknown(format!("`{name}` has no address")))?;
    Ok(format!("addr={}", address.ip()))
}
