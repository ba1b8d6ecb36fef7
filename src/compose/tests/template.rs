//! The table of interpolation: what each form gives.

use super::*;

fn lookup(name: &str) -> Option<String> {
    match name {
        "SET" => Some("value".to_owned()),
        "EMPTY" => Some(String::new()),
        "_u1" => Some("under".to_owned()),
        _ => None,
    }
}

fn check(text: &str, expected: &str) {
    assert_eq!(substitute(text, &lookup, &mut Vec::new()).as_deref(), Ok(expected), "{text}");
}

fn check_error(text: &str, expected: &str) {
    let error = substitute(text, &lookup, &mut Vec::new()).expect_err(text);
    assert_eq!(error.to_string(), expected, "{text}");
}

#[test]
fn every_operator_does_what_the_shell_does() {
    check("$SET ${SET} $_u1", "value value under");
    check("${NONE}${EMPTY}", "");
    check("${SET:-d} ${EMPTY:-d} ${NONE:-d}", "value d d");
    check("${SET-d} ${EMPTY-d} ${NONE-d}", "value  d");
    check("${SET:+r}${EMPTY:+r}${NONE:+r}", "r");
    check("${SET+r}${EMPTY+r}${NONE+r}", "rr");
    check("${SET:?e} ${SET?e}${EMPTY?e}", "value value");
    check_error("${NONE:?why}", "required variable NONE is missing a value: why");
    check_error("${EMPTY:?}", "required variable EMPTY is missing a value");
    check_error("${NONE?$SET}", "required variable NONE is missing a value: value");
}

#[test]
fn words_nest_and_braces_balance() {
    check("${NONE:-${NONE:-x}}", "x");
    check("${NONE:-$SET}!", "value!");
    check("${NONE:-{\"a\":1}}", "{\"a\":1}");
    check("${NONE:-a}b}", "ab}");
    check("${NONE-a:-b}", "a:-b");
    check("${NONE:-}x", "x");
    check("${NONE:-a} and ${SET:-b}", "a and value");
}

#[test]
fn a_dollar_that_names_nothing_stays() {
    for text in ["$", "a$", "$1", "$ A", "$(cmd)", "$-"] {
        check(text, text);
    }
    check("$$SET", "$SET");
    check("$${SET}", "${SET}");
    check("$$$SET", "$value");
}

#[test]
fn what_is_not_of_the_form_is_refused() {
    for text in ["${}", "${1}", "${A", "${A B}", "${A.b}", "${A/a/b}", "${A:1:2}", "${A:-\nb}"] {
        check_error(text, &format!("invalid interpolation format {text:?}"));
    }
    let deep = format!("{}x{}", "${A:-".repeat(100), "}".repeat(100));
    check_error(&deep, "variables are nested too deep");
}

#[test]
fn unset_variables_are_told() {
    let mut unset = Vec::new();
    substitute("$A ${B} ${C:-x}", &lookup, &mut unset).unwrap();
    assert_eq!(unset, ["A", "B"]);
}
