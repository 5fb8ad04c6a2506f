# `make` alone lists the targets. Everything is kept in .venv/ and build/; python3 (3.11 or later) and make are all
# that must be there beforehand, and what a target needs besides it names itself.

.DEFAULT_GOAL := help
.PHONY: help setup python ready demo test firmware test-device bench chaos lint vectors size bundle broker broker-real
.PHONY: package lock clean

# MicroPython's wheel exists for CPython 3.11 to 3.13, so those are looked for before a later one is taken.
PYTHON ?= $(shell for bounds in '(3, 11) <= v < (3, 14)' 'v >= (3, 14)'; do \
	for python in python3 python3.13 python3.12 python3.11 python3.14; do \
	if $$python -c "import sys; v = sys.version_info[:2]; sys.exit(not $$bounds)" 2>/dev/null; then \
	echo $$python; exit; fi; done; done)
VENV := .venv/bin/python
PYTEST_ARGS ?=
LOCK_ARGS ?=
QUICK ?=
CHAOS_ARGS ?=

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r target text; do \
	printf '  make %-12s %s\n' "$$target" "$$text"; done

setup: python ## make .venv, fetch every MicroPython; tries again what could not be fetched before
	@$(PYTHON) -m tools.setup

demo: ready ## a sensor on MicroPython sends to a broker on this machine
	@$(VENV) -m tools.demo

test: ready ## all tests, on CPython and every MicroPython; PYTEST_ARGS='-k name' chooses
	@$(VENV) -m pytest $(PYTEST_ARGS)

firmware: ready ## build an RP2040 firmware with the package in it, for an emulated board
	@$(VENV) -m tools.device build

test-device: firmware ## the tests that run on the emulated board alone
	@REQUIRE_ALL=1 $(VENV) -m pytest tests/device $(PYTEST_ARGS)

bench: ready ## messages/s against Apache Pulsar, beside pulsar-client (needs Java); QUICK=1: 2 minutes
	@$(VENV) -m tools.bench $(if $(QUICK),--quick)

chaos: ready ## 1,000,000 messages through link and broker faults of a cluster (needs Java); CHAOS_ARGS='--minutes 20'
	@$(VENV) -m tools.chaos $(CHAOS_ARGS)

lint: ready ## ruff, types against CPython and MicroPython, mpy-cross
	@$(VENV) -m tools.lint

vectors: ready ## make the test vectors anew
	@$(VENV) -m tools.vectors make

size: ready ## what importing a producer or consumer costs a board, in bytes; into build/size.json
	@$(VENV) -m tools.size

bundle: ready ## one small module for boards from the package, into build/bundle/
	@$(VENV) -m tools.bundle

broker: ready ## run the development broker
	@$(VENV) -m tools.devbroker

broker-real: ready ## run Apache Pulsar itself (needs Java)
	@$(VENV) -m tools.realbroker

package: ready ## write package.json, the list of files for mip, anew
	@$(VENV) -m tools.mip_index

lock: python ## resolve the development dependencies anew (needs uv); LOCK_ARGS=--upgrade for newer ones
	@$(PYTHON) -m tools.setup --lock $(LOCK_ARGS)

clean: ## delete .venv/, build/ and caches
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

python:
	@if [ -z "$(PYTHON)" ]; then echo "Python 3.11 or later is needed: as root 'apt-get install python3 python3-venv'," \
	"or 'brew install python@3.13'" >&2; exit 1; fi

ready: python
	@$(PYTHON) -m tools.setup --quick
