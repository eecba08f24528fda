#!/bin/sh
# Runs every fuzz target of the repository, one after the other: scripts/fuzz.sh [TIME]
set -eu
time=${1:-20s}
failed=
for package in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "== $package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" || failed="$failed $target"
	done
done
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
