# Every verb that a person or CI uses. `make` alone lists them. Each sets up what it needs, in .venv.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help demo test nightly bench kill-matrix codegen check lint types mock conformance dist clean

help: ## List the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

# The environment is made anew when what it is made of changes.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("prospec needs Python 3.11 or newer; set PYTHON=... (this is %s)" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "setting up .venv ..." >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]' --group dev
	@touch $@

demo: $(READY) ## The whole of it: compile, validate the documentation's requests, judge the mock
	@echo "== The catalog: compiled and current" && $(BIN)/prospec codegen --check
	@$(BIN)/prospec models
	@echo && echo "== The requests that the documentation shows: validated" && $(BIN)/prospec validate --format json spec/examples/*.json
	@echo && echo "== The suite, over HTTP, on the embedded mock" && $(BIN)/prospec conformance run --report-dir reports

test: $(READY) ## Run the tests
	@$(BIN)/python -m pytest -n auto $(ARGS)

nightly: $(READY) ## The long forms: 10,000 broken specs, 100,000 bodies, 100,000 raw requests, 500 slow clients, 200 kills, 1,000,000 verdicts, the whole suite under every fault
	@PROSPEC_FUZZ=10000 PROSPEC_BODIES=100000 PROSPEC_LIMIT_S=0.05 $(BIN)/python -m pytest -n auto tests/test_fuzz_spec.py tests/test_bodies.py tests/test_fast.py
	@PROSPEC_RAW=100000 PROSPEC_SLOW_CLIENTS=500 PROSPEC_SLOW_S=60 PROSPEC_KILLS=200 $(BIN)/python -m pytest tests/test_mock_connection.py tests/test_mock_state.py
	@PROSPEC_VERDICT=1000000 PROSPEC_LIMIT_S=0.05 $(BIN)/python -m pytest tests/test_verdict.py
	@$(BIN)/prospec conformance self-test --thorough

MEASURES ?= validate typescript imports codegen files mock requests suite
bench: $(READY) ## Every measure beside its peers, into docs/performance.md: make bench MEASURES="validate codegen"
	@for measure in $(MEASURES); do $(BIN)/python tests/bench/$$measure.py --json reports/bench.json; done
	@$(BIN)/python tests/bench/page.py reports/bench.json docs/performance.md

kill-matrix: $(READY) ## The suite under every fault and variant of the mock, into docs/kill-matrix.md
	@$(BIN)/prospec conformance self-test --matrix docs/kill-matrix.md $(ARGS)

codegen: $(READY) ## Compile spec/ into generated/
	@$(BIN)/prospec codegen

check: $(READY) ## Is generated/ current?
	@$(BIN)/prospec codegen --check

lint: $(READY) ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY) ## mypy --strict and pyright, generated code included
	@$(BIN)/mypy
	@$(BIN)/pyright

mock: $(READY) ## Serve the mock: make mock ARGS="--port 8080"
	@$(BIN)/prospec mock $(ARGS)

conformance: $(READY) ## Judge an implementation: make conformance URL=http://..., the mock without URL
	@$(BIN)/prospec conformance run $(if $(URL),--base-url $(URL)) --report-dir reports $(ARGS)

dist: $(READY) ## Build the wheel and the source archive into dist/
	@$(BIN)/python -m build

clean: ## Remove what the verbs made, the environment included
	@rm -rf .venv dist reports .pytest_cache .mypy_cache .ruff_cache
