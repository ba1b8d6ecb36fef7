#!/bin/sh
# Writes the golden files of all cases (or of those named) with docker compose.
#
#   DOCKER_COMPOSE=/usr/libexec/docker/cli-plugins/docker-compose ./regenerate.sh [area/case …]
#
# The goldens were made with docker-compose 2.40.3-3 of Debian sid. It runs without an engine, with a
# limit of memory and time, since a few lines of aliases can make it eat all there is.
#
# A case is a folder with files and perhaps `cmd`: lines `env NAME=VALUE` and one line `args …`.
# The golden is `golden.json`, `golden.yaml` or `golden.txt`, or `golden.err` if the files are
# refused. The case's own folder is written as /prj.
set -eu
: "${DOCKER_COMPOSE:?must name a docker-compose binary}"
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT

run_case() {
    dir=$1
    args='-p test --profile * config --format json'
    set --
    if [ -f "$dir/cmd" ]; then
        while IFS= read -r line; do
            case $line in
            'env '*) set -- "$@" "${line#env }" ;;
            'args '*) args=${line#args } ;;
            esac
        done <"$dir/cmd"
    fi
    rm -f "$dir"/golden.*
    out=$home/out
    err=$home/err
    set -f
    # shellcheck disable=SC2086 # the arguments are words
    if (
        cd "$dir"
        ulimit -v 4000000
        exec timeout 10 env -i PATH=/usr/bin:/bin HOME=/home/u "$@" "$DOCKER_COMPOSE" $args
    ) >"$out" 2>"$err"; then
        case $args in
        *'--format json'*) kind=json ;;
        *'config' | *'--no-interpolate' | *'--no-normalize') kind=yaml ;;
        *) kind=txt ;;
        esac
        sed "s#$dir#/prj#g" "$out" >"$dir/golden.$kind"
    else
        grep -v '^time=' "$err" | sed "s#$dir#/prj#g" >"$dir/golden.err" || :
    fi
    set +f
}

if [ $# -gt 0 ]; then
    for name; do run_case "$here/$name"; done
else
    for dir in "$here"/*/*/; do run_case "${dir%/}"; done
fi
