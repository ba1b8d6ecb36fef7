use std::path::PathBuf;

use clap::FromArgMatches as _;

use super::*;

#[test]
fn the_command_line_is_consistent() {
    command().debug_assert();
}

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    let matches = command().try_get_matches_from(line.split_whitespace())?;
    Arguments::from_arg_matches(&matches)
}

/// The options of the project, from both places.
fn project_of(line: &str) -> ProjectArgs {
    let arguments = parse(line).unwrap();
    let after = match arguments.verb {
        Verb::Up(of) => of.project,
        Verb::Ps(of) => of.project,
        Verb::Logs(of) => of.project,
        Verb::Exec(of) => of.project,
        other => panic!("not expected here: {other:?}"),
    };
    arguments.project.then(after)
}

fn files(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

#[test]
fn options_of_the_project_stand_before_or_after_the_verb() {
    for line in [
        "orca -f a.yaml -p shop --profile x --env-file e --project-directory d up",
        "orca up -f a.yaml -p shop --profile x --env-file e --project-directory d",
        "orca -f a.yaml --profile x up -p shop --project-directory d --env-file e",
        "orca --file a.yaml --project-name=shop --env-file=e up --profile x --project-directory d",
    ] {
        let project = project_of(line);
        assert_eq!(project.file, files(&["a.yaml"]), "{line}");
        assert_eq!(project.project_name.as_deref(), Some("shop"), "{line}");
        assert_eq!(project.profile, ["x"], "{line}");
        assert_eq!(project.env_file, files(&["e"]), "{line}");
        assert_eq!(project.project_directory, Some(PathBuf::from("d")), "{line}");
    }
}

#[test]
fn files_of_both_places_are_put_together_in_order() {
    assert_eq!(project_of("orca -f a -f b up -f c").file, files(&["a", "b", "c"]));
}

#[test]
fn the_later_name_wins() {
    assert_eq!(project_of("orca -p a ps -p b").project_name.as_deref(), Some("b"));
}

#[test]
fn after_logs_f_means_follow() {
    let arguments = parse("orca -f a.yaml logs -f --file b.yaml web").unwrap();
    let Verb::Logs(of) = arguments.verb else { panic!("not logs") };
    assert_eq!(arguments.project.then(of.project).file, files(&["a.yaml", "b.yaml"]));
    let shown = format!("{:?}", of.args);
    assert!(shown.contains("follow: true"), "{shown}");
    assert!(shown.contains("names: [\"web\"]"), "{shown}");
}

#[test]
fn what_follows_the_program_of_exec_belongs_to_it() {
    let arguments = parse("orca exec -T -f a.yaml db psql -h /tmp -tAc -f x").unwrap();
    let Verb::Exec(of) = arguments.verb else { panic!("not exec") };
    assert_eq!(of.project.file, files(&["a.yaml"]));
    let shown = format!("{:?}", of.args);
    let command = r#"command: ["psql", "-h", "/tmp", "-tAc", "-f", "x"]"#;
    assert!(shown.contains(command), "{shown}");
    assert!(shown.contains("no_tty: true"), "{shown}");
}

#[test]
fn options_of_the_instance_stand_anywhere() {
    for line in [
        "orca --root /r --run /s image ls",
        "orca image --root /r --run /s ls",
        "orca image ls --root /r --run /s",
        "orca --root /r daemon --run /s",
    ] {
        let instance = parse(line).unwrap().instance;
        assert_eq!((instance.root, instance.run), ("/r".into(), "/s".into()), "{line}");
    }
}

#[test]
fn what_people_type_from_habit_is_understood() {
    for line in [
        "orca up -d --wait --remove-orphans",
        "orca up --scale web=3 --wait-timeout 60 web",
        "orca up --attach --no-log-prefix",
        "orca up --attach=web",
        "orca up --abort-on-container-exit --exit-code-from tests",
        "orca down -v -t 5 --remove-orphans",
        "orca ps -a -q web",
        "orca ps --format json --no-trunc --filter status=running",
        "orca logs -f -n 100 -t --no-color --since 10m web db",
        "orca exec -it web sh",
        "orca exec -e A=b -w / --index 2 -u root web id",
        "orca scale web=3 db=1",
        "orca stop -t 3 web",
        "orca kill -s HUP",
        "orca config --format json -q",
        "orca convert --hash *",
        "orca image load -i x.tar",
        "orca image rm -f a b",
        "orca volume prune -f",
        "orca version --short",
        "orca events --json",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn wrong_usage_is_refused_with_status_2() {
    for line in [
        "orca",
        "orca up --no-such-flag",
        "orca scale web=many",
        "orca scale web",
        "orca scale",
        "orca exec web",
        "orca up --force-recreate --no-recreate",
        "orca ps --status resting",
        "orca ps --format xml",
        "orca logs --tail some",
        "orca logs --index 0",
        "orca stop -t soon",
        "orca image import",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn every_option_has_a_help_text() {
    fn check(command: &clap::Command, path: &str) {
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            assert!(argument.get_help().is_some(), "{path}: {}", argument.get_id());
        }
        for verb in command.get_subcommands() {
            assert!(verb.get_about().is_some(), "{path} {}", verb.get_name());
            check(verb, &format!("{path} {}", verb.get_name()));
        }
    }
    check(&command(), "orca");
}

#[test]
fn options_of_docker_compose_that_change_nothing_are_taken() {
    for line in [
        "orca up -d --no-build -y --remove-orphans --wait",
        "orca up --no-start -t 3",
        "orca create --no-build -y --remove-orphans --scale web=2",
        "orca rm -f -s -v web",
        "orca down --rmi local --remove-orphans -t 1",
    ] {
        assert!(parse(line).is_ok(), "{line}");
    }
}
