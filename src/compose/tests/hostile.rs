//! Bad input: bounded time, one clear error, never a panic.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::compose::{FileArg, LoadOptions, load};

fn options(files: Vec<FileArg>, directory: &Path) -> LoadOptions {
    LoadOptions {
        files,
        project_name: Some("test".to_owned()),
        working_directory: directory.to_path_buf(),
        ..LoadOptions::default()
    }
}

fn error(text: &str) -> String {
    let options = options(vec![FileArg::Stdin(text.to_owned())], Path::new("/prj"));
    match load(&options) {
        Ok(_) => String::new(),
        Err(errors) => errors.to_string(),
    }
}

/// Debug builds on a shared machine are slow; the bound is there to catch what grows without end.
const SOON: Duration = Duration::from_secs(5);

#[track_caller]
fn check_soon(text: &str, expected: &str) {
    let start = Instant::now();
    let error = error(text);
    let (took, head) = (start.elapsed(), &text[..text.len().min(60)]);
    assert!(took < SOON, "took {took:?}: {head}");
    assert!(error.contains(expected), "{}\nlacks {expected}", &error[..error.len().min(2000)]);
}

#[test]
fn alias_bombs_do_not_grow() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        let list = [before.as_str(); 9].join(", ");
        let line = format!("a{level}: &a{level} [{list}]\n");
        bomb.push_str(&line);
    }
    check_soon(&bomb, "more than 100000 nodes when every alias is put in");
    let maps = bomb
        .replace("[x, x, x, x, x, x, x, x, x]", "{k: x}")
        .replace('[', "{<<: [")
        .replace(']', "]}");
    check_soon(&maps, "");
    check_soon("a: &a [*a]\n", "this alias stands inside what it means");
}

#[test]
fn deep_nesting_ends() {
    check_soon(&"[".repeat(100_000), "");
    check_soon(&format!("a: {}{}", "[".repeat(250), "]".repeat(250)), "nested deeper than");
    check_soon(&format!("x-a: {}1{}", "{a: ".repeat(5000), "}".repeat(5000)), "");
    let chain: String = (1..150).map(|n| format!("x{n}: &b{n} [*b{}]\n", n - 1)).collect();
    check_soon(&format!("x0: &b0 [1]\n{chain}"), "");
}

#[test]
fn a_megabyte_of_anything_is_read_soon() {
    let million = 1 << 20;
    check_soon(&"- a\n".repeat(million / 4), "more than 100000 nodes");
    check_soon(&"a".repeat(million), "the top level must be a mapping");
    check_soon(&"$".repeat(million), "the top level must be a mapping");
    let services: String = (0..9000)
        .map(|n| format!("  s{n}: {{image: i, ports: ['{n}:80'], depends_on: [s{}]}}\n", n + 1))
        .collect();
    check_soon(&format!("services:\n{services}"), "s9000");
    let unknown: String = (0..20_000).map(|n| format!("k{n}: {n}\n")).collect();
    check_soon(&unknown, "unknown attribute");
    let value = "${A:-".repeat(200_000);
    check_soon(&format!("services: {{a: {{image: '{value}'}}}}"), "invalid interpolation format");
    let braces = "${A:-x}".repeat(150_000);
    check_soon(&format!("services: {{a: {{image: i, labels: {{a: '{braces}'}}}}}}"), "");
    let extends: String =
        (0..5000).map(|n| format!("  s{n}: {{image: i, extends: s{}}}\n", n + 1)).collect();
    check_soon(&format!("services:\n{extends}  s5000: {{image: i}}\n"), "circular reference");
}

/// Files in a directory, the first of them being the project.
fn error_of(files: &[(&str, &str)], variables: &[(&str, &str)]) -> String {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let files = vec![FileArg::Path(files[0].0.into())];
    let mut options = options(files, directory.path());
    options.environment =
        variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    load(&options).map(|_| ()).map_err(|errors| errors.to_string()).unwrap_err()
}

#[test]
fn what_grows_out_of_a_small_file_is_bounded() {
    let lines: String = (0..20_000).map(|n| format!("      K{n}: v\n")).collect();
    let extending: String =
        (0..1000).map(|n| format!("  s{n}: {{image: i, extends: base}}\n")).collect();
    let text = format!("services:\n{extending}  base:\n    image: i\n    environment:\n{lines}");
    check_soon(&text, "the project becomes too large here: more than 300000 nodes");
    check_soon(&"---\nx-a: 1\n".repeat(200), "-:202:1: more than 100 documents in one file");
    check_soon("services: {a: {image: i, ports: ['1-65535']}}", "more than 25000 ports");
    let words = "x ".repeat(150_000);
    check_soon(
        &format!("services: {{a: {{image: i, command: {words}}}}}"),
        "more than 100000 words",
    );

    let big = "x".repeat(1 << 20);
    let labels: String = (0..1000).map(|n| format!("      l{n}: $BIG\n")).collect();
    let text = format!("services:\n  a:\n    image: i\n    labels:\n{labels}");
    let error = error_of(&[("stack.yaml", &text)], &[("BIG", &big)]);
    assert!(error.contains("variables make this longer than 4 MiB"), "{error}");

    let doubling: String = (1..60).map(|n| format!("A{n}=$A{}$A{}\n", n - 1, n - 1)).collect();
    let one = "services: {a: {image: i}}";
    let files = [("stack.yaml", one), (".env", &format!("A0=xx\n{doubling}"))];
    assert!(error_of(&files, &[]).contains("variables make this longer than 4 MiB"));

    let services: String =
        (0..1000).map(|n| format!("  s{n}: {{image: i, env_file: all.env}}\n")).collect();
    let variables: String = (0..10_000).map(|n| format!("K{n}=v\n")).collect();
    let files = [("stack.yaml", format!("services:\n{services}")), ("all.env", variables)];
    let error = error_of(&files.each_ref().map(|(name, text)| (*name, text.as_str())), &[]);
    assert!(error.contains("the project becomes too large here"), "{error}");

    let chain: Vec<(String, String)> = (0..80)
        .map(|n| (format!("f{n}.yaml"), format!("include: [f{}.yaml]\n{one}\n", n + 1)))
        .collect();
    let files: Vec<(&str, &str)> = chain.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert!(error_of(&files, &[]).contains("too many included files"));
}

