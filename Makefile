# `make demo` shows what nomadwatch does, `make test` runs the tests. Both install what they need into .venv first.
# To choose the interpreter: make PYTHON=/opt/python3.12/bin/python3.12 install

PYTHON ?= $(shell python3.11 -c '' >/dev/null 2>&1 && echo python3.11 || echo python3)
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
EVENTS ?= 20000
SEED   ?= 1

.DEFAULT_GOAL := help
.PHONY: help install demo live test lint types grafana kafka bench lock clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: $(STAMP) ## Install the pinned packages into .venv.

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || \
	  { echo "nomadwatch needs Python 3.11 to 3.13, and $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo absent):" \
	         "install one, then run 'make PYTHON=python3.11 $(or $(MAKECMDGOALS),install)'" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "$(PYTHON) cannot make a virtual environment: install its venv module (Debian: apt install python3-venv)" >&2; \
	    rm -rf $(VENV); exit 1; }
	@echo "Installing the packages of requirements.lock into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## Measure a generated hour, show the report, and compare it with the truth.
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT INT TERM && \
	echo "Generating an hour of both platforms …" && \
	$(BIN)/python -m simulator hour --out "$$folder/hours" --events $(EVENTS) --seed $(SEED) >/dev/null && \
	echo "Replaying it through the whole pipeline …" && \
	$(BIN)/nomadwatch replay "$$folder/hours" --data-dir "$$folder/state" --report "$$folder/report.json" && \
	$(BIN)/nomadwatch report --data-dir "$$folder/state" && \
	echo && $(BIN)/python -m sinks.compare "$$folder/report.json" "$$folder/hours.truth.json"

live: $(STAMP) ## Run a live station on a simulated GitHub and Hub, until Ctrl-C.
	@$(BIN)/nomadwatch demo

test: lint types ## Check rules, format and types, and run all tests.
	@$(BIN)/pytest -n 2 --dist worksteal

lint: $(STAMP) ## Check rules and format (ruff).
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "not formatted: run '$(BIN)/ruff format .'" >&2; exit 1; }

types: $(STAMP) ## Check types (mypy).
	@$(BIN)/mypy

grafana: $(STAMP) ## Write the dashboards in grafana/dashboards.
	@$(BIN)/python -m grafana

kafka: $(STAMP) ## Start Apache Kafka on this machine (needs Maven and Java 17).
	@$(BIN)/python -m tests.apache_kafka

bench: $(STAMP) ## Print the figures of docs/performance.md.
	@hours=$$(mktemp -d) && trap 'rm -rf "$$hours"' EXIT INT TERM && \
	echo "Generating two hours of 200,000 events …" && \
	$(BIN)/python -m simulator hour --out "$$hours" --hours 2 --events 200000 --seed 7 \
	  --hub-events 0 --duplicates 0 --disorder-hours 0 --late 0 --future 0 >/dev/null && \
	for benchmark in "replay --hour $$hours" "count --scale 0.1" days startup workers restart windows "lake --rows 1000000" broker "reading $$hours/2024-05-01-12.json.gz" operators scrape live demo history; do \
	  echo && echo "== python -m benchmarks.$$benchmark" && $(BIN)/python -m benchmarks.$$benchmark || exit 1; \
	done

PIN := uv pip compile --quiet --no-emit-index-url --no-header --generate-hashes --universal --python-version 3.11

lock: $(STAMP) ## Pin the newest packages with their hashes (needs uv).
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 1; }
	$(PIN) --extra dev --upgrade --output-file requirements.lock pyproject.toml
	$(PIN) --constraint requirements.lock --output-file requirements-run.lock pyproject.toml
	echo hatchling | $(PIN) --constraint requirements.lock --no-annotate --output-file requirements-build.lock -

clean: ## Remove .venv and all caches.
	rm -rf $(VENV) .kafka .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
