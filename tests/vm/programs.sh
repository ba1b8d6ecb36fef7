#!/bin/sh
# Builds orca and the test programs that run in the virtual machine, and prints where they are, one a
# line: `NAME PATH`.
set -eu
cd "$(dirname "$0")/../.."
"${CARGO:-cargo}" test --locked --no-run --message-format json-render-diagnostics \
    --test oci --test it --test probe |
    sed -n 's|.*"target":{[^{}]*"name":"\([a-z]*\)".*"executable":"\([^"]*\)".*|\1 \2|p'
