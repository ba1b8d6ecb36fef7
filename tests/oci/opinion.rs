//! The same cases against runc and crun: where all agree, a case reads the specification as others
//! do. Where one differs, it is written down here with the reason.

use std::collections::BTreeSet;

use crate::cases;
use crate::failures;
use crate::runtime::Runtime;

/// A case that does not hold for a runtime, and why that is.
type Difference = (&'static str, &'static str);

/// runc 1.1.5: of 2023, so some of the specification's version 1.2 is newer than it.
const RUNC: &[Difference] = &[
    ("a limit given twice is an error", "it takes the last one"),
    ("capabilities that nobody knows do not fail a container", "it warns only in its log"),
    ("scheduling and I/O priority are as given", "newer than it"),
    ("exec with a CPU affinity runs there", "newer than it"),
    ("the propagation of the root is as given", "a root that is to be shared stays private"),
    ("without any namespace the container has the runtime's", "it needs a /proc in the container"),
    ("host name and domain name are set, and need a namespace of their own", "domainname is newer"),
    ("clocks of a time namespace are set", "newer than it"),
    ("exec has the container's clocks", "newer than it"),
    ("a path of a cgroup with .. is refused", "it takes the dots out instead"),
    ("the personality is as given", "newer than it"),
    (
        "hooks run in their order, each with the state at that moment",
        "it runs poststart hooks at create",
    ),
    (
        "createContainer runs in the container's namespaces, before its root",
        "it sets the host name later",
    ),
    ("a hook that takes too long is killed, and has failed", "it says so only in its log"),
    (
        "a poststop hook that fails is told of, and the container is deleted",
        "it does not run the ones after it",
    ),
    ("a bind mount can be seen through other users", "newer than it"),
];

/// crun 1.8.1: of 2023 as well.
const CRUN: &[Difference] = &[
    ("operations on what is not there fail", "other words"),
    ("what has stopped is not signalled", "other words"),
    ("what runs is not deleted", "other words"),
    ("delete leaves nothing, and the id is free again", "other words"),
    ("a paused container does nothing until it is resumed", "a second resume is no error"),
    (
        "exec runs beside the program, with the container's view of the world",
        "--env takes the place of the whole environment",
    ),
    ("list shows the containers", "its JSON has spaces"),
    ("a relative working directory is refused", "it takes it as below the root"),
    ("a limit given twice is an error", "it takes the last one"),
    ("capabilities that nobody knows do not fail a container", "it says nothing of them"),
    ("a program that is not there fails create, in words that engines know", "other words"),
    ("no program at all is an error", "other words"),
    ("scheduling and I/O priority are as given", "newer than it"),
    ("exec with a CPU affinity runs there", "newer than it"),
    ("of two words that exclude each other the last one holds", "ro stays once it is given"),
    ("the propagation of a mount is as given", "a shared bind mount is private in the end"),
    ("the propagation of the root is as given", "an unknown word is no error"),
    ("a namespace listed twice is an error", "it makes one"),
    (
        "without any namespace the container has the runtime's",
        "it makes a mount namespace all the same",
    ),
    ("clocks of a time namespace are set", "it fails on this kernel"),
    ("exec has the container's clocks", "it fails on this kernel"),
    ("features and spec give what the specification describes", "it has no features"),
    ("events tell what is used", "it has no events"),
    (
        "hooks run in their order, each with the state at that moment",
        "it tells them the container is created",
    ),
    (
        "createContainer runs in the container's namespaces, before its root",
        "it sets the host name later",
    ),
    ("a poststop hook that fails is told of, and the container is deleted", "it says nothing"),
    ("a bind mount can be seen through other users", "it wants other mappings"),
];

fn agrees(runtime: &Runtime, differences: &[Difference]) {
    let known = differences.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>();
    let mut unknown = Vec::new();
    for cases in cases::all() {
        for (case, why) in failures(runtime, cases) {
            if !known.contains(case.name) {
                unknown.push(format!("{}: {why}", case.name));
            }
        }
    }
    assert!(
        unknown.is_empty(),
        "{} differs where that is not written down:\n{}\n",
        runtime.name,
        unknown.join("\n")
    );
}

#[test]
fn runc_holds_the_same_cases_but_for_a_written_list() {
    agrees(&Runtime::runc(), RUNC);
}

#[test]
fn crun_holds_the_same_cases_but_for_a_written_list() {
    agrees(&Runtime::crun(), CRUN);
}

#[test]
fn every_difference_is_about_a_case_that_there_is() {
    let names = cases::all().into_iter().flatten().map(|case| case.name).collect::<BTreeSet<_>>();
    for (name, why) in RUNC.iter().chain(CRUN) {
        assert!(names.contains(name), "{name}");
        assert!(!why.is_empty(), "{name}");
    }
}
