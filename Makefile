# make demo: hear why a model heard a word.  make test: everything the project promises.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PLUGINS := $(wildcard plugins/*/pyproject.toml)
EDITABLE := -e . $(foreach plugin,$(PLUGINS),-e $(dir $(plugin)))
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test suite browser fuzz kill docs lint types clean

demo: $(VENV)/.installed
	$(BIN)/xplain demo --out out/demo

# Lint and types beside the tests.
MAKEFLAGS += --jobs=2
test: lint types suite

# A process for each core, each with one thread: more would wait for one another.
suite: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

# Debian's Chromium, in which the pages are tested; without one these tests are skipped.
browser:
	apt-get install --yes --no-install-recommends chromium

# The documentation site, in out/site; open out/site/index.html.
docs: $(VENV)/.installed-docs
	$(BIN)/python -m mkdocs build --strict

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy xplain $(wildcard plugins/*/src) plugins/xplain-zoo/training

clean:
	rm -rf $(VENV) out

# One set of versions that is known to work: every install goes through the constraints.
$(VENV)/.installed: pyproject.toml constraints.txt $(PLUGINS)
	$(PYTHON) -m venv $(VENV)
	@echo "installing (a few minutes the first time)"
	$(PIP) install -c constraints.txt $(EDITABLE)
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[docs]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[dev]' -e 'plugins/xplain-codecs[lyra]'
	# Our metrics are held against it; it asks for OpenCV and pandas, which none of that needs.
	$(PIP) install -c constraints.txt --no-deps quantus
	touch $@
