# Everything a person or CI does with this repository. `make help` says what there is.
#
# Needs Go, git and make. What else is used is built by Go from the versions pinned in tools/, once, into bin/.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL: # the steps talk to a person, one after the other
MAKEFLAGS += --no-print-directory

# For `make test`: which packages, and flags of go test, as in: make test PKG=./ledger TESTFLAGS='-run Lease -v'
PKG ?= ./...
TESTFLAGS ?=
# For `make demo` and `make cluster`: their flags, as in: make demo ARGS=--keep; make cluster ARGS='-dir kept'
ARGS ?=

# Empty without Go, so that `make help` works and `need-go` can say what is missing.
go_version := $(shell go env GOVERSION 2>/dev/null)

# A pin is stated once, in go.mod. A tool's file carries its version in its name: another version is another file,
# whatever the times of the files say. The checkers' also carry Go's, which they must match.
pin = $(shell sed -n 's|^[[:space:]]*$(1) \(v[^ ]*\).*|\1|p' $(2))
temporal_pin      := $(call pin,github.com/temporalio/cli,tools/go.mod)
server_pin        := $(call pin,go.temporal.io/server,tools/server/go.mod)
staticcheck_pin   := $(call pin,honnef.co/go/tools,tools/lint/go.mod)
workflowcheck_pin := $(call pin,go.temporal.io/sdk/contrib/tools/workflowcheck,tools/lint/go.mod)

temporal      := bin/tools/temporal-$(temporal_pin)
server        := bin/tools/temporal-server-$(server_pin)
sqltool       := bin/tools/temporal-sql-tool-$(server_pin)
staticcheck   := bin/tools/staticcheck-$(staticcheck_pin)-$(go_version)
workflowcheck := bin/tools/workflowcheck-$(workflowcheck_pin)-$(go_version)

# Workflow code is also what flow authors write.
workflow_code := $(patsubst %,./%/...,$(wildcard workflows examples))

.PHONY: help
help: ## say what there is
	@echo 'Redial: outbound calls that are not forgotten and not made twice.'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 16
	@echo
	@echo "The first 'make demo' or 'make test' builds Temporal's dev server, unless temporal 1.5.0 or newer"
	@echo "is on the PATH. That takes some minutes, once."

.PHONY: build
build: need-go ## build bin/redial
	@tools/build.sh . ./cmd/redial bin/redial

.PHONY: demo
demo: build devserver ## the whole product on this machine, against a simulated gateway
	@bin/redial demo $(ARGS)

.PHONY: cluster
cluster: build clusterserver ## PostgreSQL, Temporal, two workers, two webhooks and more, as processes here
	@tools/build.sh . ./internal/cluster bin/cluster
	@bin/cluster $(ARGS)

# The race detector needs a C compiler. Where there is none, tests without it are better than none. SQLite, which is C translated into Go
# and used by one goroutine at a time, is left out of it: its tests take half as long, and so does the first build.
.PHONY: test
test: need-go devserver clusterserver ## all tests, with the race detector, on the real engine
	@race='-race -gcflags=modernc.org/...=-race=false'; \
	if [ "$$(go env CGO_ENABLED)" = 0 ]; then \
		race=; echo 'test: no C compiler (gcc or clang), so WITHOUT the race detector'; \
	fi; \
	REDIAL_TEST_REQUIRE="$${REDIAL_TEST_REQUIRE:+$$REDIAL_TEST_REQUIRE,}temporal" \
		go run ./internal/testreport -timeout 25m $$race $(TESTFLAGS) $(PKG)

.PHONY: check
check: check-format check-vet check-staticcheck check-workflows check-architecture check-deploy ## all gates that are not tests of behaviour
	@echo 'check: all passed'

.PHONY: image
image: ## build the container image redial:dev, which knows the revision of its sources
	@docker build --build-arg REVISION="$$(git describe --always --abbrev=40 --dirty --exclude='*')" --tag redial:dev .

.PHONY: bench
bench: need-go devserver clusterserver ## measure the budgets
	@go run ./internal/bench

# A module of its own, because it drives a browser.
.PHONY: pictures
pictures: build devserver ## take the pictures of README.md and docs/operating.md anew, in Chromium
	@cd tools/pictures && go run .

.PHONY: clean
clean: ## remove what was built; the dev server takes minutes to build again
	@rm -rf bin coverage.out coverage.html

.PHONY: need-go
need-go:
	@[ -n '$(go_version)' ] || { echo 'make: the go command is not on the PATH; install Go 1.26 or newer' >&2; exit 1; }

