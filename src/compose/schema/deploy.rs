//! `deploy`.

use super::{ANY, Object, Shape, embedded, field, object};

/// `services.*.deploy`
pub(super) static DEPLOY: Object = object(&[
    field("mode", Shape::Text),
    field("replicas", Shape::OptionalInt(ANY)),
    field("labels", Shape::Labels),
    field("update_config", Shape::Object(&UPDATE)),
    field("rollback_config", Shape::Object(&UPDATE)),
    embedded("resources", Shape::Object(&RESOURCES)),
    field("restart_policy", Shape::Object(&RESTART)),
    embedded("placement", Shape::Object(&PLACEMENT)),
    field("endpoint_mode", Shape::Text),
]);

static UPDATE: Object = object(&[
    field("parallelism", Shape::OptionalInt(super::NATURAL)),
    field("delay", Shape::Duration),
    field("failure_action", Shape::Text),
    field("monitor", Shape::Duration),
    field("max_failure_ratio", Shape::Float),
    field("order", Shape::Choice(&["start-first", "stop-first"])),
]);

static RESOURCES: Object = object(&[
    field("limits", Shape::Object(&LIMITS)),
    field("reservations", Shape::Object(&RESERVATIONS)),
]);

static LIMITS: Object = object(&[
    field("cpus", Shape::Float),
    field("memory", Shape::ByteText),
    field("pids", Shape::Int(ANY)),
]);

static RESERVATIONS: Object = object(&[
    field("cpus", Shape::Float),
    field("memory", Shape::ByteText),
    field("devices", Shape::Items(&Shape::Object(&RESERVED_DEVICE))),
    field("generic_resources", Shape::Items(&Shape::Object(&GENERIC))),
]);

static RESERVED_DEVICE: Object = object(DEVICE_REQUEST_FIELDS).requires(&["capabilities"]);

static DEVICE_REQUEST_FIELDS: &[super::Field] = &[
    field("capabilities", Shape::UniqueTexts),
    field("driver", Shape::Text),
    field("count", Shape::Count),
    field("device_ids", Shape::UniqueTexts),
    field("options", Shape::Labels),
];

static GENERIC: Object = object(&[field("discrete_resource_spec", Shape::Object(&DISCRETE))]);

static DISCRETE: Object =
    object(&[field("kind", Shape::Text), field("value", Shape::OptionalInt(ANY))]);

static RESTART: Object = object(&[
    field("condition", Shape::Text),
    field("delay", Shape::OptionalDuration),
    field("max_attempts", Shape::OptionalInt(super::NATURAL)),
    field("window", Shape::OptionalDuration),
]);

static PLACEMENT: Object = object(&[
    field("constraints", Shape::Texts),
    field("preferences", Shape::Items(&Shape::Object(&PREFERENCE))),
    field("max_replicas_per_node", Shape::Int(super::NATURAL)),
]);

static PREFERENCE: Object = object(&[field("spread", Shape::Text)]);
