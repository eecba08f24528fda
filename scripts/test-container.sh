#!/bin/sh
# Builds both images, starts the gateway with compose beside a telephone network
# in a box, makes a call through the published ports and takes everything down.
#
#   scripts/test-container.sh            needs a Docker engine that answers, compose and python3
#
# Where no registry can be reached it makes stand-in base images under the names
# that the Dockerfile asks for, only if they are missing, and removes them again.
set -eu
cd "$(dirname "$0")/.."

GO_IMAGE=golang:1.26-alpine
BASE_IMAGE=alpine
PROJECT=phonesockettest$$
work=$(mktemp -d)
made=

say() { printf '%s\n' "$*"; }
die() { say "FAIL: $*" >&2; exit 1; }

docker info >/dev/null 2>&1 || die "no Docker engine answers (docker info)"
if docker compose version >/dev/null 2>&1; then
	compose="docker compose"
elif command -v docker-compose >/dev/null 2>&1; then
	compose=docker-compose
else
	die "neither docker compose nor docker-compose is installed"
fi
command -v python3 >/dev/null 2>&1 || die "python3 is not installed"

up() {
	# shellcheck disable=SC2086 # compose may be two words
	COMPOSE_PROJECT_NAME=$PROJECT PUBLISH_API=$api PUBLISH_SPEAK=$speak PUBLISH_LISTEN=$listen \
		$compose --project-directory "$work/project" -f "$work/project/docker-compose.yml" -f e2e/container/compose.yml "$@"
}

cleanup() {
	status=$?
	trap - EXIT INT TERM
	if [ -n "${started:-}" ]; then
		[ "$status" = 0 ] || up logs --no-color 2>&1 | tail -n 40 || true
		up down --volumes --timeout 5 >/dev/null 2>&1 || true
	fi
	docker image rm "$PROJECT:alpine" "$PROJECT:scratch" >/dev/null 2>&1 || true
	docker image prune -f --filter label=phonesocket.stage=build >/dev/null 2>&1 || true
	# shellcheck disable=SC2086 # the list is meant to be split
	[ -z "$made" ] || docker image rm -f $made >/dev/null 2>&1 || true
	rm -rf "$work"
	exit "$status"
}
trap cleanup EXIT INT TERM

have() { docker image inspect "$1" >/dev/null 2>&1; }

# pull fetches a missing image, with a bound, and fails where there is no registry.
pull() { timeout 120 docker pull -q "$1" >/dev/null 2>&1; }

# A stand-in for alpine: busybox, and the few files that a base image has.
make_base() {
	busybox=$(command -v busybox) || die "busybox is not installed (apt-get install busybox-static)"
	root=$work/base
	mkdir -p "$root/bin" "$root/etc/ssl/certs" "$root/tmp"
	cp "$busybox" "$root/bin/busybox"
	for name in sh cat ls ps wget; do ln -s busybox "$root/bin/$name"; done
	echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
	tar -C "$root" -c . | docker import - "$BASE_IMAGE" >/dev/null
	made="$made $BASE_IMAGE"
}

# A stand-in for the Go image: the toolchain of this machine on top of busybox, and
# the modules that the build needs, so that it needs no network.
make_go() {
	root=$work/go
	goroot=$(go env GOROOT)
	mkdir -p "$root/bin" "$root/etc/ssl/certs" "$root/tmp" "$root/usr/local/go" "$root/go/pkg/mod/cache"
	cp "$(command -v busybox)" "$root/bin/busybox"
	for name in sh cat ls mkdir rm cp env; do ln -s busybox "$root/bin/$name"; done
	cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/" 2>/dev/null || : >"$root/etc/ssl/certs/ca-certificates.crt"
	for part in bin pkg src lib go.env VERSION; do
		[ ! -e "$goroot/$part" ] || cp -r "$goroot/$part" "$root/usr/local/go/"
	done
	go mod download
	cp -r "$(go env GOMODCACHE)/cache/download" "$root/go/pkg/mod/cache/"
	tar -C "$root" -c . | docker import \
		--change 'ENV PATH=/usr/local/go/bin:/bin' --change 'ENV GOPATH=/go' --change 'ENV HOME=/tmp' \
		--change 'ENV GOTOOLCHAIN=local' --change 'ENV GOFLAGS=-mod=mod' --change 'ENV GOPROXY=file:///go/pkg/mod/cache/download' \
		--change 'ENV GONOSUMDB=*' --change 'ENV GOSUMDB=off' \
		- "$GO_IMAGE" >/dev/null
	made="$made $GO_IMAGE"
}

