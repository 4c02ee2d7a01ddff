# Everything goes through these targets; CI calls the same ones.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

export CARGO_TARGET_DIR ?= $(CURDIR)/target
JACKFIELD := $(CARGO_TARGET_DIR)/release/jackfield

.PHONY: help build plugins plugins-test run test lint fmt bench deps deps-build image test-image dist test-dist clean

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

deps: ## Finds or installs what the build and the tests need
	@scripts/deps

deps-build:
	@scripts/deps build

build: plugins ## target/release/jackfield and target/plugins/*.wasm
	cargo build --release --locked -p jackfield -p jackfield-exchange

plugins: deps-build ## The components as people run them
	scripts/build-plugins release

plugins-test: deps-build ## The components as tests run them: quicker to build
	scripts/build-plugins test

RUN = $(if $(LIVE),--live) $(if $(STAY),--stay)

# What would be refused is refused before anything is built.
run: ## Runs connectors.yaml on recorded trades; LIVE=1: the real exchange; STAY=1: until Ctrl-C
	@scripts/run --look $(RUN)
	@$(MAKE) --no-print-directory build
	@scripts/run $(RUN)

test: ## Everything
	@scripts/test

lint: ## Formatting, clippy on host and wasm, rustdoc, licences
	@scripts/lint

fmt: ## Formats all code
	cargo fmt --all

bench: build ## The figures of docs/BENCHMARKS.md
	@scripts/bench

image: ## The container images, with docker, podman or buildah
	@scripts/image

test-image: ## The image as people run it: rows, kill, upgrade, swap
	@scripts/test-image

dist: ## What a release consists of: target/dist
	@scripts/dist

test-dist: dist ## What was made for a release: checksums, commit, libraries, bill of materials, plugins, example
	@scripts/test-dist

clean: ## Removes what was built and what `make run` wrote
	cargo clean
	rm -rf data