#[test]
fn many_warnings_do_not_hide_an_error() {
    let labels: String = (0..300).map(|n| format!("      l{n}: $V{n}\n")).collect();
    let text = format!("services:\n  a:\n    labels:\n{labels}  b: {{image: i, imgae: j}}\n");
    check_soon(&text, "services.b: unknown attribute");
}

#[test]
fn files_that_are_no_text_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(directory.path().join(name), bytes).unwrap();
        let files = vec![FileArg::Path(name.into())];
        load(&options(files, directory.path())).map(|_| ()).expect_err(name).to_string()
    };
    assert!(
        write("latin.yaml", b"services:\n  a: {image: \xff}\n")
            .contains("is not valid UTF-8 (line 2)")
    );
    assert!(write("binary.yaml", b"\x7fELF\0\0\0").contains("is not a text file"));
    assert!(write("tab.yaml", b"services:\n\ta: {image: i}\n").contains("tab.yaml:2:"));
    assert!(write("empty.yaml", b"").contains("empty compose file"));
    let of = |name: &str| {
        let files = vec![FileArg::Path(name.into())];
        load(&options(files, directory.path())).map(|_| ()).expect_err(name).to_string()
    };
    assert!(of("none.yaml").contains("cannot read compose file"));
    assert!(of(".").contains("it is a directory"));
    std::fs::write(directory.path().join("large.yaml"), vec![b'#'; 9 << 20]).unwrap();
    assert!(of("large.yaml").contains("it is larger than 8 MiB"));
    let nothing = load(&options(Vec::new(), Path::new("/proc/self/fdinfo")));
    assert!(nothing.map(|_| ()).unwrap_err().to_string().contains("no compose file"));
}

#[test]
fn the_second_place_is_told_too() {
    let text = "services:\n  a:\n    image: i\n    image: j\n";
    assert_eq!(
        error(text),
        "-:4:5: services.a: mapping key \"image\" already defined\n \
         4 |     image: j\n   |     ^\n \
         -:3:5: first defined here\n 3 |     image: i\n   |     ^"
    );
    let twice = "services: {a: {image: i, container_name: cc}, b: {image: i, container_name: cc}}";
    assert!(error(twice).contains("first used here"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        drop(error(&text));
    }

    #[test]
    fn no_yaml_like_text_makes_it_panic(
        words in proptest::collection::vec(
            prop_oneof![
                Just("services:\n"), Just("  a:\n"), Just("    image: i\n"), Just("    ports:\n"),
                Just("      - "), Just("80:80\n"), Just("{"), Just("}"), Just("["), Just("]"), Just(": "),
                Just(", "), Just("&a "), Just("*a "), Just("<<: "), Just("!reset "), Just("!override "),
                Just("volumes"), Just("networks"), Just("x"), Just("1.5"), Just("null"), Just("\n"),
                Just("${X:-"), Just("$"), Just("'"), Just("\""), Just("extends"), Just("deploy"),
                Just("include"), Just("environment"), Just("- a\n"), Just("---\n"), Just("configs"),
            ],
            0..40,
        )
    ) {
        drop(error(&words.concat()));
    }

    #[test]
    fn no_value_anywhere_makes_it_panic(field in 0usize..97, value in 0usize..16) {
        let values = [
            "null", "true", "1", "-1", "1.5", "x", "''", "[]", "[x]", "[null]", "[[x]]", "{}", "{x: y}",
            "[{x: y}]", "{x: {y: z}}", "99999999999999999999",
        ];
        let fields = crate::compose::schema::SERVICE.fields;
        let name = fields[field % fields.len()].name;
        let value = values[value];
        drop(error(&format!("services:\n  a:\n    image: i\n    {name}: {value}\n")));
        drop(error(&format!("services:\n  a:\n    image: i\n    {name}: {value}\n---\nservices: {{a: {{{name}: [a]}}}}\n")));
        drop(error(&format!("services:\n  a:\n    image: i\n    {name}: [a]\n---\nservices: {{a: {{{name}: {value}}}}}\n")));
    }
}