for image in "$BASE_IMAGE:make_base" "$GO_IMAGE:make_go"; do
	name=${image%:*} maker=${image##*:}
	have "$name" || pull "$name" || { say "no registry answers: making a stand-in for $name"; "$maker"; }
done

# size prints what a pull of the image would transfer, layers compressed.
size() { docker save "$1" | gzip -9 | wc -c | awk '{ printf "%.2f MB", $1 / 1000000 }'; }

say "building"
docker build -q -t "$PROJECT:scratch" --target from-scratch . >/dev/null
docker build -q -t "$PROJECT:alpine" . >/dev/null
say "image from scratch: $(size "$PROJECT:scratch") compressed (goal 5.0)"
note=
case " $made " in *" $BASE_IMAGE "*) note=", on a stand-in base; the real alpine adds about 2.6 MB" ;; esac
say "image on alpine:    $(size "$PROJECT:alpine") compressed (goal 8.5$note)"

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
api=$(free_port) speak=$(free_port) listen=$(free_port)

mkdir -p "$work/project"
cp docker-compose.yml "$work/project/"
sed -i "s#build: .#build: $PWD#; s#image: phonesocket#image: $PROJECT:alpine#" "$work/project/docker-compose.yml"
cat >"$work/project/.env" <<ENV
SIP_SERVER=phonenet:5060
SIP_USER=alice
SIP_PASSWORD=alice-secret
API_TOKEN=container-test-token
ENV
export PHONENET_IMAGE="$PROJECT:alpine"

say "starting with $compose"
started=yes
up up -d >/dev/null 2>&1 || up up -d
id=$(up ps -q phonesocket)

healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$id")" = healthy ]; }
tries=0
until healthy; do
	tries=$((tries + 1))
	[ "$tries" -lt 60 ] || die "the container did not become healthy in 60 s"
	sleep 1
done
say "healthy"

inspect() { docker inspect -f "$1" "$id"; }
[ "$(inspect '{{.Config.User}}')" = 65532:65532 ] || die "it does not run as user 65532"
[ "$(inspect '{{.HostConfig.ReadonlyRootfs}}')" = true ] || die "its root file system is writable"
[ "$(inspect '{{.HostConfig.Privileged}}')" = false ] || die "it is privileged"
[ "$(inspect '{{.HostConfig.CapDrop}}')" = '[ALL]' ] || die "it keeps capabilities"
inspect '{{.HostConfig.SecurityOpt}}' | grep -q no-new-privileges || die "it may gain privileges"
[ "$(inspect '{{len .HostConfig.Devices}}')" = 0 ] || die "it was given devices"
for port in $(inspect '{{range $p, $c := .HostConfig.PortBindings}}{{$p}} {{end}}'); do
	case $port in 8085/tcp | 8086/tcp | 8087/tcp) ;; *) die "it publishes $port" ;; esac
done
say "no privileges, three ports"

API_TOKEN=container-test-token python3 scripts/test-call.py --api "http://127.0.0.1:$api" --speak-port "$speak" --listen-port "$listen" \
	--to 100 --echo --record "$work/heard.wav"

say "killing it with a call up"
API_TOKEN=container-test-token python3 - "http://127.0.0.1:$api/call" <<'PY'
import os, sys, time, urllib.request
def ask(url, data=None):
    request = urllib.request.Request(url, data, {"Authorization": "Bearer " + os.environ["API_TOKEN"], "Content-Type": "application/json"})
    return urllib.request.urlopen(request, timeout=5).read().decode()
ask(sys.argv[1], b'{"to":"100"}')
for _ in range(50):
    if '"in-progress"' in ask(sys.argv[1].replace("/call", "/v1/calls")):
        break
    time.sleep(0.1)
else:
    sys.exit("the call was not answered in 5 s")
PY
docker kill "$id" >/dev/null
docker start "$id" >/dev/null
tries=0
until docker logs "$id" 2>&1 | grep -q "calls that a crash has left are ended"; do
	tries=$((tries + 1))
	[ "$tries" -lt 20 ] || die "the call was not ended within 20 s of the restart"
	sleep 1
done
say "its call was ended after the restart"
[ "$(docker diff "$id" | wc -l)" -le 1 ] || die "it wrote to its root file system: $(docker diff "$id")"

say "memory in use: $(docker stats --no-stream --format '{{.MemUsage}}' "$id")"
docker stop -t 20 "$id" >/dev/null
[ "$(inspect '{{.State.ExitCode}}')" = 0 ] || die "SIGTERM ended it with exit code $(inspect '{{.State.ExitCode}}')"
say "SIGTERM: ended by itself, exit code 0"
say "container test passed"
