//! The smaller objects inside a service.

use super::{ANY, Object, Shape, field, nullable, object};

/// `services.*.blkio_config`
pub(super) static BLKIO: Object = object(&[
    field("weight", Shape::Int(ANY)),
    field("weight_device", Shape::Items(&Shape::Object(&BLKIO_WEIGHT))),
    field("device_read_bps", Shape::Items(&Shape::Object(&BLKIO_LIMIT))),
    field("device_read_iops", Shape::Items(&Shape::Object(&BLKIO_LIMIT))),
    field("device_write_bps", Shape::Items(&Shape::Object(&BLKIO_LIMIT))),
    field("device_write_iops", Shape::Items(&Shape::Object(&BLKIO_LIMIT))),
])
.closed();

static BLKIO_LIMIT: Object =
    object(&[field("path", Shape::Text), field("rate", Shape::Bytes)]).closed().capitals();

static BLKIO_WEIGHT: Object =
    object(&[field("path", Shape::Text), field("weight", Shape::Int(ANY))]).closed().capitals();

/// `services.*.credential_spec`
pub(super) static CREDENTIAL_SPEC: Object = object(&[
    field("config", Shape::Text),
    field("file", Shape::Text),
    field("registry", Shape::Text),
]);

/// `services.*.depends_on.*`
pub(super) static DEPENDENCY: Object = object(&[
    field(
        "condition",
        Shape::Choice(&["service_started", "service_healthy", "service_completed_successfully"]),
    ),
    field("restart", Shape::Flag),
    field("required", Shape::RequiredFlag),
])
.requires(&["condition"]);

/// `services.*.devices[]`
pub(super) static DEVICE: Object = object(&[
    field("source", Shape::Text),
    field("target", Shape::Text),
    field("permissions", Shape::Text),
])
.requires(&["source"]);

/// `services.*.gpus[]` and `deploy.resources.reservations.devices[]`
pub(super) static DEVICE_REQUEST: Object = object(&[
    field("capabilities", Shape::UniqueTexts),
    field("driver", Shape::Text),
    field("count", Shape::Count),
    field("device_ids", Shape::UniqueTexts),
    field("options", Shape::Labels),
]);

/// `services.*.env_file[]`
pub(super) static ENV_FILE: Object = object(&[
    field("path", Shape::Text),
    field("required", Shape::RequiredFlag),
    field("format", Shape::Text),
])
.requires(&["path"])
.closed();

/// `services.*.extends`
pub(super) static EXTENDS: Object =
    object(&[field("file", Shape::Text), field("service", Shape::Text)])
        .requires(&["service"])
        .closed();

/// `services.*.configs[]` and `secrets[]`
pub(super) static FILE_MOUNT: Object = object(&[
    field("source", Shape::Text),
    field("target", Shape::Text),
    field("uid", Shape::Text),
    field("gid", Shape::Text),
    field("mode", Shape::FileMode),
]);

/// `services.*.healthcheck`
pub(super) static HEALTHCHECK: Object = object(&[
    field("test", Shape::Test),
    field("timeout", Shape::OptionalDuration),
    field("interval", Shape::OptionalDuration),
    field("retries", Shape::OptionalInt(super::NATURAL)),
    field("start_period", Shape::OptionalDuration),
    field("start_interval", Shape::OptionalDuration),
    field("disable", Shape::Flag),
]);

/// `services.*.post_start[]`, `pre_stop[]` and `develop.watch[].exec`
pub(super) static HOOK: Object = object(&[
    nullable("command", Shape::Words),
    field("user", Shape::Text),
    field("privileged", Shape::Flag),
    field("working_dir", Shape::Text),
    field("environment", Shape::Variables),
])
.requires(&["command"]);

/// `services.*.pre_start[]`
pub(super) static INIT_HOOK: Object = object(&[
    nullable("command", Shape::Words),
    field("image", Shape::Text),
    field("per_replica", Shape::Flag),
    field("user", Shape::Text),
    field("privileged", Shape::Flag),
    field("working_dir", Shape::Text),
    field("environment", Shape::Variables),
])
.requires(&["command"]);

/// `services.*.logging`
pub(super) static LOGGING: Object =
    object(&[field("driver", Shape::Text), field("options", Shape::LooseOptions)]);

/// `services.*.ports[]`
pub(super) static PORT: Object = object(&[
    field("name", Shape::Text),
    field("mode", Shape::Text),
    field("host_ip", Shape::Text),
    field("target", Shape::Int(super::range(0, u32::MAX as i64))),
    field("published", Shape::NumberText),
    field("protocol", Shape::Text),
    field("app_protocol", Shape::Text),
]);

/// `services.*.provider`
pub(super) static PROVIDER: Object =
    object(&[field("type", Shape::Text), field("options", Shape::MultiOptions)])
        .requires(&["type"]);

/// `services.*.models.*`
pub(super) static SERVICE_MODEL: Object =
    object(&[field("endpoint_var", Shape::Text), field("model_var", Shape::Text)]);

/// `services.*.networks.*`
pub(super) static SERVICE_NETWORK: Object = object(&[
    field("aliases", Shape::UniqueTexts),
    field("driver_opts", Shape::Options),
    field("gw_priority", Shape::StrictInt),
    field("interface_name", Shape::Text),
    field("ipv4_address", Shape::Text),
    field("ipv6_address", Shape::Text),
    field("link_local_ips", Shape::UniqueTexts),
    field("mac_address", Shape::Text),
    field("priority", Shape::StrictInt),
]);

/// `services.*.volumes[]`
pub(super) static VOLUME_MOUNT: Object = object(&[
    field("type", Shape::Choice(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"])),
    field("source", Shape::Text),
    field("target", Shape::Text),
    field("read_only", Shape::Flag),
    field("consistency", Shape::Text),
    field("bind", Shape::Object(&MOUNT_BIND)),
    field("volume", Shape::Object(&MOUNT_VOLUME)),
    field("tmpfs", Shape::Object(&MOUNT_TMPFS)),
    field("image", Shape::Object(&MOUNT_IMAGE)),
])
.requires(&["type"]);

static MOUNT_BIND: Object = object(&[
    field("selinux", Shape::Choice(&["z", "Z"])),
    field("propagation", Shape::Text),
    field("create_host_path", Shape::ThreeWay),
    field("recursive", Shape::Choice(&["enabled", "disabled", "writable", "readonly"])),
]);

static MOUNT_VOLUME: Object = object(&[
    field("labels", Shape::Labels),
    field("nocopy", Shape::Flag),
    field("subpath", Shape::Text),
]);

static MOUNT_TMPFS: Object = object(&[field("size", Shape::Size), field("mode", Shape::PlainInt)]);

static MOUNT_IMAGE: Object = object(&[field("subpath", Shape::Text)]);
