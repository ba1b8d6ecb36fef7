//! Which test looks at each attribute that orca says it does, in a container that runs or in the plan.

use std::collections::BTreeSet;

use crate::support::repository;

/// A file, a test in it, and the attributes that it looks at. Those of services and of `deploy` have
/// a prefix; the others are of the top level.
const OBSERVED: &[(&str, &str, &[&str])] = &[
    (
        "tests/it/attributes/rights.rs",
        "devices_come_by_the_names_that_their_vendors_gave_them",
        &["service.gpus", "deploy.resources.reservations.devices"],
    ),
    (
        "tests/it/image_commands.rs",
        "sizes_are_held_to_or_refused_before_anything_starts",
        &["service.storage_opt"],
    ),
    (
        "tests/it/attributes/controls.rs",
        "shares_and_limits_reach_the_cgroup",
        &[
            "services",
            "service.image",
            "service.command",
            "service.cpu_period",
            "service.cpu_quota",
            "service.cpu_shares",
            "service.cpuset",
            "service.mem_reservation",
            "service.memswap_limit",
            "deploy.resources.reservations",
            "name",
        ],
    ),
    (
        "tests/it/attributes/controls.rs",
        "the_switches_of_version_1_are_set_where_they_are",
        &["service.mem_swappiness", "service.oom_kill_disable"],
    ),
    ("tests/it/attributes/controls.rs", "speeds_of_disks_are_limited", &["service.blkio_config"]),
    (
        "tests/it/attributes/controls.rs",
        "the_cgroup_stands_where_the_file_says",
        &["service.cgroup", "service.cgroup_parent"],
    ),
    (
        "tests/it/attributes/joined.rs",
        "what_is_included_and_extended_runs",
        &["include", "service.extends", "service.label_file", "service.labels"],
    ),
    (
        "tests/it/attributes/joined.rs",
        "services_see_one_another_as_the_file_says",
        &[
            "service.links",
            "service.volumes_from",
            "service.dns",
            "service.device_cgroup_rules",
            "deploy.endpoint_mode",
        ],
    ),
    (
        "tests/it/attributes/resources.rs",
        "networks_are_made_as_the_file_says",
        &[
            "networks",
            "networks.*.name",
            "networks.*.driver",
            "networks.*.driver_opts",
            "networks.*.external",
            "networks.*.labels",
            "networks.*.enable_ipv4",
            "networks.*.enable_ipv6",
        ],
    ),
    (
        "tests/it/attributes/resources.rs",
        "volumes_are_made_as_the_file_says",
        &[
            "volumes",
            "volumes.*.name",
            "volumes.*.driver",
            "volumes.*.driver_opts",
            "volumes.*.external",
            "volumes.*.labels",
        ],
    ),
    (
        "tests/it/attributes/resources.rs",
        "secrets_and_configs_come_from_where_the_file_says",
        &[
            "secrets",
            "configs",
            "secrets.*.file",
            "secrets.*.environment",
            "configs.*.file",
            "configs.*.environment",
            "configs.*.content",
            "service.configs",
            "service.secrets",
        ],
    ),
    (
        "tests/it/attributes/resources.rs",
        "jobs_run_once_and_global_services_have_one_container",
        &[
            "deploy.mode",
            "deploy.placement",
            "service.runtime",
            "service.pull_policy",
            "service.platform",
            "service.userns_mode",
        ],
    ),
    ("tests/it/attributes/resources.rs", "an_image_stands_in_for_a_build", &["service.build"]),
    (
        "tests/it/attributes/names.rs",
        "names_addresses_and_namespaces_are_as_the_file_says",
        &[
            "networks.*.ipam",
            "networks.*.internal",
            "service.container_name",
            "service.hostname",
            "service.domainname",
            "service.extra_hosts",
            "service.dns_search",
            "service.dns_opt",
            "service.expose",
            "service.ports",
            "service.networks",
            "service.network_mode",
            "service.pid",
            "service.ipc",
            "service.uts",
            "service.profiles",
            "service.scale",
            "service.mac_address",
        ],
    ),
    (
        "tests/it/attributes/rights.rs",
        "rights_are_as_the_file_says",
        &[
            "service.cap_add",
            "service.cap_drop",
            "service.privileged",
            "service.security_opt",
            "service.devices",
        ],
    ),
    (
        "tests/it/attributes/limits.rs",
        "limits_are_in_force",
        &[
            "service.ulimits",
            "service.sysctls",
            "service.mem_limit",
            "service.cpus",
            "service.pids_limit",
            "service.oom_score_adj",
            "service.deploy",
            "deploy.replicas",
            "deploy.resources",
            "deploy.resources.limits",
        ],
    ),
    (
        "tests/it/attributes/limits.rs",
        "ends_restarts_and_logs_are_as_the_file_says",
        &[
            "service.restart",
            "service.stop_grace_period",
            "service.stop_signal",
            "service.logging",
            "service.shm_size",
            "deploy.restart_policy",
        ],
    ),
    (
        "tests/it/attributes/files.rs",
        "mounts_are_as_the_file_says",
        &["service.read_only", "service.tmpfs", "service.volumes"],
    ),
    (
        "tests/it/attributes/users.rs",
        "the_program_has_its_words_variables_user_and_directory",
        &[
            "service.entrypoint",
            "service.user",
            "service.group_add",
            "service.working_dir",
            "service.environment",
            "service.env_file",
            "service.init",
            "service.tty",
            "service.stdin_open",
        ],
    ),
    (
        "tests/it/attributes/hooks.rs",
        "hooks_run_after_the_start_and_before_the_end",
        &["service.post_start", "service.pre_stop"],
    ),
    (
        "tests/it/reconcile.rs",
        "dependents_wait_for_what_they_need",
        &["service.depends_on", "service.healthcheck"],
    ),
    (
        "src/plan/tests/containers.rs",
        "annotations_and_real_time_are_those_of_the_service",
        &["service.annotations", "service.cpu_rt_period", "service.cpu_rt_runtime"],
    ),
];

