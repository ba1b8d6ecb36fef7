//! A JSON schema of what orca accepts, for editors; made from the same table as the checks.

use serde_json::{Map, Value, json};

use super::{Support, deploy_table, service_table};
use crate::compose::schema::{Object, PROJECT, SERVICE, Shape};

/// The schema, in the dialect of draft 7.
pub fn json_schema() -> Value {
    let mut schema = object(&PROJECT, "");
    if let Some(root) = schema.as_object_mut() {
        root.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
        root.insert("title".to_owned(), json!("A compose file as orca reads it"));
    }
    schema
}

fn object(object: &'static Object, prefix: &str) -> Value {
    let mut properties = Map::new();
    for field in object.fields {
        let mut property = shape(&field.shape, prefix);
        describe(&mut property, prefix, field.name);
        properties.insert(field.name.to_owned(), property);
    }
    if std::ptr::eq(object, &raw const SERVICE) {
        properties.insert("x-orca".to_owned(), extension());
    }
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if let Some(map) = schema.as_object_mut() {
        if !object.required.is_empty() {
            map.insert("required".to_owned(), json!(object.required));
        }
        if object.extensions {
            map.insert("patternProperties".to_owned(), json!({ "^x-": {} }));
        }
    }
    schema
}

/// What the support table says of an attribute of a service.
fn describe(property: &mut Value, prefix: &str, name: &str) {
    let table = match prefix {
        "service." => service_table(),
        "service.deploy." => deploy_table(),
        _ => return,
    };
    let Some(entry) = table.iter().find(|entry| entry.name == name) else { return };
    if entry.support == Support::Full && entry.note.is_empty() {
        return;
    }
    if let Some(map) = property.as_object_mut() {
        let text = [entry.support.as_str(), ": ", entry.note].concat();
        map.insert("description".to_owned(), json!(text));
    }
}

/// `x-orca`.
fn extension() -> Value {
    let time = json!({ "type": "string", "description": "a span of time, such as 30s" });
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "restart": {
                "type": "object",
                "additionalProperties": false,
                "properties": { "delay": time, "max_delay": time },
            },
            "on_unhealthy": { "enum": ["restart", "none"] },
            "progress_deadline": time,
            "drain": time,
        },
    })
}

fn shape(shape: &'static Shape, prefix: &str) -> Value {
    let any_of = |shapes: Vec<Value>| json!({ "anyOf": shapes });
    let texts = json!({ "type": "array", "items": { "type": "string" } });
    let scalar = json!({ "type": ["string", "number", "boolean", "null"] });
    let pairs =
        any_of(vec![json!({ "type": "object", "additionalProperties": scalar }), texts.clone()]);
    match shape {
        Shape::Text
        | Shape::DroppedText
        | Shape::Checked(_)
        | Shape::ByteText
        | Shape::Duration
        | Shape::OptionalDuration => json!({ "type": "string" }),
        Shape::TextOrNull => json!({ "type": ["string", "null"] }),
        Shape::Choice(words) => json!({ "enum": words }),
        Shape::Flag | Shape::ThreeWay | Shape::RequiredFlag | Shape::TextOrFlag => {
            json!({ "type": ["boolean", "string"] })
        }
        Shape::StrictFlag => json!({ "type": "boolean" }),
        Shape::StrictInt => json!({ "type": "number" }),
        Shape::Int(_)
        | Shape::PlainInt
        | Shape::OptionalInt(_)
        | Shape::NumberText
        | Shape::Count => {
            json!({ "type": ["integer", "string"] })
        }
        Shape::Float | Shape::Bytes | Shape::Size | Shape::FileMode => {
            json!({ "type": ["number", "string"] })
        }
        Shape::Words => {
            json!({ "type": ["string", "array", "null"], "items": { "type": "string" } })
        }
        Shape::Test | Shape::TextOrTexts | Shape::TextOrUniqueTexts => {
            json!({ "type": ["string", "array"], "items": { "type": "string" } })
        }
        Shape::Texts | Shape::UniqueTexts => texts,
        Shape::Numbers => json!({ "type": "array", "items": { "type": ["string", "number"] } }),
        Shape::Variables | Shape::Labels | Shape::Ssh => pairs,
        Shape::Options | Shape::LooseOptions | Shape::MultiOptions | Shape::Dropped => {
            json!({ "type": "object" })
        }
        Shape::Hosts => any_of(vec![json!({ "type": "object" }), texts]),
        Shape::Object(inner) => object(inner, prefix),
        Shape::ObjectOrNull(inner) => {
            let inner_prefix = if prefix == "service." { "service.deploy." } else { prefix };
            any_of(vec![json!({ "type": "null" }), object(inner, inner_prefix)])
        }
        Shape::Items(item) | Shape::UniqueItems(item) => {
            json!({ "type": "array", "items": self::shape(item, "") })
        }
        Shape::Named(member) => {
            let inner = if matches!(member, Shape::Object(inner) if std::ptr::eq(*inner, &raw const SERVICE))
            {
                "service."
            } else {
                ""
            };
            json!({
                "type": "object",
                "patternProperties": { "^[a-zA-Z0-9._-]+$": self::shape(member, inner) },
                "additionalProperties": false,
            })
        }
        Shape::NamesOr(member) => any_of(vec![
            texts,
            json!({ "type": "object", "additionalProperties": self::shape(member, "") }),
        ]),
        Shape::ShortOr(inner) => any_of(vec![json!({ "type": "string" }), object(inner, "")]),
        Shape::NumberShortOr(inner) => {
            any_of(vec![json!({ "type": ["integer", "string"] }), object(inner, "")])
        }
        Shape::WordOr(word, other) => {
            any_of(vec![json!({ "enum": [word] }), self::shape(other, "")])
        }
        Shape::TextOr(other) => any_of(vec![json!({ "type": "string" }), self::shape(other, "")]),
        Shape::Ulimit => json!({ "type": ["integer", "string", "object"] }),
        Shape::External => json!({ "type": ["boolean", "string", "object"] }),
    }
}
