#!/bin/sh
# Installs what the tests need on Debian and Ubuntu, and only what is missing:
# a C compiler for the race detector and the real peers (kamailio, baresip, sipp).
set -eu

missing=
need() { # need COMMAND PACKAGE...
	command=$1
	shift
	command -v "$command" >/dev/null 2>&1 || [ -x "/usr/sbin/$command" ] || missing="$missing $*"
}

need gcc gcc libc6-dev
need kamailio kamailio kamailio-utils-modules
need baresip baresip-core
need sipp sip-tester
need python3 python3
need openssl openssl

if ! python3 -c 'import websockets' 2>/dev/null && ! /usr/bin/python3 -c 'import websockets' 2>/dev/null; then
	missing="$missing python3 python3-websockets"
fi
for module in /usr/lib/*/kamailio/modules/tls.so; do
	[ -e "$module" ] || missing="$missing kamailio-tls-modules"
done
# Only where an engine answers: the shell inside the stand-in base image.
if docker info >/dev/null 2>&1; then
	[ -x /bin/busybox ] && ! ldd /bin/busybox >/dev/null 2>&1 || missing="$missing busybox-static"
fi

[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	echo "the tests need:$missing" >&2
	echo "this machine has no apt-get: install them with its own package manager (names are Debian's)" >&2
	exit 1
fi
as_root=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null 2>&1 || { echo "the tests need:$missing (run as root: apt-get install$missing)" >&2; exit 1; }
	as_root=sudo
fi
echo "installing for the tests:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q >/dev/null
# shellcheck disable=SC2086 # the list is meant to be split
$as_root apt-get install -q -y --no-install-recommends $missing >/dev/null
