# make help lists the targets. `make demo` and `make test` need Python 3.11+, make and a package index, and nothing
# else: no root, no Docker, no service that runs already.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
JOBS ?= auto
ARGS ?=
# Of `make fuzz`.
BROKER ?= redis
N ?= 500
SEED ?= 1
REPLAY ?=

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-anew test-integration fuzz ecosystem corpus site check lint types docs build matrix bench lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# The environment is as the committed lock says, to the hash; it is made anew when the lock or the build changes.
$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "pytest-backchannel needs Python 3.11 or later; say which: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(VENV)/.ready ## run the example project's suite under the plugin, with its report
	$(BIN)/backchannel demo $(ARGS)

test: $(VENV)/.ready ## run all tests; those of RabbitMQ, PostgreSQL and Chromium where these are found
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

test-fast: $(VENV)/.ready ## run the tests that need no broker and no browser
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not celery_integration" $(ARGS)

test-anew: $(VENV)/.ready ## run the fast tests of tasks with a new worker for each, as backchannel_reuse = false has it
	BACKCHANNEL_TEST_ANEW=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not celery_integration" \
		tests/unit/tasks tests/plugin/tasks tests/differential $(ARGS)

# These wait for processes and brokers most of the time: two for each processor.
test-integration: JOBS = $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1))')
test-integration: $(VENV)/.ready ## run the tests that need real brokers, real workers or a browser
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m celery_integration $(ARGS)

fuzz: $(VENV)/.ready ## play N generated scenarios on BROKER=redis, rabbitmq or layer, from SEED; or those of REPLAY=file
	PYTHONPATH=tests/differential $(BIN)/python -m fuzz --broker $(BROKER) -n $(N) --seed $(SEED) \
		$(if $(REPLAY),--replay $(REPLAY)) $(ARGS)

# Other people's libraries, in environments of their own: some of them patch whatever process they are installed in, and
# one does not allow the newest Celery. With CI=true a test whose library is missing fails instead of being skipped.
.venv-%/.ready: requirements/%.txt pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

NEEDS_CELERY_5_6 = tests/ecosystem/test_celery_batches.py
ecosystem: export CI = true
ecosystem: .venv-ecosystem/.ready .venv-ecosystem-celery-5.6/.ready ## run the tests of other people's libraries
	.venv-ecosystem/bin/python -m pytest -p no:inline_snapshot -n $(JOBS) --dist worksteal tests/ecosystem \
		tests/plugin/test_from_scratch.py --ignore $(NEEDS_CELERY_5_6) $(ARGS)
	.venv-ecosystem-celery-5.6/bin/python -m pytest $(NEEDS_CELERY_5_6) $(ARGS)

# All takes a quarter of an hour on two processors; ARGS="--sample 10 --seed 3", or "--kind retry beat", a part of it.
corpus: $(VENV)/.ready ## what the suites catch of known bugs; ARGS=--write-docs writes the page of the docs anew
	PYTHONPATH=tests $(BIN)/python -m corpus $(ARGS)

site: $(VENV)/.ready ## run the example site for real: Redis, ASGI server, worker, beat
	$(BIN)/backchannel demo --serve $(ARGS)

check: lint types docs test ## everything that CI does

lint: $(VENV)/.ready ## ruff, the one-way imports, and our own checks of the example
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/backchannel check example --no-cache

types: $(VENV)/.ready ## mypy and pyright, both strict
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/.ready ## build the documentation; a broken link fails
	$(BIN)/sphinx-build -q -W -b html docs build/docs

build: $(VENV)/.ready ## build the wheel and the source distribution
	$(BIN)/python -m build --no-isolation

matrix: $(VENV)/.ready ## a sampled matrix of Python, Django, Celery and Channels versions
	$(BIN)/nox $(ARGS)

bench: $(VENV)/.ready ## the benchmarks, as ratios within one run
	@for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

lock: $(VENV)/.ready ## resolve the dependencies anew (needs uv)
	sh requirements/lock.sh

clean: ## remove what was built
	rm -rf $(VENV) .venv-ecosystem .venv-ecosystem-celery-5.6 build dist .mypy_cache .ruff_cache .pytest_cache .nox
