# The one door. `make` alone lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
READY := .venv/.ready

export DAGSTER_DISABLE_TELEMETRY := yes
export DO_NOT_TRACK := 1
export PYTHONUTF8 := 1
# Packages are compiled when they are first used; compiled in every process, their imports take thrice the time.
unexport PYTHONDONTWRITEBYTECODE

# Homebrew's libraries are not on the default search path of every Python on macOS.
ifeq ($(shell uname -s),Darwin)
RUN := DYLD_FALLBACK_LIBRARY_PATH=/opt/homebrew/lib:/usr/local/lib:/usr/lib
endif

.PHONY: help setup demo dev test test-all lint format bench docs lock wheel clean distclean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY)  ## .venv with the locked packages; finds Python and system libraries, or says what is missing

$(READY): requirements.lock pyproject.toml scripts/setup.sh scripts/system_libraries.py
	@sh scripts/setup.sh
	@touch $@

demo: $(READY) .dagster/dagster.yaml  ## write a realistic organisation's files into demo/, run the whole pipeline on them, show the reports
	@$(RUN) DAGSTER_HOME="$(CURDIR)/.dagster" $(BIN)/usage-etl demo --target demo

dev: $(READY) .dagster/dagster.yaml  ## the Dagster UI on the demo's lake, at http://127.0.0.1:3000
	@test -f demo/usage_etl.yaml || { echo "there is no demo yet: run 'make demo' first" >&2; exit 1; }
	@$(RUN) USAGE_ETL_CONFIG="$(CURDIR)/demo/usage_etl.yaml" DAGSTER_HOME="$(CURDIR)/.dagster" $(BIN)/dagster dev -w workspace.yaml $(ARGS)

# Both use the same Dagster instance, so the UI shows what the demo ran.
.dagster/dagster.yaml: deploy/dagster.sqlite.yaml
	@mkdir -p .dagster && cp $< $@

# A file stays in one process (tests/spreading.py). JOBS=0 runs all of them in one.
JOBS ?= auto
SPREAD := -n $(JOBS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder
test: $(READY)  ## the fast gate, on every core (JOBS=0: in one process)
	@$(RUN) $(BIN)/pytest -q $(SPREAD) $(ARGS)

test-all: $(READY)  ## the fast gate and the slow tests
	@$(RUN) $(BIN)/pytest -q $(SPREAD) -m "slow or not slow" $(ARGS)

lint: $(READY)  ## ruff, formatting, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(READY)  ## put the code into the agreed shape
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

ROWS ?= 1000000
bench: $(READY)  ## rows a second and memory, beside DuckDB, SQL and pandas on the same work (ROWS=5000000 for more)
	@missed=0; for part in staging facts; do \
		$(RUN) $(BIN)/python -m benchmarks.bench_$$part --rows $(ROWS) $(ARGS) || missed=1; \
	done; $(RUN) $(BIN)/python -m benchmarks.bench_logs $(ARGS) || missed=1; $(RUN) $(BIN)/python -m benchmarks.bench_allocation || missed=1; \
	$(RUN) $(BIN)/python -m benchmarks.bench_summary || missed=1; \
	$(RUN) $(BIN)/python -m benchmarks.analytics --every 2 || missed=1; exit $$missed

docs: $(READY)  ## write the generated reference pages
	@$(BIN)/python docs/generate.py

lock:  ## resolve the dependencies again, both locks (needs uv)
	@sh scripts/lock.sh $(ARGS)

wheel: $(READY)  ## build the wheel into dist/
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist .

clean:  ## remove what demo, dev, tests and builds made; keep .venv
	@rm -rf demo .dagster dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean  ## and .venv
	@rm -rf .venv
