use super::*;

fn normal(rules: &[(bool, &str)]) -> (bool, Vec<String>) {
    let rules = rules.iter().map(|(allow, text)| {
        let rule: DeviceRule = text.parse().unwrap();
        DeviceRule { allow: *allow, ..rule }
    });
    let normal = DeviceRules(rules.collect()).normalised();
    let show = |((kind, major, minor), access): (&Target, &u8)| {
        Line(*kind, *major, *minor, Access(*access)).to_string()
    };
    (normal.allow, normal.exceptions.iter().map(show).collect())
}

#[test]
fn a_rule_for_everything_starts_anew() {
    assert_eq!(normal(&[(true, "c 1:3 rwm"), (false, "a *:* rwm")]), (false, vec![]));
    assert_eq!(normal(&[(false, "c 1:3 rwm"), (true, "a *:* rwm")]), (true, vec![]));
}

#[test]
fn rules_for_one_device_add_up() {
    let rules = [
        (false, "a *:* rwm"),
        (true, "c 1:3 r"),
        (true, "c 1:3 w"),
        (true, "b 8:* rwm"),
        (false, "b 8:* m"),
    ];
    let expected = vec!["b 8:* rw".to_owned(), "c 1:3 rw".to_owned()];
    assert_eq!(normal(&rules), (false, expected));
}

#[test]
fn a_denied_device_is_the_exception_of_an_open_cgroup() {
    let expected = vec!["b 7:0 w".to_owned(), "c 7:0 w".to_owned()];
    assert_eq!(normal(&[(true, "a *:* rwm"), (false, "a 7:0 w")]), (true, expected));
}

#[test]
fn a_wrong_rule_is_told() {
    for text in ["", "c", "c 1:3", "d 1:3 r", "c 1 r", "c 1:x r", "c 1:3 r w", "c -1:3 r"] {
        let told = text.parse::<DeviceRule>().unwrap_err().to_string();
        assert!(told.contains("is no rule for devices"), "{text}: {told}");
    }
    for text in ["c 1:3 x", "c 1:3 rwx"] {
        assert!(text.parse::<DeviceRule>().unwrap_err().to_string().contains("letters r, w and m"));
    }
}

#[test]
fn too_many_rules_are_refused() {
    let many =
        (0..).take(MAX_RULES + 1).map(|minor| DeviceRule::allow(DeviceKind::Char, 9, Some(minor)));
    let mut rules = vec![DeviceRule::everything(false)];
    rules.extend(many);
    let refused = DeviceRules(rules).normalised().program().unwrap_err();
    assert!(refused.to_string().contains("400 rules"));
}
