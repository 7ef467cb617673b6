# make sample     set up, generate 100 traces, build the release, load it back, print one trace
# make test       set up, run the tests; of the shipped domains, one that changed, or else any one
# make catalogue  set up, run the tests of domains for every shipped domain; catalogue-changed: for those that changed
# make check      lint and types
# make lock       renew the lock files (names, versions and hashes only)

PYTHON ?= python3
BIN := .venv/bin
RUN := out/sample
RELEASE := out/release

.PHONY: sample test catalogue catalogue-changed check lock clean

sample: .venv/installed
	rm -rf $(RUN) $(RELEASE)
	$(BIN)/python -m scripts.generate_shards --sample --output-dir $(RUN)
	$(BIN)/python -m scripts.push_to_hub --run $(RUN) --local-dir $(RELEASE)
	$(BIN)/python -m scripts.show_traces $(RELEASE) --seed 5

test: .venv/installed-dev
	$(BIN)/python -m pytest

catalogue: .venv/installed-dev
	$(BIN)/python -m pytest -m catalogue --all-domains

catalogue-changed: .venv/installed-dev
	$(BIN)/python -m pytest -m catalogue --changed-domains

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/installed: requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	touch $@

.venv/installed-dev: requirements-dev.lock requirements-templates.lock .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-templates.lock
	touch $@

LOCK := pip-compile --quiet
lock:
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/$(LOCK) -o requirements.lock pyproject.toml
	$(BIN)/$(LOCK) --extra dev -o requirements-dev.lock pyproject.toml

clean:
	rm -rf .venv out build dist *.egg-info
