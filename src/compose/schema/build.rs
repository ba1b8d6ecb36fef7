//! `build` and `develop`.

use super::parts::{FILE_MOUNT, HOOK};
use super::{Absent, Field, Object, Shape, field, object};

/// `services.*.build`
pub(super) static BUILD: Object = object(&[
    field("context", Shape::Text),
    field("dockerfile", Shape::Text),
    field("dockerfile_inline", Shape::Text),
    field("entitlements", Shape::Texts),
    field("args", Shape::Variables),
    field("provenance", Shape::TextOrFlag),
    field("sbom", Shape::TextOrFlag),
    field("ssh", Shape::Ssh),
    field("labels", Shape::Labels),
    field("cache_from", Shape::Texts),
    field("cache_to", Shape::Texts),
    field("no_cache", Shape::Flag),
    field("no_cache_filter", Shape::TextOrTexts),
    field("additional_contexts", Shape::Labels),
    field("pull", Shape::Flag),
    field("extra_hosts", Shape::Hosts),
    field("isolation", Shape::Text),
    field("network", Shape::Text),
    field("target", Shape::Text),
    field("secrets", Shape::Items(&Shape::ShortOr(&FILE_MOUNT))),
    field("shm_size", Shape::Bytes),
    field("tags", Shape::Texts),
    field("ulimits", Shape::Named(&Shape::Ulimit)),
    field("platforms", Shape::Texts),
    field("privileged", Shape::Flag),
]);

/// `services.*.develop`
pub(super) static DEVELOP: Object = object(&[field("watch", Shape::Items(&Shape::Object(&WATCH)))]);

static WATCH: Object = object(&[
    field("path", Shape::Text),
    field("action", Shape::Choice(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"])),
    field("target", Shape::Text),
    Field { name: "exec", shape: Shape::Object(&HOOK), absent: Absent::Hook },
    field("include", Shape::TextOrUniqueTexts),
    field("ignore", Shape::TextOrUniqueTexts),
    field("initial_sync", Shape::StrictFlag),
])
.requires(&["path", "action"]);

/// `models.*`
pub(super) static MODEL: Object = object(&[
    field("name", Shape::Text),
    field("model", Shape::Text),
    field("context_size", Shape::Int(super::ANY)),
    field("runtime_flags", Shape::Texts),
])
.requires(&["model"]);
