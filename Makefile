# SPDX-License-Identifier: MIT
#
# make is the list: everything that is run on this code, by people and by CI, is a target here.

GO            ?= go
PYTHON        ?= python3
GOLANGCI_LINT ?= $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# For race: -short leaves out what takes long and runs without the detector too.
RACEFLAGS ?=

# For test-windows: -short, -run, -v and the like.
WINDOWSFLAGS ?=

# For fuzz: how many inputs each target tries. A time, such as 10s, would do too, but up to Go 1.26 its end is now and
# then reported as a failure (go.dev/issue/75804). Inputs that fail are kept in testdata/fuzz and are to be committed.
FUZZTIME ?= 30000x

# For crossvet and cross: every system with its usual processor, and each other kind of processor that something depends on (32-bit
# integers, alignment of 64-bit atomics) on two systems.
PLATFORMS ?= linux/amd64 darwin/amd64 freebsd/amd64 netbsd/amd64 openbsd/amd64 dragonfly/amd64 windows/amd64 \
             linux/arm64 darwin/arm64 freebsd/arm64 netbsd/arm64 openbsd/arm64 windows/arm64 \
             linux/386 linux/arm freebsd/386 freebsd/arm

# For crossvet-others: the systems without a poller, and a big-endian processor.
OTHERS ?= plan9/amd64 solaris/amd64 illumos/amd64 aix/ppc64 js/wasm wasip1/wasm linux/s390x

# For cross: the packages whose tests are compiled.
CROSSTESTS ?= ./...

# For test-qemu: the processors, of 32 and 64 bits and of either byte order; what go test is to get; and how many seeds the
# tests on the simulated network run with, since an emulator takes ten times as long.
ARCHES    ?= 386 arm arm64 s390x
QEMUFLAGS ?= -short
QEMURUNS  ?= 10

# For test-kqsim: the seeds of the model, with each of which everything runs; and what go test is to get, such as -race.
KQSIM_SEEDS ?= 1
KQSIM_FLAGS ?=

# For compat: -short leaves out what takes long. For interop: -only, -skip and -policies choose, -picture has a look.
COMPATFLAGS  ?=
INTEROPFLAGS ?=

# For bench and conformance.
BENCHFLAGS ?=
CORPUS     ?=
POLICIES   ?= pool inline adaptive
TAGS       ?=
ADDR       ?= 127.0.0.1:18080

.DEFAULT_GOAL := help
.PHONY: help test race test-kqsim test-fallback test-qemu test-windows lint shape crossvet crossvet-others cross fuzz bench conformance perf-gate ci

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 17

.PHONY: generate
generate: ## write what is made of the comments of Server's fields
	$(GO) generate ./adjust

test: ## run the tests
	$(GO) test ./...

race: ## run the tests with the race detector, which compiles the project's own checks in
	$(GO) test -race $(RACEFLAGS) ./...

test-kqsim: ## run the whole server's tests on the kqueue poller, over a model of kqueue that runs on Linux
	@for seed in $(KQSIM_SEEDS); do \
		echo "seed $$seed" && export WAITRESS_KQSIM_SEED=$$seed && \
		$(GO) test -tags kqsim $(KQSIM_FLAGS) . ./examples/... && \
		$(GO) test -tags kqsim $(KQSIM_FLAGS) -run LikeSimulated ./http1 || exit 1; \
	done

test-fallback: ## run them without any poller, as on systems that have none
	$(GO) test -tags fallback . ./examples/...
	$(GO) test -tags fallback -run LikeSimulated ./http1

test-windows: ## run the tests as Windows programs under Wine, which is installed where it is missing (Debian, as root)
	.ci/wine/run $(GO) test -exec "$(CURDIR)/.ci/wine/exec" $(WINDOWSFLAGS) ./...

test-qemu: ## run the tests of Linux on other processors, by an emulator that is installed where it is missing (Debian, as root)
	.ci/emulated "$(ARCHES)" $(QEMUFLAGS) . ./httpparse ./dispatch ./examples/...
	.ci/emulated "$(ARCHES)" $(QEMUFLAGS) ./reactor/... ./http1 -reactortest.runs=$(QEMURUNS)

