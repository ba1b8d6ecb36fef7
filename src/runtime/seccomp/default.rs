//! The profile of containers that ask for none, equal in effect to Docker's of 2026: calls that
//! every program may make, calls that come with a capability, and a few that depend on arguments.
//!
//! What is left out is what a container has no use for and the kernel's past bugs were in: keyrings,
//! `io_uring`, `userfaultfd`, new namespaces, mounts, modules, `bpf`, performance counters. They fail
//! with EPERM, as they would for want of rights.

use super::{Action, Arch, Argument, Comparison, Profile, Rule};

use crate::runtime::capabilities::{CapSet, Capability};

/// `EPERM` and `ENOSYS`.
const EPERM: u16 = 1;
const ENOSYS: u16 = 38;

/// The flags of `clone` that make namespaces: `CLONE_NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`,
/// `NEWUSER`, `NEWPID`, `NEWNET`.
const NEW_NAMESPACES: u64 = 0x7e02_0000;

/// Address families that are no business of a container: kernel cryptography, which is reachable
/// without rights and had its holes, and the host of a virtual machine.
const AF_ALG: u64 = 38;
const AF_VSOCK: u64 = 40;

/// `PER_LINUX`, `PER_LINUX32`, `UNAME26`, both together, and the question.
const PERSONALITIES: [u64; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// For everyone.
const ALWAYS: &str = "
    _llseek _newselect accept accept4 access adjtimex alarm arch_prctl arm_fadvise64_64
    arm_sync_file_range bind breakpoint brk cacheflush cachestat capget capset chdir chmod chown
    chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
    clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect
    copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old
    epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit
    exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod
    fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr
    flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate
    ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat
    get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 geteuid
    geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid
    getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit
    getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr
    getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel
    io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl
    ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset
    landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr
    listxattrat llistxattr lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack
    membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2
    mlockall mmap mmap2 modify_ldt mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
    mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget
    msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open
    openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free
    pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64
    process_mrelease process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace pwrite64
    pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg
    recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2
    restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
    rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
    sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity
    sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget
    semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto
    set_robust_list set_thread_area set_tid_address set_tls setfsgid setfsgid32 setfsuid
    setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid
    setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid
    setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown
    sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat
    stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo
    tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64
    timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64
    timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname
    unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4
    waitid waitpid write writev
";

/// With a capability.
const WITH: [(Capability, &str); 14] = [
    (Capability::DAC_READ_SEARCH, "open_by_handle_at"),
    (
        Capability::SYS_ADMIN,
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie
        lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount
        open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog
        umount umount2 unshare",
    ),
    (Capability::SYS_BOOT, "reboot"),
    (Capability::SYS_CHROOT, "chroot"),
    (Capability::SYS_MODULE, "delete_module finit_module init_module"),
    (Capability::SYS_PACCT, "acct"),
    (
        Capability::SYS_PTRACE,
        "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    ),
    (Capability::SYS_RAWIO, "ioperm iopl"),
    (Capability::SYS_TIME, "clock_settime clock_settime64 settimeofday stime"),
    (Capability::SYS_TTY_CONFIG, "vhangup"),
    (Capability::SYS_NICE, "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    (Capability::SYSLOG, "syslog"),
    (Capability::BPF, "bpf"),
    (Capability::PERFMON, "perf_event_open"),
];

/// The profile for a container with these capabilities.
pub(super) fn profile(caps: CapSet) -> Profile {
    let mut rules = vec![allow(ALWAYS)];
    rules
        .extend(WITH.iter().filter(|(needed, _)| caps.has(*needed)).map(|(_, names)| allow(names)));
    if !caps.has(Capability::SYS_ADMIN) {
        // The flags of clone3 are in memory, where no filter can look. ENOSYS makes the C library
        // use clone instead.
        rules.push(rule("clone3", Action::Errno(ENOSYS), None));
        rules.push(when("clone", Action::Allow, Comparison::MaskedEqual(NEW_NAMESPACES), 0));
    }
    for family in [AF_ALG, AF_VSOCK] {
        // The kernel looks at 32 bits only; a comparison of all 64 could be passed by setting another.
        let same = Comparison::MaskedEqual(0xffff_ffff);
        rules.push(when("socket", Action::Errno(EPERM), same, family));
    }
    rules.push(allow("socket"));
    for personality in PERSONALITIES {
        rules.push(when("personality", Action::Allow, Comparison::Equal, personality));
    }
    Profile { default: Action::Errno(EPERM), architectures: Arch::all(), flags: 0, rules }
}

fn allow(names: &str) -> Rule {
    rule(names, Action::Allow, None)
}

fn when(names: &str, action: Action, comparison: Comparison, value: u64) -> Rule {
    rule(names, action, Some(Argument { index: 0, comparison, value }))
}

fn rule(names: &str, action: Action, argument: Option<Argument>) -> Rule {
    let names = names.split_whitespace().map(str::to_owned).collect();
    Rule { names, action, arguments: argument.into_iter().collect() }
}
