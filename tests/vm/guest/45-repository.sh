# Those tests of the repository that depend on the version of the cgroups, or on the way that Linux 6.1
# has of showing layers through other users: `orca oci` by the clauses of its specification, hostile
# bundles, the runtime and what it must refuse, the limits and rights of compose, and the probe.
#
# Left out: what needs docker, podman, runc or crun, what reads the sources, and, as an emulated
# processor takes its time, what is the same whatever the kernel.

suite oci ${cases:-cases::life cases::linux cases::mounts cases::process hostile::links
    hostile::nothing hostile::destinations hostile::a_working hostile::the_runtimes}
suite it ${cases:-runtime::advisories runtime::confinement runtime::mounts runtime::settings
    runtime::users runtime::exec::a_program_in_a_container runtime::life::a_container_ends
    runtime::life::a_daemon runtime::faults::processes attributes::controls
    attributes::limits::limits_are attributes::users::root_may
    --skip every_rule_has_its_test --skip a_target_that_is_exchanged}
[ "${cases:-}" ] || suite probe
