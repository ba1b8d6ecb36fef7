use super::*;

fn resolved(add: &[&str], drop: &[&str]) -> CapSet {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    resolve(&owned(add), &owned(drop), false).unwrap()
}

#[test]
fn the_default_is_the_fourteen_of_docker() {
    assert_eq!(
        default_set().to_string(),
        "CAP_CHOWN,CAP_DAC_OVERRIDE,CAP_FOWNER,CAP_FSETID,CAP_KILL,CAP_SETGID,CAP_SETUID,\
         CAP_SETPCAP,CAP_NET_BIND_SERVICE,CAP_NET_RAW,CAP_SYS_CHROOT,CAP_MKNOD,CAP_AUDIT_WRITE,\
         CAP_SETFCAP"
    );
    // As `docker run` shows it in /proc/self/status.
    assert_eq!(default_set().0, 0xa804_25fb);
}

#[test]
fn each_name_reads_back_as_itself() {
    for number in 0..=40 {
        let capability = Capability(number);
        assert_eq!(capability.name().parse(), Ok(capability));
        assert_eq!(capability.name()[4..].to_lowercase().parse(), Ok(capability));
    }
    assert_eq!("CAP_SYS_ADMIN".parse(), Ok(Capability::SYS_ADMIN));
    assert_eq!("bpf".parse(), Ok(Capability::BPF));
}

#[test]
fn adding_and_dropping_change_the_default() {
    assert_eq!(resolved(&[], &[]), default_set());
    assert_eq!(resolved(&["NET_ADMIN"], &[]), default_set().with(Capability::NET_ADMIN));
    assert_eq!(resolved(&[], &["cap_mknod"]), default_set().without(Capability::MKNOD));
    assert_eq!(resolved(&["CHOWN"], &["CHOWN"]), default_set());
}

#[test]
fn all_stands_for_everything_the_kernel_has() {
    assert_eq!(resolved(&["all"], &[]), CapSet::all());
    assert_eq!(resolved(&["ALL"], &["CHOWN"]), CapSet::all().without(Capability::CHOWN));
    assert_eq!(resolved(&["CHOWN"], &["ALL"]), CapSet::of(&[Capability::CHOWN]));
    assert_eq!(resolved(&["ALL"], &["ALL"]), CapSet::all());
    assert_eq!(resolved(&[], &["ALL"]), CapSet::EMPTY);
    assert_eq!(resolve(&[], &["ALL".to_owned()], true), Ok(CapSet::all()));
}

#[test]
fn all_is_the_bounding_set_of_a_root_process() {
    let status = std::fs::read_to_string("/proc/1/status").unwrap();
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap();
    let bounding = u64::from_str_radix(bounding.trim(), 16).unwrap();
    assert_eq!(bounding & !CapSet::all().0, 0, "the kernel has a capability we do not count");
}

#[test]
fn a_wrong_name_is_told_with_the_nearest_one() {
    let told = |name: &str| name.parse::<Capability>().unwrap_err().to_string();
    assert_eq!(
        told("NET_ADMN"),
        "there is no capability \"NET_ADMN\"; did you mean CAP_NET_ADMIN?"
    );
    assert_eq!(told("flying"), "there is no capability \"flying\"");
    assert!(!told(&"X".repeat(1 << 20)).contains("mean"));
}
