//! The grammar of env files, line by line.

use super::*;

fn outer(name: &str) -> Option<String> {
    (name == "OUTER").then(|| "outside".to_owned())
}

fn read(text: &str) -> Result<Vec<(String, String)>, DotenvError> {
    let mut variables = BTreeMap::new();
    parse(text, &outer, &mut variables)?;
    Ok(variables.into_iter().collect())
}

fn check(text: &str, expected: &[(&str, &str)]) {
    let expected: Vec<_> =
        expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    assert_eq!(read(text), Ok(expected), "{text:?}");
}

#[test]
fn every_form_of_a_line_is_read() {
    check("A=1\nB: two\nexport C=3\nD=\n", &[("A", "1"), ("B", "two"), ("C", "3"), ("D", "")]);
    check("OUTER\nNONE\nA=1", &[("A", "1"), ("OUTER", "outside")]);
    check("OUTER", &[("OUTER", "outside")]);
    check("# c\n\n  A=1 # c\nB=a#b\n", &[("A", "1"), ("B", "a#b")]);
    check("\u{feff}A=1\r\nB=2\r\n", &[("A", "1"), ("B", "2")]);
    check("A=1\nA=2\n", &[("A", "2")]);
    check("a.b-c[0]=x", &[("a.b-c[0]", "x")]);
}

#[test]
fn quotes_keep_spaces_and_lines() {
    check("A=' $OUTER # '", &[("A", " $OUTER # ")]);
    check("A=\" ${OUTER} # \"", &[("A", " outside # ")]);
    check("A=\"one\ntwo\"\nB=1", &[("A", "one\ntwo"), ("B", "1")]);
    check(r#"A="a\tb\"c\\d\$e""#, &[("A", "a\tb\"c\\d$e")]);
    check(r"A='it\'s'", &[("A", "it's")]);
    check(r#"A="\0101x""#, &[("A", "Ax")]);
    check("A=\"x\"B=2", &[("A", "x"), ("B", "2")]);
}

#[test]
fn values_name_earlier_ones() {
    check("A=1\nB=${A}2$OUTER\nC=$$A", &[("A", "1"), ("B", "12outside"), ("C", "$A")]);
    check("A=${NONE:-d}", &[("A", "d")]);
}

#[test]
fn what_is_wrong_has_its_line() {
    let error = |text: &str| read(text).expect_err(text);
    assert_eq!(error("A=1\nB C=2").line, 2);
    assert_eq!(
        error("A=1\n\nB!=2").message,
        "unexpected character \"!\" in variable name \"B!=2\""
    );
    assert_eq!(error("A=1\n\nB!=2").line, 3);
    assert_eq!(error("A=\"x\ny").message, "unterminated quoted value \"x");
    assert_eq!(error("A=${B").line, 1);
}

#[test]
fn raw_values_are_not_touched() {
    let mut variables = BTreeMap::new();
    parse_raw("A='x' # $B\nOUTER\n\n#c\nE=\n", &outer, &mut variables).unwrap();
    let expected = [("A", "'x' # $B"), ("E", ""), ("OUTER", "outside")];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(variables, BTreeMap::from(expected));
    assert!(parse_raw("A B=1", &outer, &mut variables).is_err());
}