lint: ## run the linters and formatters that .golangci.yml names
	$(GOLANGCI_LINT) run --allow-parallel-runners ./...
	cd compat && $(GOLANGCI_LINT) run --allow-parallel-runners ./...
	cd interop && $(GOLANGCI_LINT) run --allow-parallel-runners ./...
	cd bench/peers && $(GOLANGCI_LINT) run --allow-parallel-runners ./...

shape: ## print what is long, nested or said twice; never fails
	$(GOLANGCI_LINT) run --enable-only=gocognit,nestif,funlen,dupl --uniq-by-line=false --issues-exit-code=0 ./...

crossvet: ## vet for every system of PLATFORMS
	@for platform in $(PLATFORMS); do \
		echo "vet $$platform" && GOOS=$${platform%/*} GOARCH=$${platform#*/} CGO_ENABLED=0 $(GO) vet ./... || exit 1; \
	done

crossvet-others: ## vet for every system of OTHERS
	@$(MAKE) --no-print-directory crossvet PLATFORMS="$(OTHERS)"

cross: crossvet ## the same, and compile the tests
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && for platform in $(PLATFORMS); do \
		echo "compile $$platform" && mkdir "$$dir/tests" && \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} CGO_ENABLED=0 $(GO) test -c -ldflags="-s -w" -o "$$dir/tests/" $(CROSSTESTS) || exit 1; \
		rm -rf "$$dir/tests"; \
	done

fuzz: ## try FUZZTIME new inputs on every fuzz target
	@for package in $$($(GO) list ./...); do \
		list=$$($(GO) test -list '^Fuzz' "$$package") || exit 1; \
		for target in $$(echo "$$list" | grep '^Fuzz'); do \
			echo "$$package $$target" && \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package" || exit 1; \
		done; \
	done

bench: ## compare the servers on this machine: BENCHFLAGS='-rounds 1 -seconds 1 -scenarios keepalive-64' takes 20 s
	$(GO) run ./bench $(BENCHFLAGS)

.PHONY: peers
peers: ## run the tests of the programs that bench compares with
	cd bench/peers && $(GO) vet ./... && $(GO) test ./...

conformance: ## run a corpus against examples/echo under each policy: CORPUS=folder with run.py and *.jsonl, TAGS=kqsim
	@test -n "$(CORPUS)" || { echo "make conformance CORPUS=folder with run.py and *.jsonl"; exit 2; }
	@dir=$$(mktemp -d) && $(GO) build -tags "$(TAGS)" -o "$$dir/echo" ./examples/echo || exit 1; \
	status=0; for policy in $(POLICIES); do \
		"$$dir/echo" -listen $(ADDR) -policy $$policy > "$$dir/out" & server=$$!; \
		for i in 1 2 3 4 5 6 7 8 9 10; do grep -q Serving "$$dir/out" && break; sleep 0.2; done; \
		echo "policy $$policy" && $(PYTHON) $(CORPUS)/run.py $(ADDR) $(CORPUS)/*.jsonl || status=1; \
		kill -INT $$server; wait $$server || status=1; \
	done; rm -rf "$$dir"; exit $$status

.PHONY: compat interop
compat: ## run programs and libraries written for net/http, unmodified, on this server and beside net/http
	cd compat && $(GO) vet ./... && $(GO) test $(COMPATFLAGS) ./...

interop: ## put curl, wrk, ab, nginx, HAProxy and Chromium in front of the server; missing ones are installed (Debian, as root)
	cd interop && $(GO) vet ./... && $(GO) run . $(INTEROPFLAGS)

perf-gate: ## compare the cost of the hot path with the last tag's, in instructions: BASE=commit LIMIT=percent
	.ci/perf-gate

ci: test race test-kqsim test-fallback lint cross crossvet-others test-qemu fuzz ## what must hold before a change lands
