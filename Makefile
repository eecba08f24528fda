# make help lists the targets. Everything else is plain go commands.
GO      ?= go
LINTER  ?= golangci-lint
FUZZ    ?= 20s
IMAGE   ?= phonesocket
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

LDFLAGS := -s -w -X main.version=$(VERSION)
# Nobody speaks HTTP/2 to the three ports: leaving it out saves half a megabyte.
TAGS    := nethttpomithttp2

.PHONY: help run demo build test check lint fuzz bench microbench image tools generate clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## start with the account in .env
	@test -f .env || { echo "no .env here: cp .env.example .env, then set SIP_SERVER, SIP_USER and SIP_PASSWORD" >&2; exit 1; }
	$(GO) run ./cmd/phonesocket run --env-file .env

demo: ## a telephone network in a box, without any account
	$(GO) run ./cmd/phonesocket demo

build: ## bin/phonesocket, static and stripped
	CGO_ENABLED=0 $(GO) build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/phonesocket ./cmd/phonesocket

test: tools ## everything, with real peers and containers: what CI runs
	$(GO) vet ./...
	$(GO) test -race -timeout 10m $$($(GO) list ./... | grep -v /e2e)
	$(GO) test -race -timeout 20m ./e2e/...
	$(GO) test -tags debug -run Profiles ./internal/gateway

check: lint ## before each commit: format, vet, lint, the tests that need no peers
	$(GO) vet ./...
	$(GO) mod tidy -diff
	$(GO) test -race -short -timeout 5m ./...

lint: ## gofmt, and golangci-lint where it is installed
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; }
	@if command -v $(LINTER) >/dev/null 2>&1; then $(LINTER) run ./...; else echo "golangci-lint is not installed: only gofmt and vet were run"; fi

fuzz: ## each fuzz target for FUZZ (default 20s)
	@scripts/fuzz.sh $(FUZZ)

bench: ## CPU, latency and memory under 100 and 500 calls, against the kernel's floor (BENCH: further flags)
	$(GO) run ./bench -json bench.json $(BENCH)

microbench: ## micro-benchmarks with allocations
	$(GO) test -run '^$$' -bench . -benchmem ./internal/...

image: ## the container image, tagged phonesocket
	docker build -t $(IMAGE) .

generate: ## write .env.example, docs/configuration.md and the OpenAPI document anew
	$(GO) test ./internal/config ./internal/front/api -update

tools: ## install what the tests need, only where it is missing (apt)
	@scripts/install-test-tools.sh

clean:
	rm -rf bin dist
