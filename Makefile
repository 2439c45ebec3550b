# One vocabulary: `make help` lists it. Every target sets up what it needs first.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
HOME_DIR ?= .switchyard

.DEFAULT_GOAL := help
.PHONY: help setup lock demo run test test-stripe bench torture fuzz load mutation kafka kafka-stop test-kafka test-faults lint format generate breaking release-contracts clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The stamp is as new as the lock: a second call does nothing.
$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Switchyard needs Python 3.11 or newer; set PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV) || { echo "python3 has no venv module: install your system's python3-venv package"; exit 1; }
	@echo "installing what Switchyard needs into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

setup: $(READY) ## make .venv and install the locked dependencies (every target does it by itself)

lock: $(READY) ## renew requirements/*.txt from pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements/runtime.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml --group dev -o requirements/dev.txt

demo: $(READY) ## start everything in a folder of its own and play a payment's whole life, troubles included (20 s)
	@$(BIN)/payment-cli demo

run: $(READY) ## run everything until Ctrl-C: database, sandbox, services, HTTP; it is kept in .switchyard
	@$(BIN)/payment-cli up --home $(HOME_DIR)

test: $(READY) ## run every test that needs nothing but this checkout (WORKERS=0: one after another)
	@$(BIN)/python -m pytest -n $(or $(WORKERS),2) --dist loadfile $(ARGS)

test-stripe: $(READY) ## hold the Stripe adapter against Stripe's test mode (set STRIPE_TEST_API_KEY=sk_test_...)
	@case "$$STRIPE_TEST_API_KEY" in \
	  sk_test_*|rk_test_*) ;; \
	  "") echo "nothing was tested: STRIPE_TEST_API_KEY is not set (it wants a test-mode key, sk_test_...)"; exit 1;; \
	  *) echo "nothing was tested: STRIPE_TEST_API_KEY is no test-mode key (it wants sk_test_...)"; exit 1;; \
	esac
	@$(BIN)/python -m pytest tests/processor/test_conformance*.py -k stripe_test_mode -rs $(ARGS)

bench: $(READY) ## measure messaging (KAFKA=1: on Kafka too), ledger, router, payments, HTTP beside their baselines
	@$(BIN)/python -m bench messaging --engine $(if $(KAFKA),both,postgres) --json $(HOME_DIR)/bench/messaging.json
	@missed=0; for each in ledger router payments http; do \
	  $(BIN)/python -m bench $$each --json $(HOME_DIR)/bench/$$each.json || missed=1; \
	done; exit $$missed

torture: $(READY) ## kill -9 processes under load, then ask the oracle (SEED=7 CYCLES=500; KAFKA=host:port)
	@$(BIN)/python -m tests.torture --cycles $(or $(CYCLES),500) $(if $(SEED),--seed $(SEED)) $(if $(KAFKA),--kafka $(KAFKA))

fuzz: $(READY) ## send malformed requests by the thousand, HTTP and gRPC (SEED=7 COUNT=20000)
	@$(BIN)/python -m tests.fuzz --count $(or $(COUNT),20000) $(if $(SEED),--seed $(SEED))

mutation: $(READY) ## remove each guard that protects money, in a copy, and see which test misses it (ONLY=name)
	@$(BIN)/python -m tests.mutation --json $(HOME_DIR)/mutation.json $(if $(ONLY),--only $(ONLY))

load: $(READY) ## measure what is promised when many come at once; one table, and JSON (SCALE=0.05 SEED=7)
	@$(BIN)/python -m tests.load --scale $(or $(SCALE),1) $(if $(SEED),--seed $(SEED))

kafka: $(READY) ## start a real Kafka in the background: one broker, no container (needs Java 17 and Maven)
	@$(BIN)/python -m tools.kafka start

kafka-stop: $(READY) ## stop that Kafka; what it holds stays in .switchyard/kafka
	@$(BIN)/python -m tools.kafka stop

test-kafka: $(READY) ## run the messaging tests on a Kafka of their own (LONG=1: 200 kills, a minute without it)
	@SWITCHYARD_TEST_KAFKA=1 SWITCHYARD_TEST_LONG=$(LONG) $(BIN)/python -m pytest tests/messaging $(ARGS)

test-faults: $(READY) ## run the faults under load (LONG=1: for minutes, with figures; KAFKA=1: on a real Kafka)
	@SWITCHYARD_TEST_KAFKA=$(KAFKA) SWITCHYARD_TEST_LONG=$(LONG) $(BIN)/python -m pytest tests/faults $(ARGS)

format: $(READY) ## put code and contracts into their one layout
	@$(BIN)/ruff check --quiet --fix --exit-zero . && $(BIN)/ruff format --quiet . && $(BIN)/buf format -w

lint: $(READY) ## check contracts, generated code, style, types and layers
	@$(BIN)/buf lint
	@$(BIN)/buf format --diff --exit-code
	@$(BIN)/python -m tools.contracts current
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

generate: $(READY) ## make gen/ anew from proto/
	@$(BIN)/python -m tools.contracts generate

breaking: $(READY) ## compare the contracts with the last released ones
	@$(BIN)/python -m tools.contracts breaking

release-contracts: $(READY) ## release the contracts; the version follows from what changed (or VERSION=1.0.0)
	@$(BIN)/python -m tools.contracts release $(VERSION)

clean: ## remove what set-up and runs have left (the data in .switchyard stays)
	rm -rf $(VENV) .tools .pytest_cache .mypy_cache .ruff_cache .hypothesis
