//! A service's attributes.

use super::build::{BUILD, DEVELOP};
use super::deploy::DEPLOY;
use super::parts::{
    BLKIO, CREDENTIAL_SPEC, DEPENDENCY, DEVICE, DEVICE_REQUEST, ENV_FILE, EXTENDS, FILE_MOUNT,
    HEALTHCHECK, HOOK, LOGGING, PORT, PROVIDER, SERVICE_MODEL, SERVICE_NETWORK, VOLUME_MOUNT,
};
use super::{ANY, NATURAL, Object, Shape, field, nullable, object, range};

/// `services.*`
pub(crate) static SERVICE: Object = object(&[
    field("profiles", Shape::UniqueTexts),
    field("annotations", Shape::Labels),
    field("attach", Shape::ThreeWay),
    field("build", Shape::ShortOr(&BUILD)),
    field("develop", Shape::ObjectOrNull(&DEVELOP)),
    field("blkio_config", Shape::Object(&BLKIO)),
    field("cap_add", Shape::UniqueTexts),
    field("cap_drop", Shape::UniqueTexts),
    field("cgroup_parent", Shape::Text),
    field("cgroup", Shape::Choice(&["host", "private"])),
    field("cpu_count", Shape::Int(NATURAL)),
    field("cpu_percent", Shape::Int(range(0, 100))),
    field("cpu_period", Shape::Int(ANY)),
    field("cpu_quota", Shape::Int(ANY)),
    field("cpu_rt_period", Shape::Int(ANY)),
    field("cpu_rt_runtime", Shape::Int(ANY)),
    field("cpus", Shape::Float),
    field("cpuset", Shape::Text),
    field("cpu_shares", Shape::Int(ANY)),
    nullable("command", Shape::Words),
    field("configs", Shape::Items(&Shape::ShortOr(&FILE_MOUNT))),
    field("container_name", Shape::Checked(container_name)),
    field("credential_spec", Shape::Object(&CREDENTIAL_SPEC)),
    field("depends_on", Shape::NamesOr(&Shape::Object(&DEPENDENCY))),
    field("deploy", Shape::ObjectOrNull(&DEPLOY)),
    field("device_cgroup_rules", Shape::UniqueTexts),
    field("devices", Shape::Items(&Shape::ShortOr(&DEVICE))),
    field("dns", Shape::TextOrUniqueTexts),
    field("dns_opt", Shape::UniqueTexts),
    field("dns_search", Shape::TextOrUniqueTexts),
    field("domainname", Shape::Text),
    nullable("entrypoint", Shape::Words),
    field("provider", Shape::Object(&PROVIDER)),
    field("environment", Shape::Variables),
    field("env_file", Shape::TextOr(&Shape::Items(&Shape::ShortOr(&ENV_FILE)))),
    field("expose", Shape::Numbers),
    field("extends", Shape::ShortOr(&EXTENDS)),
    field("external_links", Shape::UniqueTexts),
    field("extra_hosts", Shape::Hosts),
    field("group_add", Shape::Numbers),
    field("gpus", Shape::WordOr("all", &Shape::Items(&Shape::Object(&DEVICE_REQUEST)))),
    field("hostname", Shape::Text),
    field("healthcheck", Shape::Object(&HEALTHCHECK)),
    field("image", Shape::Text),
    field("init", Shape::ThreeWay),
    field("ipc", Shape::Text),
    field("isolation", Shape::Text),
    field("labels", Shape::Labels),
    field("label_file", Shape::TextOrTexts),
    field("links", Shape::UniqueTexts),
    field("logging", Shape::Object(&LOGGING)),
    field("mem_limit", Shape::Bytes),
    field("mem_reservation", Shape::Bytes),
    field("memswap_limit", Shape::Bytes),
    field("mem_swappiness", Shape::Bytes),
    field("mac_address", Shape::Text),
    field("models", Shape::NamesOr(&Shape::ObjectOrNull(&SERVICE_MODEL))),
    field("network_mode", Shape::Text),
    field("networks", Shape::NamesOr(&Shape::ObjectOrNull(&SERVICE_NETWORK))),
    field("oom_kill_disable", Shape::Flag),
    field("oom_score_adj", Shape::Int(range(-1000, 1000))),
    field("pid", Shape::TextOrNull),
    field("pids_limit", Shape::Int(ANY)),
    field("platform", Shape::Text),
    field("ports", Shape::UniqueItems(&Shape::NumberShortOr(&PORT))),
    field("privileged", Shape::Flag),
    field("pull_policy", Shape::Checked(pull_policy)),
    field("pull_refresh_after", Shape::DroppedText),
    field("read_only", Shape::Flag),
    field("restart", Shape::Text),
    field("runtime", Shape::Text),
    field("scale", Shape::OptionalInt(ANY)),
    field("secrets", Shape::Items(&Shape::ShortOr(&FILE_MOUNT))),
    field("security_opt", Shape::UniqueTexts),
    field("shm_size", Shape::Bytes),
    field("stdin_open", Shape::Flag),
    field("stop_grace_period", Shape::OptionalDuration),
    field("stop_signal", Shape::Text),
    field("storage_opt", Shape::LooseOptions),
    field("sysctls", Shape::Labels),
    field("tmpfs", Shape::TextOrUniqueTexts),
    field("tty", Shape::Flag),
    field("ulimits", Shape::Named(&Shape::Ulimit)),
    field("use_api_socket", Shape::StrictFlag),
    field("user", Shape::Text),
    field("userns_mode", Shape::Text),
    field("uts", Shape::Text),
    field("volumes", Shape::UniqueItems(&Shape::ShortOr(&VOLUME_MOUNT))),
    field("volumes_from", Shape::UniqueTexts),
    field("working_dir", Shape::Text),
    field("post_start", Shape::Items(&Shape::Object(&HOOK))),
    field("pre_stop", Shape::Items(&Shape::Object(&HOOK))),
    field("pre_start", Shape::Items(&Shape::Object(&super::parts::INIT_HOOK))),
]);

/// The specification's pattern is not anchored: two fitting characters in a row anywhere will do.
fn container_name(text: &str) -> Option<&'static str> {
    let bytes = text.as_bytes();
    let fits = bytes.windows(2).any(|pair| {
        pair[0].is_ascii_alphanumeric()
            && (pair[1].is_ascii_alphanumeric() || b"_.-".contains(&pair[1]))
    });
    (!fits).then_some("a container name has at least two of a-z, A-Z, 0-9, `_`, `.` and `-`")
}

fn pull_policy(text: &str) -> Option<&'static str> {
    let known =
        ["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"];
    let fits = known.iter().any(|word| text.contains(word))
        || text.find("every_").is_some_and(|at| {
            let rest = &text.as_bytes()[at + 6..];
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            digits > 0 && rest.get(digits).is_some_and(|unit| b"wdhms".contains(unit))
        });
    (!fits).then_some(
        "must be one of always, never, missing, if_not_present, build, daily, weekly, every_<time>",
    )
}
