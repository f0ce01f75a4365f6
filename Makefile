# One command for each thing a developer does; `make` alone lists them.
#
#   make run ARGS="--default-registry quay.io"     options of `twistd crproxy`
#   make unit ARGS="-k routing -x"                 options of pytest
#   make test PYTHON=python3.13                    another interpreter, 3.11 or newer, in an environment of its own
#   make release VERSION=0.2.0                     see CONTRIBUTING.md

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
ARGS ?=

# Four tests at a time, those of one file one after the other: much of the time of a test is waiting.
AT_ONCE := --numprocesses 4 --dist loadfile

# One for each interpreter that is named.
VENV := .venv$(addprefix -,$(subst /,-,$(filter-out python3,$(PYTHON))))
BIN := $(VENV)/bin
# editable_mode=compat: any other editable install hides twisted/plugins from twistd.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	--config-settings editable_mode=compat --editable
# What an installation depends on. A stamp is a file in the environment, so both go together.
METADATA := setup.cfg pyproject.toml

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: $(VENV)/installed ## start crproxy from this tree: plain HTTP on 127.0.0.1:5000
	exec $(BIN)/twistd -n --pidfile= crproxy $(ARGS)

.PHONY: test
test: lint packages ## everything CI asks: lint, then all tests
	$(BIN)/python -m pytest $(AT_ONCE) $(ARGS)

.PHONY: lint
lint: $(VENV)/installed-for-tests ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

.PHONY: unit
unit: $(VENV)/installed-for-tests ## the tests that spawn nothing
	$(BIN)/python -m pytest $(AT_ONCE) -m "not integration" $(ARGS)

.PHONY: integration
integration: $(VENV)/installed-for-tests packages ## the tests with real registries, proxies and clients
	$(BIN)/python -m pytest -m integration $(ARGS)

.PHONY: screenshots
screenshots: $(VENV)/installed-for-tests packages ## the pictures in docs/images, by the tests of the page (fonts-noto-cjk)
	SCREENSHOTS=docs/images $(BIN)/python -m pytest tests/integration/test_page.py tests/integration/test_operators_page.py -k picture $(ARGS)

.PHONY: broken-setups
broken-setups: $(VENV)/installed-for-tests packages ## write what is said of broken set-ups into docs/troubleshooting.md, as root
	BROKEN_SETUPS=write $(BIN)/python -m pytest tests/integration/test_broken_setups.py $(ARGS)

.PHONY: stress
stress: $(VENV)/installed-for-tests ## kill the daemon 100 times in mid-pull, and look what is left
	$(BIN)/python -m tests.stress.crashes $(ARGS)

.PHONY: stress-workers
stress-workers: $(VENV)/installed-for-tests packages ## kill a worker 100 times while docker and containerd pull
	$(BIN)/python -m tests.stress.worker_crashes $(ARGS)

.PHONY: fuzz
fuzz: fuzz-clients fuzz-upstreams ## both of these

.PHONY: fuzz-clients
fuzz-clients: $(VENV)/installed-for-tests ## send the daemon 200,000 requests of every kind, right and wrong
	$(BIN)/python -m tests.stress.fuzz $(ARGS)

.PHONY: fuzz-upstreams
fuzz-upstreams: $(VENV)/installed-for-tests ## let registries answer it 100,000 times, right and wrong
	$(BIN)/python -m tests.stress.hostile_upstreams $(ARGS)

.PHONY: bench
bench: bench-cache bench-tls bench-limits bench-hostile bench-workers bench-parallel bench-proxy bench-rules ## every benchmark

.PHONY: bench-cache
bench-cache: $(VENV)/installed-for-tests packages ## crproxy next to nginx, docker-registry and any other, against what is aimed at
	$(BIN)/python -m benchmarks.cache $(ARGS)

.PHONY: bench-tls
bench-tls: $(VENV)/installed-for-tests packages ## CPU of a TLS handshake with few and many names, next to nginx
	$(BIN)/python -m benchmarks.tls $(ARGS)

.PHONY: bench-workers
bench-workers: $(VENV)/installed-for-tests packages ## what two and four workers give beside one
	$(BIN)/python -m benchmarks.workers $(ARGS)

.PHONY: bench-soak
bench-soak: $(VENV)/installed-for-tests packages ## memory and descriptors at full load for ten minutes
	$(BIN)/python -m benchmarks.soak $(ARGS)

