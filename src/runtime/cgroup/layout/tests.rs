use super::*;

const V1_MOUNTS: &str = "\
30 25 0:26 / /sys/fs/cgroup/systemd rw,nosuid shared:9 - cgroup cgroup rw,xattr,name=systemd
31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:10 - cgroup cgroup rw,cpu,cpuacct
32 25 0:28 / /sys/fs/cgroup/memory rw,nosuid shared:11 - cgroup cgroup rw,memory
24 1 8:1 / / rw - ext4 /dev/sda1 rw";
const V2_MOUNT: &str = "\
42 25 0:29 / /sys/fs/cgroup/unified rw,nosuid shared:12 - cgroup2 cgroup2 rw,nsdelegate";

fn seen(mountinfo: &str, own: &str) -> Vec<(Version, String, String, String)> {
    let tell = |one: Hierarchy| {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        (one.version, one.controllers.join(","), path(&one.base), path(&one.own))
    };
    hierarchies(mountinfo, own).into_iter().map(tell).collect()
}

fn one(
    version: Version,
    controllers: &str,
    base: &str,
    own: &str,
) -> (Version, String, String, String) {
    (version, controllers.to_owned(), base.to_owned(), own.to_owned())
}

#[test]
fn a_host_with_v1_and_an_empty_v2_is_hybrid() {
    let own = "4:memory:/daemon\n3:cpu,cpuacct:/\n1:name=systemd:/init.scope\n0::/init.scope\n";
    assert_eq!(
        seen(&format!("{V1_MOUNTS}\n{V2_MOUNT}"), own),
        [
            one(Version::V1, "memory", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/daemon"),
            one(
                Version::V1,
                "cpu,cpuacct",
                "/sys/fs/cgroup/cpu,cpuacct",
                "/sys/fs/cgroup/cpu,cpuacct/"
            ),
            one(
                Version::V1,
                "name=systemd",
                "/sys/fs/cgroup/systemd",
                "/sys/fs/cgroup/systemd/init.scope"
            ),
            one(Version::V2, "", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified/init.scope"),
        ]
    );
}

#[test]
fn a_v1_hierarchy_without_controllers_leaves_the_host_on_v2() {
    let systemd = V1_MOUNTS.lines().next().unwrap();
    let found = seen(&format!("{systemd}\n{V2_MOUNT}"), "1:name=systemd:/\n0::/\n");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, Version::V2);
}

#[test]
fn a_controller_that_is_not_mounted_is_left_out() {
    assert_eq!(seen("", "4:memory:/\n0::/\n"), []);
    assert_eq!(seen(V2_MOUNT, "4:pids:/\n0::/\n").len(), 1);
}

#[test]
fn a_part_of_a_hierarchy_shows_the_path_below_it() {
    let mounts = "42 25 0:29 /pod /cg\\040roup rw - cgroup2 none rw";
    assert_eq!(
        seen(mounts, "0::/pod/inner\n"),
        [one(Version::V2, "", "/cg roup", "/cg roup/inner")]
    );
    // A process outside of what is mounted, as cgroup namespaces show it.
    assert_eq!(seen(mounts, "0::/other\n")[0].3, "/cg roup/");
    let outside = seen(V2_MOUNT, "0::/../../host\n");
    assert_eq!(outside[0].3, "/sys/fs/cgroup/unified/");
}

#[test]
fn lines_that_make_no_sense_are_passed_over() {
    assert_eq!(seen("nonsense\n1 2 3 - \n - cgroup2", "x\n::\n0:\n"), []);
}

#[test]
fn a_unit_that_systemd_must_be_able_to_start_again_is_no_base() {
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join("orca.service");
    let subgroup = unit.join("daemon");
    std::fs::create_dir_all(&subgroup).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&unit, "trusted.delegate", b"1", flags).unwrap();
    let check = |version, own: &Path, expected: &Path| {
        let mount = dir.path().to_owned();
        let hierarchy = Hierarchy {
            version,
            controllers: Vec::new(),
            base: mount.clone(),
            own: own.to_owned(),
            mount,
        };
        assert_eq!(hierarchy.with_base().base, expected, "{version:?} {}", own.display());
    };
    check(Version::V2, &unit, dir.path());
    check(Version::V2, &subgroup, &unit);
    check(Version::V1, &unit, &unit);
    check(Version::V1, &subgroup, &unit);
}
