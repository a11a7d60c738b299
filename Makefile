# Changeover: everything starts here. `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# One build directory for all clones, so that a second clone doesn't build cold.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/changeover/target
# What builds keep between edits is of use to nobody in CI, and takes as much disk as the build itself.
ifdef CI
export CARGO_INCREMENTAL := 0
endif
export CHANGEOVER_CACHE ?= $(HOME)/.cache/changeover
# Behind whatever is installed: where rustup puts cargo, and what the set-up has fetched.
export PATH := $(PATH):$(HOME)/.cargo/bin:$(CHANGEOVER_CACHE)/bin

BIN := $(CARGO_TARGET_DIR)/debug

# KEEP=1 leaves the demo's stack running. DEMO_ARGS go to the demo, BENCH_ARGS to the timing of switches, COPY_ARGS to that of a
# whole migration, FAULTS is a part of the names of the faults to try, SOAK_ARGS to the soak test, TEST_ARGS to `cargo test`, DEV_ARGS to `changeover-dev up`.
KEEP ?=
DEMO_ARGS ?=
BENCH_ARGS ?=
COPY_ARGS ?= --size-mb 1000 --rate 50
SOAK_ARGS ?= --seed 1 --count 50
TEST_ARGS ?=
FAULTS ?=
DEV_ARGS ?=

.PHONY: help setup setup-servers setup-aws test-aws-stand-in setup-lint room build demo demo-without-aws test recovery faults soak-test bench bench-copy lint dev down clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## install or check what the runs need (fast when it is there)
	@dev/setup.sh

setup-servers: # what only tests need: PostgreSQL's later majors for the fence, the local AWS
	@dev/setup.sh rust packages servers aws

room: # a build that runs out of disk fails with errors that don't say so at once
	@dev/make-room.sh

setup-aws: # the Python environment of the local AWS
	@dev/setup.sh packages aws

test-aws-stand-in: setup-aws ## the tests of the local AWS that the AWS path is tried on (docs/aws-stand-in.md)
	@cd dev/aws && $(CHANGEOVER_CACHE)/aws-venv/bin/python -m pytest $(TEST_ARGS)

setup-lint: # what only the checks need
	@dev/setup.sh rust packages lint aws

# One selection of packages for all targets: another one would give shared dependencies other features, and build them anew.
build: setup room
	@cargo build --locked --workspace --bins

demo: build setup-aws ## a whole migration on a local AWS: from an unencrypted instance of one account to an encrypted one of another (KEEP=1 leaves all of it up)
	@$(BIN)/changeover-demo $(if $(KEEP),--keep) $(DEMO_ARGS)

demo-without-aws: build ## the same between two servers that are there already (KEEP=1)
	@$(BIN)/changeover-demo --without-aws $(if $(KEEP),--keep) $(DEMO_ARGS)

test: setup-servers build ## all tests; `.ci/run` calls this
	@dev/test.sh $(TEST_ARGS)

recovery: build ## a switch's worker killed and stopped before and after every change that it makes; the table lands in target/recovery.md
	@mkdir -p target
	@CHANGEOVER_RECOVERY=full CHANGEOVER_RECOVERY_TABLE=$(CURDIR)/target/recovery.md \
	  cargo test --locked --package changeover-switch-tests --test recovery -- --nocapture

faults: build ## every stage outside the switch with every fault (FAULTS=PART for those whose name contains it); writes docs/faults.md, takes an hour
	@mkdir -p target
	@$(if $(FAULTS),,rm -f target/faults.jsonl)
	@CHANGEOVER_FAULTS_LABS=3 CHANGEOVER_FAULTS=$(or $(FAULTS),full) CHANGEOVER_FAULTS_RESULTS=$(CURDIR)/target/faults.jsonl CHANGEOVER_FAULTS_TABLE=$(CURDIR)/docs/faults.md \
	  cargo test --locked --package changeover-tests --test faults -- --nocapture

soak-test: build ## switches there and back with random faults (SOAK_ARGS="--seed N --count K --resume FILE"); adds itself to docs/soak-totals.md
	@$(BIN)/changeover-soak-test switch --note docs/soak-totals.md $(SOAK_ARGS)

bench: setup room ## a thousand switches beside their physical floor and another tool's method; target/bench/switch.md (at most 25 minutes)
	@cargo build --locked --release --package changeover-switch-tests --bin changeover-bench-switch
	@$(CARGO_TARGET_DIR)/release/changeover-bench-switch $(BENCH_ARGS)

bench-copy: build ## the demo with more data and more load; its report, with rates and pauses, lands in target/bench
	@$(BIN)/changeover-demo --directory target/bench $(COPY_ARGS)

lint: setup-lint room ## formatting, clippy with warnings as errors, dependency rules, the compose file
	@dev/lint.sh

dev: build ## start the stack (PostgreSQL twice, PgBouncer, Temporal) and leave it running until Ctrl-C
	@$(BIN)/changeover-dev up $(DEV_ARGS)

down: build ## stop every stack that was detached or left behind
	@$(BIN)/changeover-dev down --all

clean: ## remove build results of this project (the shared build directory included)
	@cargo clean
