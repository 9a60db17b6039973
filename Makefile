# Taken before anything else, so that the demo's seconds include the installation.
STARTED_AT := $(shell date +%s.%N)

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

UV := scripts/uv
PYTHON := .venv/bin/python
INSTALL := $(UV) pip install --quiet --python $(PYTHON)
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--custom-compile-command "make lock" $(ARGS)
JOBS ?= 2

.PHONY: help setup demo test test-all acceptance nightly lint format bench bench-queue bench-scale ledger power-cut lock clean

help: ## list what you can do here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/runtime.stamp ## make .venv with everything the workers need

demo: .venv/runtime.stamp ## crawl, index and search the example site; URL=https://... PAGES=50 for a real one
	@$(PYTHON) -m workers demo --started-at $(STARTED_AT) \
		$(if $(URL),--url "$(URL)") $(if $(PAGES),--pages "$(PAGES)")

test: .venv/dev.stamp ## run the tests, on real servers where they are installed
	.venv/bin/pytest -n $(JOBS) -m "not slow" $(ARGS)

acceptance: .venv/dev.stamp ## run the long tests on real input (needs every server)
	.venv/bin/pytest -n $(JOBS) -m slow $(ARGS)

test-all: test acceptance ## both

nightly: .venv/dev.stamp ## compare 2,000 random histories of each queue with the model
	QUEUE_MODEL_EXAMPLES=2000 .venv/bin/pytest -n $(JOBS) tests/contracts/queue/test_model.py $(ARGS)

lint: .venv/dev.stamp ## check style, types and import directions
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

format: .venv/dev.stamp ## format the code
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: .venv/dev.stamp ## measure jobs, pages and documents a second
	$(PYTHON) -m benchmarks $(ARGS)

bench-brokers: .venv/dev.stamp ## measure each broker beside its own client; ARGS="--quick --broker nats"
	$(PYTHON) -m benchmarks.brokers $(ARGS)

bench-queue: .venv/dev.stamp ## measure the job queue beside a Go worker and other queues (needs go and node)
	$(PYTHON) -m benchmarks.queue $(ARGS)

bench-scale: .venv/dev.stamp ## measure 1, 2 and 4 processes on one Redis, and on a cluster with shards
	$(PYTHON) -m benchmarks.scale_out $(ARGS)

ledger: .venv/dev.stamp ## kill workers and count: is a job ever lost? ARGS="--broker redis --jobs 100000"
	$(PYTHON) -m benchmarks.ledger $(ARGS)

power-cut: .venv/dev.stamp ## cut the servers' power: what a durability setting loses (needs root)
	$(PYTHON) -m benchmarks.power_cut $(ARGS)

lock: ## resolve the dependencies again; ARGS=--upgrade for the newest versions
	$(COMPILE) pyproject.toml --extra all --output-file requirements/runtime.lock
	$(COMPILE) pyproject.toml --extra production --output-file requirements/production.lock
	$(COMPILE) pyproject.toml --extra all --group dev --output-file requirements/dev.lock
	$(COMPILE) --group build --output-file requirements/build.lock

clean: ## remove the environment and what was fetched
	rm -rf .venv .tools .cache

.venv/bin/python:
	$(UV) venv --quiet --allow-existing --python '>=3.11' .venv

# The project is built with the pinned, hashed backend of build.lock.
.venv/project.stamp: pyproject.toml requirements/build.lock | .venv/bin/python
	$(INSTALL) --no-deps --build-constraints requirements/build.lock --editable .
	@touch $@

.venv/%.stamp: requirements/%.lock .venv/project.stamp | .venv/bin/python
	$(INSTALL) --require-hashes --requirements $<
	@touch $@