/// The attributes that the table in `docs/compose.md` has as `yes` or `in part`.
fn done() -> BTreeSet<String> {
    let page = orca::compose::support_page();
    let mut prefix = "";
    let mut found = BTreeSet::new();
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            prefix = if title == "Services" { "service." } else { "" };
        }
        let mut cells = line.split('|').map(str::trim);
        if let (Some(""), Some(name), Some("yes" | "in part")) =
            (cells.next(), cells.next(), cells.next())
        {
            found.insert(format!("{prefix}{}", name.trim_matches('`')));
        }
    }
    found
}

#[test]
fn every_attribute_that_is_done_is_looked_at_by_a_test() {
    let observed: BTreeSet<String> = OBSERVED
        .iter()
        .flat_map(|(_, _, names)| names.iter().map(|name| (*name).to_owned()))
        .collect();
    let done = done();
    assert!(done.len() > 100, "the table was not read: {done:?}");
    let missing: Vec<_> = done.difference(&observed).collect();
    assert!(missing.is_empty(), "no test looks at {missing:?}");
    let gone: Vec<_> = observed.difference(&done).collect();
    assert!(gone.is_empty(), "not done according to the table: {gone:?}");
}

#[test]
fn the_tests_are_there_and_speak_of_the_attributes() {
    for (file, test, names) in OBSERVED {
        let text = std::fs::read_to_string(repository().join(file)).unwrap();
        assert!(text.contains(&format!("fn {test}(")), "{file} has no test {test}");
        for name in *names {
            let key = name.rsplit('.').next().unwrap_or_default();
            // In a stack file of the test, or as a field of a service of the plan.
            let is_there = text.contains(&format!("{key}:")) || text.contains(&format!(".{key}"));
            assert!(is_there, "{file}: {test} does not speak of {name}");
        }
    }
}
