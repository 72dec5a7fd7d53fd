# SPDX-License-Identifier: MIT OR Apache-2.0
# Each target does its own set-up; `make demo` and `make test` are all a newcomer needs.
.PHONY: help setup demo test lint bench fuzz chaos models conformance install clean

PREFIX ?= /usr/local

help:            ## this list
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

setup:           ## what all others do first: tools, libraries, the Python package in .venv
	@bash ci/setup.sh

demo: setup      ## the chapters on networks and processes: three languages and stock Python talk to each other
	@bash ci/demo.sh

test: setup      ## all tests: Rust, C, Python, the course, the examples, the scenario matrix, CPython's own
	@bash ci/test.sh

lint: setup      ## formats, clippy, ruff, mypy, stubs, header
	@bash ci/lint.sh

bench: setup     ## the tables of docs/benchmarks.md and docs/curves.md, measured here, with their plots
	@bash ci/bench.sh

fuzz: setup      ## each fuzz target for a while; ci/fuzz.sh SECONDS for longer
	@bash ci/fuzz.sh

chaos:           ## ten minutes of kill -9 at processes that share queues and locks, and 100,000 forks of busy ones; CARRICK_SOAK=SECONDS and CARRICK_FORKS=COUNT for others
	@CARRICK_SOAK=$${CARRICK_SOAK:-600} CARRICK_FORKS=$${CARRICK_FORKS:-100000} bash ci/chaos.sh docs/kill-soak.md

models:          ## models of locks and of the queue: every interleaving of a few threads (loom)
	@bash ci/models.sh

conformance: setup ## CPython's own tests on carrick, on every Python found
	@bash ci/conformance.sh

install:         ## header, libraries, pkg-config and CMake files under PREFIX (/usr/local)
	@bash ci/install.sh "$(PREFIX)"

clean:           ## everything that was built
	rm -rf target build .venv fuzz/target
