//! User namespaces, and the namespaces that belong to them.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};

use crate::model::{IdMaps, IdRange};

/// What is made.
#[derive(Debug)]
pub struct Made {
    /// The user namespace.
    pub users: OwnedFd,
    /// The network namespace that belongs to it, if one was asked for.
    pub network: Option<OwnedFd>,
}

/// Makes a user namespace with these users and groups and, if asked for, a network namespace that
/// belongs to it. Nobody is in them: they last as long as the descriptors, or what is mounted of them.
///
/// Works in a process of any size and with any number of threads: a process with threads cannot enter
/// a new user namespace, so a process that shares this one's memory is born there, and holds them open
/// until they can be opened by name.
///
/// # Errors
/// As the system calls'.
pub fn make(maps: &IdMaps, network: bool) -> io::Result<Made> {
    if maps.users.is_empty() || maps.groups.is_empty() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let born = Holder::bear(network)?;
    let write = |name: &str, ranges: &[IdRange]| -> io::Result<()> {
        let mut file = File::options().write(true).open(born.path(name))?;
        // In one write: the kernel takes no second one.
        file.write_all(lines(ranges).as_bytes())
    };
    write("uid_map", &maps.users)?;
    write("gid_map", &maps.groups)?;
    let open = |name| File::open(born.path(name)).map(OwnedFd::from);
    let users = open("ns/user")?;
    let network = if network { Some(open("ns/net")?) } else { None };
    Ok(Made { users, network })
}

/// The user namespace that the namespace `of` belongs to.
///
/// # Errors
/// As the system call's; EPERM if it is not one of the caller's or below.
pub fn owner(of: impl AsFd) -> io::Result<OwnedFd> {
    const NS_GET_USERNS: libc::c_ulong = 0xb701;
    // The type of the request differs between C libraries.
    #[allow(clippy::useless_conversion, reason = "it is not useless with every C library")]
    let request = NS_GET_USERNS.try_into().map_err(io::Error::other)?;
    // SAFETY: the request takes no argument, and answers with a descriptor of ours.
    match unsafe { libc::ioctl(of.as_fd().as_raw_fd(), request) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the kernel has just made this descriptor for us.
        owner => Ok(unsafe { OwnedFd::from_raw_fd(owner) }),
    }
}

/// Whether `namespace` is the user namespace of the calling process.
///
/// # Errors
/// If `/proc` does not tell.
pub fn is_own(namespace: impl AsFd) -> io::Result<bool> {
    let own = rustix::fs::stat(c"/proc/self/ns/user")?;
    let other = rustix::fs::fstat(namespace)?;
    Ok((own.st_dev, own.st_ino) == (other.st_dev, other.st_ino))
}

fn lines(ranges: &[IdRange]) -> String {
    ranges
        .iter()
        .map(|IdRange { inside, outside, count }| format!("{inside} {outside} {count}\n"))
        .collect()
}

/// A process in the new namespaces that does nothing.
struct Holder {
    pid: libc::pid_t,
    /// It stands on this.
    _stack: Vec<u8>,
}

/// It only sleeps, and `pause` needs little.
const STACK: usize = 16 << 10;

impl Holder {
    fn bear(network: bool) -> io::Result<Self> {
        let mut flags = libc::CLONE_NEWUSER | libc::CLONE_VM;
        if network {
            flags |= libc::CLONE_NEWNET;
        }
        let mut stack = vec![0_u8; STACK];
        let top = stack.as_mut_ptr_range().end;
        // Aligned as every ABI wants it.
        let top = top.map_addr(|address| address & !63).cast::<libc::c_void>();
        let before = hold_signals();
        let maker = std::ptr::without_provenance_mut(std::process::id() as usize);
        // SAFETY: the new process shares this memory but runs only `sleep`, which touches nothing of
        // it but its own stack; that outlives it, as `drop` ends it first and waits. All signals are
        // held back in it, so no handler runs there either.
        let pid = unsafe { libc::clone(sleep, top, flags, maker) };
        let error = io::Error::last_os_error();
        release_signals(&before);
        if pid == -1 { Err(error) } else { Ok(Self { pid, _stack: stack }) }
    }

    fn path(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.pid)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // SAFETY: it is a child of ours that nobody has waited for, so the number is still its own.
        // It sends no signal when it ends, and is waited for as such (`__WALL`).
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            while libc::waitpid(self.pid, std::ptr::null_mut(), libc::__WALL) == -1
                && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
            {}
        }
    }
}

/// Waits for its end. It must not outlive its maker: that one's files, and with them its locks, would
/// stay held. So it closes its copies, and the kernel kills it when its maker's thread ends.
extern "C" fn sleep(maker: *mut libc::c_void) -> libc::c_int {
    // SAFETY: these calls touch no memory; none fails on a kernel that orca runs on, and `errno`, which
    // is the maker's too, is written by failures alone.
    unsafe {
        libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if usize::try_from(libc::getppid()) != Ok(maker.addr()) {
            // Its maker has ended already.
            libc::_exit(0);
        }
    }
    loop {
        // SAFETY: no memory is touched: it never returns, as all signals are held back.
        unsafe { libc::pause() };
    }
}

fn hold_signals() -> libc::sigset_t {
    // SAFETY: the sets are initialised by the calls before they are read.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        before
    }
}

fn release_signals(before: &libc::sigset_t) {
    // SAFETY: the set was filled by `hold_signals`; a null old set is allowed.
    unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::from_ref(before), std::ptr::null_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_namespace_belongs_to_its_user_namespace() {
        let made = make(&IdMaps::numbered(3), true).unwrap();
        let owner = owner(made.network.as_ref().unwrap()).unwrap();
        let inode = |fd: &OwnedFd| rustix::fs::fstat(fd).unwrap().st_ino;
        assert_eq!(inode(&owner), inode(&made.users));
        assert!(!is_own(&made.users).unwrap());
        assert!(is_own(File::open("/proc/self/ns/user").unwrap()).unwrap());
    }

    #[test]
    fn the_network_of_this_process_is_not_given_away() {
        let made = make(&IdMaps::numbered(0), false).unwrap();
        assert!(made.network.is_none());
    }

    #[test]
    fn the_process_that_holds_them_lets_go_of_its_makers_files() {
        let holder = Holder::bear(false).unwrap();
        let open = || std::fs::read_dir(holder.path("fd")).unwrap().count();
        let closed = (0..2000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            open() == 0
        });
        assert!(closed, "{} files are open in it", open());
    }

    #[test]
    fn impossible_maps_are_an_error() {
        let none = IdMaps::default();
        assert!(make(&none, false).is_err());
    }
}