# The gates, one by one. Each is silent about what is well, but for its name.

.PHONY: check-format
check-format: need-go
	@echo 'check: format'
	@unformatted=$$(gofmt -l .) && [ -z "$$unformatted" ] || { \
		echo "$$unformatted"; echo 'check: these files are not formatted; run: gofmt -w .' >&2; exit 1; }

.PHONY: check-vet
check-vet: need-go
	@echo 'check: go vet'
	@go vet ./...
	@cd tools/pictures && go vet ./...

.PHONY: check-staticcheck
check-staticcheck: $(staticcheck)
	@echo 'check: staticcheck'
	@$(staticcheck) ./...

# What workflow code may not do, because a replay would not do the same.
.PHONY: check-workflows
check-workflows: $(workflowcheck)
	@echo 'check: workflowcheck $(workflow_code)'
	@[ -z '$(workflow_code)' ] || $(workflowcheck) $(workflow_code)

# Not from the test cache: the test reads the whole tree, of which the cache sees only a part.
.PHONY: check-architecture
check-architecture: need-go
	@echo 'check: architecture'
	@go test -count=1 .

# Image, compose file and proxy, by the parsers that will read them, which are large: the first time takes minutes. Not from the
# test cache either.
.PHONY: check-deploy
check-deploy: need-go
	@echo 'check: deploy'
	@cd tools/deploy && go vet ./... && go test -count=1 ./...

# The dev server: the one that the product would find, or else the pinned one, which is built when it is missing
# or of another version than the pin.
.PHONY: devserver
devserver: need-go
	@if ! found=$$(go run ./internal/devserver/which 2>&1); then \
		[ -z "$$TEMPORAL_CLI_PATH" ] || { echo "$$found" >&2; exit 1; }; \
		$(MAKE) bin/temporal; \
	elif [ "$$found" -ef bin/temporal ]; then \
		$(MAKE) bin/temporal; \
	fi

# A link that is set every time, because only its target's name tells the version.
.PHONY: bin/temporal
bin/temporal: $(temporal)
	@ln -sfn '$(patsubst bin/%,%,$(temporal))' $@

# The tag is that of Temporal's own builds: without it a client of Google's storage brings in 130 packages that nothing here uses.
$(temporal): | need-go
	@echo "Building Temporal's dev server $(temporal_pin). This first time takes about three minutes, more on a slow"
	@echo "line: it downloads some 160 modules and compiles some 1,300 packages. It is kept in bin/."
	@tools/build.sh tools github.com/temporalio/cli/cmd/temporal $@ \
		-tags disable_grpc_modules -trimpath -ldflags '-s -w -X github.com/temporalio/cli/temporalcli.Version=$(temporal_pin:v%=%)'

# Temporal's real server, for the tests that restart it: they need PostgreSQL too, so nobody without it pays the build.
.PHONY: clusterserver
clusterserver: need-go
	@case ",$$REDIAL_TEST_REQUIRE,$$REDIAL_POSTGRES_BIN" in \
	*,postgres,*|*,/*) ;; \
	*) command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || exit 0;; \
	esac; \
	[ -n "$$TEMPORAL_SERVER_PATH" ] || $(MAKE) bin/temporal-server

# The server, and the tool of the same release that makes its schema.
.PHONY: bin/temporal-server
bin/temporal-server: $(server) $(sqltool)
	@ln -sfn '$(patsubst bin/%,%,$(server))' $@
	@ln -sfn '$(patsubst bin/%,%,$(sqltool))' bin/temporal-sql-tool

$(server): | need-go
	@echo "Building Temporal's server $(server_pin) for PostgreSQL. This first time takes some minutes. It is kept in bin/."
	@tools/build.sh tools/server go.temporal.io/server/cmd/server $@ -tags disable_grpc_modules -trimpath -ldflags '-s -w'

$(sqltool): | need-go
	@tools/build.sh tools/server go.temporal.io/server/cmd/tools/sql $@ -trimpath -ldflags '-s -w'

$(staticcheck): | need-go
	@echo 'Building staticcheck $(staticcheck_pin), once.'
	@tools/build.sh tools/lint honnef.co/go/tools/cmd/staticcheck $@ -trimpath

$(workflowcheck): | need-go
	@echo 'Building workflowcheck $(workflowcheck_pin), once.'
	@tools/build.sh tools/lint go.temporal.io/sdk/contrib/tools/workflowcheck $@ -trimpath
