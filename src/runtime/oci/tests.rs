//! Values in and values out.

use super::kill::signal;

#[test]
fn signals_have_names_and_numbers() {
    for (text, number) in [
        ("TERM", 15),
        ("SIGTERM", 15),
        ("sigkill", 9),
        ("9", 9),
        ("0", 0),
        ("CLD", 17),
        ("RTMIN", 34),
        ("SIGRTMIN+3", 37),
        ("RTMAX-2", 62),
        ("64", 64),
    ] {
        assert_eq!(signal(text).unwrap(), number, "{text}");
    }
    for text in ["", "SIG", "65", "-1", "NOSUCH", "RTMIN+99", "RTMAX+1", "RTMINx"] {
        assert!(signal(text).is_err(), "{text}");
    }
}

#[test]
fn the_template_is_a_configuration_that_is_understood() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("rootfs")).unwrap();
    let spec = serde_json::from_value(super::template(None)).unwrap();
    let compiled =
        super::compile::start(&spec, "id", dir.path(), super::compile::Manner::default()).unwrap();
    assert!(compiled.plan.tty);
    assert_eq!(compiled.warnings, Vec::<String>::new());
}

#[test]
fn the_features_name_what_there_is() {
    let features = super::features();
    assert_eq!(features["ociVersionMin"], "1.0.0");
    let options = features["mountOptions"].as_array().unwrap();
    assert!(options.iter().any(|option| option == "rro"));
}