.PHONY: bench-silence
bench-silence: $(VENV)/installed-for-tests packages ## how long clients wait for an upstream that answers nothing
	$(BIN)/python -m benchmarks.silence $(ARGS)

.PHONY: bench-rules
bench-rules: $(VENV)/installed-for-tests packages ## what two hundred rules cost a warm manifest
	$(BIN)/python -m benchmarks.rules $(ARGS)

.PHONY: bench-limits
bench-limits: $(VENV)/installed-for-tests packages ## how exact the limits on bytes per second are
	$(BIN)/python -m benchmarks.limits $(ARGS)

.PHONY: bench-parallel
bench-parallel: $(VENV)/installed-for-tests packages ## a blob over several connections, from an upstream that is slow on each
	$(BIN)/python -m benchmarks.parallel $(ARGS)

.PHONY: bench-proxy
bench-proxy: $(VENV)/installed-for-tests packages ## a warm blob by CONNECT beside the same by an alias
	$(BIN)/python -m benchmarks.proxy $(ARGS)

.PHONY: bench-fleet
bench-fleet: $(VENV)/installed-for-tests packages ## one fetch for three nodes, and what each way to the bytes costs
	$(BIN)/python -m benchmarks.fleet $(ARGS)

.PHONY: bench-hostile
bench-hostile: $(VENV)/installed-for-tests packages ## a pull beside clients that only hold connections
	$(BIN)/python -m benchmarks.hostile $(ARGS)

.PHONY: security-table
security-table: $(VENV)/installed-for-tests ## write the last column of docs/security.md from the tests
	$(BIN)/python -m tests.security_table --write

.PHONY: wheel
wheel: $(VENV)/installed-for-tests ## the source and wheel distributions, in dist/
	rm -rf build dist
	$(BIN)/python -m build --no-isolation --outdir dist .

.PHONY: changelog
changelog: $(VENV)/installed-for-tests ## show what changes/ will be in CHANGELOG.md
	$(BIN)/towncrier build --draft --version next

.PHONY: release
release: $(VENV)/installed-for-tests packages ## write VERSION=0.2.0 everywhere, and changes/ into CHANGELOG.md
	$(BIN)/python -m tests.release write "$(VERSION)"
	$(BIN)/towncrier build --yes --version "$(VERSION)"
	$(BIN)/python -m tests.manifests --write
	$(BIN)/python -m tests.manual --write
	$(BIN)/python -m tests.release check "v$(VERSION)"

.PHONY: release-check
release-check: $(VENV)/installed-for-tests ## whether the tree can be released as TAG=v0.2.0
	$(BIN)/python -m tests.release check "$(TAG)"

.PHONY: release-notes
release-notes: $(VENV)/installed-for-tests ## print what CHANGELOG.md says of TAG=v0.2.0
	@$(BIN)/python -m tests.release notes "$(TAG)"

.PHONY: hooks
hooks: $(VENV)/installed-for-development ## let git lint each commit
	$(BIN)/pre-commit install

.PHONY: packages
packages: $(VENV)/installed-for-tests ## the programs of the integration tests, where they are missing
	@.ci/packages
	@.ci/go-programs $(BIN)

.PHONY: manifests
manifests: $(VENV)/installed-for-tests ## write deploy/kubernetes and the chart's table of values from the chart
	$(BIN)/python -m tests.manifests --write

.PHONY: man
man: $(VENV)/installed-for-tests ## write the manual pages in share/man from commands, options and keys
	$(BIN)/python -m tests.manual --write

.PHONY: clean
clean: ## remove everything that was made here
	rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -f twisted/plugins/dropin.cache

$(BIN)/python:
	@.ci/virtualenv "$(PYTHON)" $(VENV)

$(VENV)/installed: $(METADATA) | $(BIN)/python
	$(INSTALL) '.[fleet]'
	@touch $@

$(VENV)/installed-for-tests: $(METADATA) | $(BIN)/python
	$(INSTALL) '.[fleet,sigstore,test,lint]'
	@touch $(VENV)/installed $@

$(VENV)/installed-for-development: $(METADATA) | $(BIN)/python
	$(INSTALL) '.[fleet,sigstore,test,lint,dev]'
	@touch $(VENV)/installed $(VENV)/installed-for-tests $@
