# Each target sets up what it needs. PYTHON is the interpreter to build on, 3.11 or later.
PYTHON ?= python3
VENVS ?= .venv
DEV := $(VENVS)/dev/bin
DEMO := $(VENVS)/demo/bin
# What the JupyterLab extension is built from.
PANEL := hatch_build.py $(shell find labextension -type f -not -path '*/node_modules/*' -not -path '*/lib/*')
SOURCES := pyproject.toml README.md $(PANEL) $(shell find jupyter_tokens notebooks -name '*.py' -o -name '*.ipynb' -o -name '*.typed')

# The parts that have to be covered to the last branch.
CORE := jupyter_tokens/errors.py,jupyter_tokens/clock.py,jupyter_tokens/token.py,jupyter_tokens/auth.py,jupyter_tokens/secretref.py,jupyter_tokens/profiles.py,jupyter_tokens/config.py,jupyter_tokens/transport.py,jupyter_tokens/broker.py,jupyter_tokens/upstream.py,jupyter_tokens/source.py,jupyter_tokens/whole_file.py,jupyter_tokens/signing/*,jupyter_tokens/credentials/*,jupyter_tokens/providers/*

.PHONY: demo test lint bench docs clean

demo: $(VENVS)/demo/.ready
	@$(DEMO)/jupyter tokens demo $(ARGS)

test: $(VENVS)/dev/.ready labextension/node_modules/.package-lock.json
	@# The R kernel's tests are skipped where it cannot be had; CI installs it.
	@scripts/need chromium chromium --version
	-@scripts/need r-cran-irkernel R --slave -e 'library(IRkernel)'
	$(if $(ARGS),,cd labextension && npm test)
	$(DEV)/python -m pytest --cov --cov-report= $(ARGS)
	$(if $(ARGS),,$(DEV)/coverage report --include='$(CORE)' --fail-under=100 --skip-covered)

lint: $(VENVS)/dev/.ready labextension/node_modules/.package-lock.json
	$(DEV)/ruff check .
	$(DEV)/ruff format --check .
	$(DEV)/mypy
	$(DEV)/lint-imports
	cd labextension && npm run lint

bench: $(VENVS)/dev/.ready
	$(DEV)/python -m benchmarks $(ARGS)

docs: $(VENVS)/dev/.ready
	$(DEV)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet docs build/docs
	@echo "build/docs/index.html"

clean:
	rm -rf $(VENVS) build dist jupyter_tokens/labextension labextension/lib labextension/node_modules .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENVS)/%/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; name it: make PYTHON=python3.12" >&2; exit 1; }
	@scripts/need python3-venv $(PYTHON) -c 'import ensurepip, venv'
	$(PYTHON) -m venv $(VENVS)/$*

$(VENVS)/demo/.ready: $(VENVS)/demo/bin/python $(SOURCES)
	$(DEMO)/python -m pip install --quiet --disable-pip-version-check '.[demo]'
	@touch $@

$(VENVS)/dev/.ready: $(VENVS)/dev/bin/python pyproject.toml $(PANEL)
	$(DEV)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint,docs]'
	@touch $@

labextension/node_modules/.package-lock.json: labextension/package-lock.json
	@scripts/need npm npm --version
	cd labextension && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@
