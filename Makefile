# Wanbi. `make` alone lists the targets; recipes are quiet unless they fail.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.SILENT:
MAKEFLAGS += --no-print-directory

# Tools are pinned in tools/go.mod and built by the Go command when needed.
TOOL := go tool -modfile=tools/go.mod
# How long each fuzz target runs.
FUZZTIME ?= 10s
# The most that one package's tests may take, with the race detector on.
TESTTIME ?= 12m

# What a package calls itself: Debian's versions begin with a digit.
VERSION ?= 0.0.0~git$$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y%m%d.%H%M%S).$$(git log -1 --format=%h)
ARCH ?= $$(go env GOARCH)

.PHONY: help demo pages pictures build deb test lint generate check-generated fuzz bench faults microbench

help: ## list the targets
	awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## run a demo on this machine, with nothing but Go
	go run ./cmd/wanbi demo

pages: ## write every page as static files, to look through: bin/pages/index.html
	go run ./cmd/wanbi demo --pages bin/pages

pictures: ## draw the pictures of README.md anew, from the pages of the demo
	scripts/install-test-tools
	WANBI_PICTURES=$(CURDIR)/docs/pictures go test -count=1 -run TestPictures ./internal/demo/storybook

build: ## build bin/wanbi: one static binary, no cgo
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o bin/wanbi ./cmd/wanbi

deb: build ## build a Debian package into dist/ (VERSION=1.0.0; ARCH=arm64 together with GOARCH=arm64)
	mkdir -p dist
	VERSION="$(VERSION)" ARCH="$(ARCH)" SOURCE_DATE_EPOCH="$$(git log -1 --format=%ct)" \
		$(TOOL) nfpm package --config deploy/nfpm.yaml --packager deb --target dist/

test: ## everything that a change must pass; installs what is missing when root
	scripts/install-test-tools
	$(MAKE) lint
	$(MAKE) check-generated
	echo '== tests, with the race detector'
	scripts/with-postgres go test -race -timeout $(TESTTIME) ./...

lint: ## formatting, go vet, staticcheck
	echo '== lint'
	scripts/lint

generate: ## write generated code anew: templ, sqlc, go generate
	$(TOOL) templ generate -log-level error
	$(TOOL) sqlc generate
	go generate ./...

check-generated: ## fail when committed generated code is stale
	echo '== generated code'
	scripts/check-generated

fuzz: ## run each fuzz target for FUZZTIME (10s)
	FUZZTIME=$(FUZZTIME) scripts/fuzz

bench: ## measure whole recoveries on both engines (ARGS=… for wanbi bench); writes bench/results
	scripts/bench $(ARGS)

faults: ## break real servers under load and see that nothing is lost (ARGS=… for runfaults)
	scripts/install-test-tools faults
	go run ./internal/testkit/faults/runfaults $(ARGS)

microbench: ## run the Go benchmarks and name the machine
	scripts/microbench
