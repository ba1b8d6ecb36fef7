use super::*;

const PASSWD: &[u8] = b"# comment\n\
    root:x:0:0:root:/root:/bin/sh\n\
    \n\
    not a line\n\
    daemon:x:1:7:daemon:/usr/sbin:/usr/sbin/nologin\n\
    1000:x:0:0:a user whose name is a number:/:/bin/sh\n\
    web:x:1001:1002:Web,,,:/srv/web:/bin/sh\n\
    bare:x:1005\n\
    \xff\xfe:x:1:1::/:\n\
    huge:x:4294967295:0::/:\n";
const GROUP: &[u8] = b"root:x:0:\n\
    wheel:x:10:root,web\n\
    web:x:1002:\n\
    100:x:0:web\n\
    video:x:44:web,daemon\n\
    broken:x:x:web\n";

fn found(user: &str) -> (u32, u32, Vec<u32>, String) {
    let user = lookup(PASSWD, GROUP, user, &[]).unwrap();
    (user.uid, user.gid, user.groups, user.home)
}

fn refused(user: &str) -> String {
    lookup(PASSWD, GROUP, user, &[]).unwrap_err().to_string()
}

#[test]
fn nobody_asked_for_is_root() {
    assert_eq!(found(""), (0, 0, vec![10], "/root".to_owned()));
    assert_eq!(found("root"), (0, 0, vec![10], "/root".to_owned()));
}

#[test]
fn a_name_brings_its_group_its_home_and_the_groups_that_list_it() {
    assert_eq!(found("web"), (1001, 1002, vec![0, 10, 44], "/srv/web".to_owned()));
    assert_eq!(found("bare"), (1005, 0, vec![], "/".to_owned()));
}

#[test]
fn a_number_is_never_a_name() {
    // The first entry with uid 1, not the user called "1".
    assert_eq!(found("1"), (1, 7, vec![44], "/usr/sbin".to_owned()));
    // A user called "1000" has uid 0; asking for 1000 must not give root.
    assert_eq!(found("1000"), (1000, 0, vec![], "/".to_owned()));
    assert_eq!(found("web:100").1, 100);
    assert_eq!(found("4242"), (4242, 0, vec![], "/".to_owned()));
}

#[test]
fn a_group_replaces_the_groups_of_the_files() {
    assert_eq!(found("web:wheel"), (1001, 10, vec![], "/srv/web".to_owned()));
    assert_eq!(found("5:6"), (5, 6, vec![], "/".to_owned()));
    assert_eq!(found(":video"), (0, 44, vec![], "/root".to_owned()));
    assert_eq!(found("web:"), (1001, 1002, vec![0, 10, 44], "/srv/web".to_owned()));
}

#[test]
fn more_groups_are_added_by_name_or_number() {
    let more = ["video".to_owned(), "99".to_owned(), "99".to_owned()];
    assert_eq!(lookup(PASSWD, GROUP, "web:wheel", &more).unwrap().groups, [44, 99]);
    let unknown = ["none".to_owned()];
    assert_eq!(lookup(PASSWD, GROUP, "", &unknown), Err(UserError::NoGroup("none".to_owned())));
}

#[test]
fn who_is_not_there_is_named() {
    assert_eq!(refused("nobody"), "there is no user \"nobody\" in the container's /etc/passwd");
    assert_eq!(refused("web:x"), "there is no group \"x\" in the container's /etc/group");
}

#[test]
fn ids_out_of_range_are_refused() {
    for id in ["2147483648", "4294967296", "99999999999999999999", "-1", "0:-1", "0:4294967295"] {
        assert!(refused(id).contains("out of range"), "{id}");
    }
    assert!(refused("huge").contains("out of range"));
    assert_eq!(found("2147483647").0, 2_147_483_647);
}

#[test]
fn missing_files_leave_only_numbers() {
    assert_eq!(lookup(b"", b"", "7:8", &[]).unwrap().gid, 8);
    assert_eq!(lookup(b"", b"", "", &[]).unwrap().uid, 0);
    assert!(lookup(b"", b"", "root", &[]).is_err());
}

#[test]
fn an_endless_file_is_refused() {
    let endless = vec![b'a'; MAX_FILE + 1];
    assert_eq!(lookup(&endless, b"", "", &[]), Err(UserError::TooLarge("/etc/passwd")));
    assert_eq!(lookup(b"", &endless, "", &[]), Err(UserError::TooLarge("/etc/group")));
}

#[test]
fn a_user_in_too_many_groups_is_refused() {
    let lines: Vec<_> = (0..=MAX_GROUPS).map(|gid| format!("g{gid}:x:{gid}:root")).collect();
    let group = lines.join("\n");
    let refused = lookup(PASSWD, group.as_bytes(), "root", &[]);
    assert_eq!(refused, Err(UserError::TooManyGroups("root".to_owned())));
}
