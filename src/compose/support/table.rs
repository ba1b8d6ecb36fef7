//! The table itself.

use super::{Entry, Support};

const fn entry(name: &'static str, support: Support, note: &'static str) -> Entry {
    Entry { name, support, note }
}

const fn yes(name: &'static str) -> Entry {
    entry(name, Support::Full, "")
}

const fn part(name: &'static str, note: &'static str) -> Entry {
    entry(name, Support::Part, note)
}

const fn no_effect(name: &'static str, note: &'static str) -> Entry {
    entry(name, Support::NoEffect, note)
}

const fn ignored(name: &'static str, note: &'static str) -> Entry {
    entry(name, Support::Ignored, note)
}

const fn planned(name: &'static str, note: &'static str) -> Entry {
    entry(name, Support::Planned, note)
}

const fn refused(name: &'static str, note: &'static str) -> Entry {
    entry(name, Support::Refused, note)
}

/// The top level, and networks, volumes, configs and secrets.
pub(crate) fn top_table() -> &'static [Entry] {
    TOP
}

const TOP: &[Entry] = &[
    no_effect("version", "obsolete"),
    yes("name"),
    yes("include"),
    yes("services"),
    yes("networks"),
    yes("volumes"),
    yes("secrets"),
    yes("configs"),
    refused("models", "orca runs no models"),
    yes("networks.*.name"),
    part(
        "networks.*.driver",
        "every network is a bridge; `overlay` becomes one, others are refused",
    ),
    part("networks.*.driver_opts", "`com.docker.network.driver.mtu`; others are ignored"),
    part(
        "networks.*.ipam",
        "the first IPv4 and the first IPv6 subnet; the driver must be `default`",
    ),
    yes("networks.*.external"),
    yes("networks.*.internal"),
    no_effect("networks.*.attachable", "there is nobody else to attach"),
    yes("networks.*.labels"),
    part("networks.*.enable_ipv4", "`false` is refused"),
    yes("networks.*.enable_ipv6"),
    yes("volumes.*.name"),
    part("volumes.*.driver", "`local` only; others are refused"),
    part(
        "volumes.*.driver_opts",
        "`type`, `device`, `o` as `mount(8)` has them, and `size`; others are refused",
    ),
    yes("volumes.*.external"),
    yes("volumes.*.labels"),
    no_effect("secrets.*.name", "for display only"),
    yes("secrets.*.file"),
    yes("secrets.*.environment"),
    refused("secrets.*.external", "a store of secrets is planned"),
    no_effect("secrets.*.labels", "for display only"),
    refused("secrets.*.driver", "orca has no drivers of secrets"),
    refused("secrets.*.driver_opts", "orca has no drivers of secrets"),
    refused("secrets.*.template_driver", "orca has no templates"),
    no_effect("configs.*.name", "for display only"),
    yes("configs.*.file"),
    yes("configs.*.environment"),
    yes("configs.*.content"),
    refused("configs.*.external", "a store of configs is planned"),
    no_effect("configs.*.labels", "for display only"),
    refused("configs.*.template_driver", "orca has no templates"),
];

/// A service.
pub(crate) fn service_table() -> &'static [Entry] {
    SERVICE
}

