# The two commands of the README are `make demo` and `make test`; each does all set-up.
# What is assumed of the machine: Python 3.11 or newer with venv, make, a package index.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
UV_VERSION := 0.13.9
BIN := .venv/bin
SYNC := $(BIN)/uv sync --frozen --quiet --inexact --python $(BIN)/python
ARGS ?=
# Python keeps what it compiled, also where the machine's own settings say not to (as many container
# images do): without, each start of a command compiles two thousand files anew.
unexport PYTHONDONTWRITEBYTECODE
# A file of tests stays with one process: its tests share a server.
SPREAD := -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test test-long check env browser clean

help:            ## what can be done here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/ —/'

demo: env        ## run the centre with a simulated nation (ARGS="--minutes 5" and so on)
	$(BIN)/openaoc demo $(ARGS)

test: env browser ## every test that takes seconds: what CI runs
	$(BIN)/python -m pytest $(SPREAD) -m "not long" $(ARGS)

test-long: env browser ## the long runs too: fuzzing, a hundred crashes
	$(BIN)/python -m pytest $(SPREAD) --timeout 3600 --hypothesis-profile search $(ARGS)

check: env       ## style, types and contracts only
	$(BIN)/python -m pytest tests/style $(ARGS)

env: .venv/.ready ## build the environment and compile the hot loops

# The second try is for networks whose proxy is trusted by the machine, not by uv's own list.
.venv/.ready: uv.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; PYTHON=/path/to/python3.11 make … names one"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(SYNC) || $(SYNC) --system-certs
	$(BIN)/python -m openaoc.tracing.warm
	$(BIN)/python -m openaoc.ledger.warm
	@touch .venv/.ready

# Browser tests need Chromium: Debian's is installed where we may, else they are skipped and say so.
browser:
	@command -v chromium >/dev/null 2>&1 || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
			(apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
				--no-install-recommends chromium fonts-noto-core) >/dev/null 2>&1 || true; \
		fi; \
		command -v chromium >/dev/null 2>&1 || \
			echo "Chromium is not here and cannot be installed: the browser tests will be skipped."; }

clean:           ## remove the environment and every cache
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
