//! The command line, as words in and options out.

use clap::{CommandFactory as _, Parser as _};

use super::args::{OciArguments, Verb};
use super::asked;

fn verb(words: &[&str]) -> Verb {
    OciArguments::try_parse_from(["orca oci"].iter().chain(words)).unwrap().verb
}

#[test]
fn the_command_line_is_sound() {
    OciArguments::command().debug_assert();
}

#[test]
fn options_stand_before_and_after_the_id() {
    for words in [
        ["create", "--bundle", "b", "--pid-file", "p", "id"],
        ["create", "id", "--bundle", "b", "--pid-file", "p"],
        ["create", "-b", "b", "id", "--pid-file", "p"],
    ] {
        let Verb::Create(args) = verb(&words) else { panic!("{words:?}") };
        assert_eq!(args.id, "id");
        assert_eq!(args.bundle.as_deref(), Some("b".as_ref()));
        assert_eq!(args.pid_file.as_deref(), Some("p".as_ref()));
    }
}

#[test]
fn what_follows_the_program_of_exec_is_the_programs() {
    let Verb::Exec(args) = verb(&["exec", "id", "--cap=CAP_KILL", "ls", "-l", "--env", "x"]) else {
        panic!()
    };
    assert_eq!(args.cap, ["CAP_KILL"]);
    assert_eq!(args.command, ["ls", "-l", "--env", "x"]);
    assert!(args.env.is_empty());
}

#[test]
fn sizes_have_units_and_minus_one_is_no_limit() {
    let memory = |text: &str| {
        let words = ["update", "--memory", text, "id"];
        let Verb::Update(args) = verb(&words) else { panic!() };
        args.limits().unwrap().single.memory
    };
    assert_eq!(memory("1024"), Some(1024));
    assert_eq!(memory("64m"), Some(64 << 20));
    assert_eq!(memory("-1"), Some(u64::MAX));
    for text in ["", "m", "-2", "9999999999g", "1x"] {
        let words = ["orca oci", "update", "--memory", text, "id"];
        assert!(OciArguments::try_parse_from(words).is_err(), "{text}");
    }
}

#[test]
fn a_link_by_its_name_is_the_command_alone() {
    let ask = |words: &[&str]| asked(words.iter().map(Into::into));
    let shown = |words: &[&str]| ask(words).map(|args| args.join(" ".as_ref()));
    assert_eq!(shown(&["/usr/bin/orca", "oci", "list"]), Some("list".into()));
    assert_eq!(shown(&["/opt/x/orca-oci", "list", "-q"]), Some("list -q".into()));
    assert_eq!(ask(&["orca", "up", "oci"]), None);
    assert_eq!(ask(&["orca"]), None);
}
