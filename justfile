# What people who work on orca type. `just --list` shows it.

# Everything that a change must pass.
ci:
    .ci/run

# Format, then lint.
check:
    cargo fmt
    cargo clippy --all-targets -- -D warnings

# Unit and end-to-end tests (as root).
test *args:
    cargo test {{args}}

# Licences and advisories of the dependencies (needs cargo-deny).
deny:
    cargo deny check

# The figures of docs/performance.md.
bench *args:
    cargo bench --bench speed -- {{args}}
