# Two commands do all the set-up on a fresh machine: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
unexport PYTHONDONTWRITEBYTECODE # the tests start the server hundreds of times
RUN := requirements/run.txt
DEV := requirements/dev.txt

.PHONY: help setup demo test test-unit check format accept simulate bench lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

setup: .venv/.run ## make .venv with what the program needs

.venv/.run: $(RUN) pyproject.toml
	@$(PYTHON) scripts/require_python.py
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(RUN)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: $(DEV) .venv/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(DEV)
	@touch $@

demo: setup ## run a real file through a server of its own and show the results
	$(BIN)/python scripts/demo.py

test: .venv/.dev ## all tests in their short form
	$(BIN)/python -m pytest -n 3 --dist worksteal

test-unit: .venv/.dev ## the quick ones
	$(BIN)/python -m pytest tests/unit

check: .venv/.dev ## ruff, mypy, bandit, layers, SQL
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive src
	$(BIN)/python -m pytest tests/unit/test_architecture.py tests/unit/test_sql.py

format: .venv/.dev ## let ruff format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.dev .venv-bench/.made ## the figures of docs/benchmarks.md (BENCH="f3 --short" for some)
	PYTHONPATH=. .venv-bench/bin/python -m bench --server $(BIN)/batchyard $(BENCH) | tee figures.jsonl
	.venv-bench/bin/python -m bench.report figures.jsonl

.venv-bench/.made: requirements/bench.txt
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@

SEEDS ?= 0-999

simulate: .venv/.dev ## stories on virtual time by their numbers: SEEDS=0-9999 (one story: SEEDS="17 --story")
	$(BIN)/python -m tests.simulation.simulate $(SEEDS)

accept: .venv/.dev ## the long forms, and every planted bug, in two hours (HOURS=8 LANES="hour planted" for others)
	$(BIN)/python -m tests.accept --hours $(or $(HOURS),2) $(LANES)

screenshots: .venv/.dev ## make the pictures of docs/dashboard.md anew (needs Chromium)
	BATCHYARD_SCREENSHOTS=1 $(BIN)/python -m pytest -n 0 tests/browser/test_looks.py

.PHONY: screenshots

lock: ## pin the requirements anew (needs pip-tools)
	cd requirements && for name in run dev bench fuzz server ray; do \
	  pip-compile --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	    --strip-extras --allow-unsafe --no-header --quiet $$name.in -o $$name.txt; done

clean: ## remove what was made here
	rm -rf .venv .venv-bench .venv-fuzz .stamp-venv-fuzz .mypy_cache .ruff_cache accept

lock-sdks: ## pin anew what the tests of the SDKs need (needs pip-tools and npm)
	cd requirements && for name in sdk-suite oldest-sdk oldest-ga-sdk chat-oracle llama charts; do \
	  pip-compile --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	    --strip-extras --allow-unsafe --no-header --quiet $$name.in -o $$name.txt; done
	cd tests/contract/azurite && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts
	cd tests/browser/axe && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts
	cd tests/sdk/ts && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts

clean: clean-sdks
clean-sdks:
	rm -rf .node-axe .stamp-node-axe .node-azurite .stamp-node-azurite
	rm -rf .venv-sdk-suite .venv-oldest-sdk .venv-oldest-ga-sdk .venv-chat-oracle .venv-llama .llama .node .stamp-venv-sdk-suite .stamp-venv-oldest-*
	rm -rf .stamp-venv-chat-oracle .stamp-venv-llama .stamp-llama .stamp-node .venv-charts .stamp-venv-charts

.PHONY: lock-sdks clean-sdks