const SERVICE: &[Entry] = &[
    yes("annotations"),
    no_effect("attach", "about what `up` shows"),
    yes("blkio_config"),
    part("build", "orca does not build: the service needs an image too, which is pulled"),
    yes("cap_add"),
    yes("cap_drop"),
    yes("cgroup"),
    yes("cgroup_parent"),
    yes("command"),
    yes("configs"),
    yes("container_name"),
    ignored("cpu_count", "for Windows"),
    ignored("cpu_percent", "for Windows"),
    yes("cpu_period"),
    yes("cpu_quota"),
    part("cpu_rt_period", "with cgroup v1 only"),
    part("cpu_rt_runtime", "with cgroup v1 only"),
    yes("cpu_shares"),
    yes("cpus"),
    yes("cpuset"),
    refused("credential_spec", "for Windows"),
    yes("depends_on"),
    yes("deploy"),
    no_effect("develop", "about `docker compose watch`"),
    yes("device_cgroup_rules"),
    part("devices", "paths, and names of devices that are described in `/etc/cdi`"),
    yes("dns"),
    yes("dns_opt"),
    yes("dns_search"),
    yes("domainname"),
    yes("entrypoint"),
    yes("env_file"),
    yes("environment"),
    yes("expose"),
    yes("extends"),
    refused("external_links", "containers outside the stack have no names here; share a network"),
    yes("extra_hosts"),
    part("gpus", "devices that are described in `/etc/cdi` or `/var/run/cdi`"),
    yes("group_add"),
    part(
        "healthcheck",
        "also `[\"HTTP\", url]` and `[\"TCP\", port]`, which need no program in the image",
    ),
    yes("hostname"),
    yes("image"),
    yes("init"),
    yes("ipc"),
    ignored("isolation", "for Windows"),
    yes("label_file"),
    yes("labels"),
    yes("links"),
    part("logging", "orca keeps the output itself: `max-size`, `max-file`, and the driver `none`"),
    yes("mac_address"),
    yes("mem_limit"),
    yes("mem_reservation"),
    part("mem_swappiness", "with cgroup v1 only"),
    yes("memswap_limit"),
    refused("models", "orca runs no models"),
    part("network_mode", "`bridge` is the project's default network"),
    part("networks", "`driver_opts` of a service are ignored"),
    part("oom_kill_disable", "with cgroup v1 only"),
    yes("oom_score_adj"),
    yes("pid"),
    yes("pids_limit"),
    part("platform", "one that this machine, or an emulator on it, can run"),
    part("ports", "`mode` makes no difference on one machine"),
    yes("post_start"),
    refused(
        "pre_start",
        "init containers are planned; use `depends_on` with `service_completed_successfully`",
    ),
    yes("pre_stop"),
    yes("privileged"),
    yes("profiles"),
    refused("provider", "orca runs no programs of the host"),
    part("pull_policy", "`build` is as `missing`: orca does not build"),
    ignored("pull_refresh_after", "use `pull_policy: every_<time>`"),
    yes("read_only"),
    yes("restart"),
    part("runtime", "`runc` and `orca`; others are refused: orca is its own runtime"),
    yes("scale"),
    yes("secrets"),
    part("security_opt", "`no-new-privileges`, `seccomp=`, `apparmor=`, `systempaths=unconfined`"),
    yes("shm_size"),
    yes("stdin_open"),
    yes("stop_grace_period"),
    yes("stop_signal"),
    part("storage_opt", "`size`, where ext4 or xfs has project quotas; others are refused"),
    yes("sysctls"),
    yes("tmpfs"),
    yes("tty"),
    yes("ulimits"),
    refused("use_api_socket", "there is no engine to talk to"),
    yes("user"),
    part("userns_mode", "`host`; without it the stack has users of its own"),
    yes("uts"),
    part("volumes", "types bind, volume, tmpfs and image; npipe and cluster are refused"),
    yes("volumes_from"),
    yes("working_dir"),
];

/// `deploy` of a service.
pub(crate) fn deploy_table() -> &'static [Entry] {
    DEPLOY
}

const DEPLOY: &[Entry] = &[
    yes("mode"),
    yes("replicas"),
    no_effect("labels", "of the service, not of its containers: for display only"),
    planned("update_config", "a changed service is stopped and started anew"),
    planned("rollback_config", "a changed service is stopped and started anew"),
    yes("resources"),
    yes("resources.limits"),
    yes("resources.reservations"),
    ignored("resources.reservations.cpus", "there is one machine only"),
    part(
        "resources.reservations.devices",
        "devices that are described in `/etc/cdi` or `/var/run/cdi`",
    ),
    ignored("resources.reservations.generic_resources", "there is one machine only"),
    yes("restart_policy"),
    part("placement", "there is one machine only: constraints are not looked at"),
    part("endpoint_mode", "`dnsrr`; virtual addresses (`vip`) are planned"),
];
