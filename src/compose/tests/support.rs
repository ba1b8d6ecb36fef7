//! The support table: it covers every attribute, its page is fresh, its verdicts have places.

use std::path::Path;

use crate::compose::schema::{Object, PROJECT, SERVICE, Shape};
use crate::compose::support::{deploy_table, service_table, top_table};
use crate::compose::{
    Diagnostic, FileArg, LoadOptions, Loaded, Support, json_schema, load, support_page,
};

fn loaded(text: &str) -> Loaded {
    let options = LoadOptions {
        files: vec![FileArg::Stdin(text.to_owned())],
        project_name: Some("test".to_owned()),
        working_directory: "/prj".into(),
        ..LoadOptions::default()
    };
    load(&options).unwrap_or_else(|errors| panic!("{errors}"))
}

fn inner(shape: &'static Shape) -> Option<&'static Object> {
    match shape {
        Shape::Object(object) | Shape::ObjectOrNull(object) => Some(object),
        Shape::Named(member) => inner(member),
        _ => None,
    }
}

#[test]
fn every_attribute_is_in_the_table_and_every_line_is_an_attribute() {
    let names = |object: &'static Object| object.fields.iter().map(|field| field.name);
    for name in names(&SERVICE) {
        assert!(service_table().iter().any(|entry| entry.name == name), "services.*.{name}");
    }
    for entry in service_table() {
        assert!(SERVICE.field(entry.name).is_some(), "services.*.{}", entry.name);
    }
    let deploy = inner(&SERVICE.field("deploy").unwrap().shape).unwrap();
    for name in names(deploy) {
        assert!(deploy_table().iter().any(|entry| entry.name == name), "deploy.{name}");
    }
    for name in names(&PROJECT) {
        assert!(top_table().iter().any(|entry| entry.name == name), "{name}");
    }
    for kind in ["networks", "volumes", "secrets", "configs"] {
        for name in names(inner(&PROJECT.field(kind).unwrap().shape).unwrap()) {
            let name = format!("{kind}.*.{name}");
            assert!(top_table().iter().any(|entry| entry.name == name), "{name}");
        }
    }
}

#[test]
fn the_page_in_docs_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compose.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("<!-- table: begin -->\n").unwrap();
    let (table, after) = rest.split_once("<!-- table: end -->").unwrap();
    let fresh = support_page();
    if std::env::var_os("ORCA_WRITE_DOCS").is_some() {
        let page = format!("{before}<!-- table: begin -->\n{fresh}<!-- table: end -->{after}");
        std::fs::write(&path, page).unwrap();
    } else {
        assert_eq!(table, fresh, "run this test with ORCA_WRITE_DOCS=1");
    }
}

#[test]
fn verdicts_and_refusals_have_places() {
    let loaded = loaded(
        "services:\n  a:\n    image: i\n    use_api_socket: true\n    runtime: nvidia\n    deploy:\n      update_config: { order: start-first }\n    secrets: [s]\nsecrets:\n  s: { external: true }\n",
    );
    let headlines: Vec<String> = loaded.refusals.iter().map(Diagnostic::headline).collect();
    assert_eq!(
        headlines,
        [
            "-:4:5: services.a.use_api_socket: not supported: there is no engine to talk to",
            "-:5:14: services.a.runtime: orca has its own runtime: \"nvidia\" cannot be had",
            "-:10:8: secrets.s.external: not supported: a store of secrets is planned",
        ]
    );
    let headlines: Vec<String> = loaded.warnings.iter().map(Diagnostic::headline).collect();
    assert_eq!(
        headlines,
        [
            "-:7:7: services.a.deploy.update_config: planned, and not looked at yet: a changed service is stopped and started anew",
            "-:7:24: services.a.deploy.update_config.order: planned: for now the old container stops before the new one starts",
        ]
    );
    let verdict = |path: &str| {
        let verdict = loaded.verdicts.iter().find(|verdict| verdict.path == path).unwrap();
        (verdict.place.as_ref().unwrap().line, verdict.support)
    };
    assert_eq!(verdict("services.a.image"), (3, Support::Full));
    assert_eq!(verdict("services.a.use_api_socket"), (4, Support::Refused));
    assert_eq!(verdict("services.a.deploy.update_config"), (7, Support::Planned));
    assert_eq!(verdict("secrets.s.external"), (10, Support::Refused));
}

#[test]
fn runtimes_that_change_nothing_are_not_told() {
    let loaded = loaded("services: { a: { image: i, runtime: runc, isolation: default } }");
    assert!(loaded.warnings.is_empty() && loaded.refusals.is_empty());
}

#[test]
fn the_schema_for_editors_knows_the_attributes() {
    let schema = json_schema();
    let service = &schema["properties"]["services"]["patternProperties"]["^[a-zA-Z0-9._-]+$"];
    assert_eq!(service["properties"]["image"]["type"], "string");
    assert!(service["properties"]["x-orca"]["properties"]["drain"].is_object());
    let description = service["properties"]["use_api_socket"]["description"].as_str().unwrap();
    assert!(description.starts_with("refused: "), "{description}");
}
