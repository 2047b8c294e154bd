# Each target sets up what it needs. PYTHON is the interpreter to build on, 3.11 or later.
PYTHON ?= python3
VENVS ?= .venv
DEV := $(VENVS)/dev/bin
DEMO := $(VENVS)/demo/bin
SCALE := $(VENVS)/scale/bin
# What the JupyterLab extension is built from.
PANEL := hatch_build.py $(shell find labextension -type f -not -path '*/node_modules/*' -not -path '*/lib/*')
SOURCES := pyproject.toml README.md $(PANEL) $(shell find jupyter_tokens notebooks -name '*.py' -o -name '*.ipynb' -o -name '*.typed')

PYTEST = $(DEV)/python -m pytest
# Several files at once, because tests mostly wait for servers and kernels; with a browser they wait less.
FILES := --dist loadfile --no-loadscope-reorder
TWO := -n 2 $(FILES)
THREE := -n 3 $(FILES)
FOUR := -n 4 $(FILES)
QUICK := -m "not long and not scale"

# These parts have to be covered to the last branch by their own tests. The others run without coverage, which is slow.
CORE := jupyter_tokens/errors.py,jupyter_tokens/clock.py,jupyter_tokens/token.py,jupyter_tokens/auth.py,jupyter_tokens/client.py,jupyter_tokens/transport.py,jupyter_tokens/_util/atomic_file.py,jupyter_tokens/_util/encodings.py,jupyter_tokens/_util/loopback.py,jupyter_tokens/_util/text_file.py,jupyter_tokens/protocol/proof.py,jupyter_tokens/config/files.py,jupyter_tokens/config/profiles.py,jupyter_tokens/config/secrets.py,jupyter_tokens/config/program.py,jupyter_tokens/config/path_globs.py,jupyter_tokens/sources/cache.py,jupyter_tokens/sources/base.py,jupyter_tokens/sources/local.py,jupyter_tokens/sources/upstream.py,jupyter_tokens/providers/*
CORE_TESTS := tests/_util tests/config tests/protocol tests/providers tests/sources $(wildcard tests/test_*.py)

.PHONY: demo programs test test-long test-scale slow canary lint bench docs pictures licences audit clean

demo: $(VENVS)/demo/.ready
	@echo "Starting the demo …"
	@$(DEMO)/jupyter tokens demo $(ARGS)

# The R kernel's tests are skipped where it cannot be had; CI installs it.
programs:
	@scripts/need chromium chromium --version
	@scripts/need redis-server redis-server --version
	-@scripts/need r-cran-irkernel R --slave -e 'library(IRkernel)'

test: programs $(VENVS)/dev/.ready labextension/node_modules/.package-lock.json
	$(if $(ARGS),$(PYTEST) $(ARGS))
	$(if $(ARGS),,cd labextension && npm test)
	$(if $(ARGS),,$(PYTEST) --cov --cov-report= $(TWO) $(QUICK) $(CORE_TESTS))
	$(if $(ARGS),,$(DEV)/coverage report --include='$(CORE)' --fail-under=100 --skip-covered)
	$(if $(ARGS),,$(PYTEST) $(FOUR) $(QUICK) tests $(CORE_TESTS:%=--ignore %) --ignore tests/labextension)
	@# By themselves, because Playwright keeps an event loop running.
	$(if $(ARGS),,$(PYTEST) $(TWO) $(QUICK) tests/labextension)

# What `test` only samples, with real kernels, servers and browsers. CI runs it as well.
test-long: programs $(VENVS)/dev/.ready labextension/node_modules/.package-lock.json
	$(PYTEST) $(FOUR) -m "long and not scale" tests --ignore tests/labextension
	$(PYTEST) $(TWO) -m "long and not scale" tests/labextension

# Clusters of workers and hubs, and the service and the store at full size; `test` runs their other tests.
# The packages are large: an environment of their own.
test-scale: $(VENVS)/scale/.ready
	@scripts/need chromium chromium --version
	@scripts/need redis-server redis-server --version
	PATH=$(abspath $(VENVS)/scale/node_modules/.bin):$$PATH $(SCALE)/python -m pytest -m scale $(or $(ARGS),$(THREE) tests/workers tests/service tests/sources tests/e2e/test_tutorials.py)
	$(if $(ARGS),,$(SCALE)/python -m pytest --full -n 2 -m "(slow or nightly) and not scale" tests/load/test_one_call_a_life.py tests/service tests/sources)

slow: programs $(VENVS)/dev/.ready
	$(DEV)/python -m pytest -m "(slow or nightly) and not scale" --full $(ARGS)

# Not part of `test`: what other projects are about to release may break it, whatever we do.
canary: $(VENVS)/canary/bin/python
	scripts/canary $(VENVS)/canary/bin/python

lint: $(VENVS)/dev/.ready labextension/node_modules/.package-lock.json
	$(DEV)/ruff check .
	$(DEV)/ruff format --check .
	$(DEV)/mypy
	$(DEV)/lint-imports
	$(DEV)/vulture
	cd labextension && npm run lint

bench: $(VENVS)/dev/.ready
	$(DEV)/python -m benchmarks $(ARGS)

docs: $(VENVS)/dev/.ready
	$(DEV)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet docs build/docs
	@echo "build/docs/index.html"

# The pictures of README and docs, made anew; look at each of them.
pictures: $(VENVS)/dev/.ready
	@scripts/need chromium chromium --version
	SCREENSHOTS=docs/images $(DEV)/python -m pytest tests/e2e/test_widgets.py
	SCREENSHOTS=docs/images $(DEV)/python -m pytest tests/labextension/test_screenshots.py

# Of what `pip install .` brings along, on this machine and interpreter.
licences: $(VENVS)/dev/.ready $(VENVS)/plain/.ready
	@mkdir -p build
	{ printf '# Licences of the dependencies\n\nWhat `pip install .` brings along; `make licences` writes this page.\n\n'; \
	$(DEV)/pip-licenses --python $(VENVS)/plain/bin/python --from=mixed --format=markdown --ignore-packages jupyter_tokens; } > build/licences.md
	mv build/licences.md docs/licences.md

# Needs the network. What comes with `pip install .` and with the panel, as CycloneDX, and what is known to be wrong with it.
audit: $(VENVS)/audit/bin/python $(VENVS)/plain/.ready
	@scripts/need npm npm --version
	$(VENVS)/audit/bin/python -m pip install --quiet --disable-pip-version-check cyclonedx-bom pip-audit
	@mkdir -p build
	$(VENVS)/audit/bin/cyclonedx-py environment --output-file build/sbom.python.json $(VENVS)/plain/bin/python
	cd labextension && npm sbom --package-lock-only --omit dev --sbom-format cyclonedx > ../build/sbom.labextension.json
	$(VENVS)/audit/bin/pip-audit --path $$($(VENVS)/plain/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
	cd labextension && npm audit --omit dev

clean:
	rm -rf $(VENVS) build dist jupyter_tokens/labextension labextension/lib labextension/node_modules .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENVS)/%/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; name it: make PYTHON=python3.12" >&2; exit 1; }
	@scripts/need python3-venv $(PYTHON) -c 'import ensurepip, venv'
	@echo "Creating a virtual environment in $(VENVS)/$* …"
	@$(PYTHON) -m venv $(VENVS)/$*

$(VENVS)/demo/.ready: $(VENVS)/demo/bin/python $(SOURCES)
	@echo "Installing jupyter_tokens with JupyterLab into $(VENVS)/demo (only once; about a minute) …"
	@$(DEMO)/python -m pip install --quiet --disable-pip-version-check '.[demo]'
	@touch $@

$(VENVS)/plain/.ready: $(VENVS)/plain/bin/python $(SOURCES)
	$(VENVS)/plain/bin/python -m pip install --quiet --disable-pip-version-check .
	@touch $@

$(VENVS)/dev/.ready: $(VENVS)/dev/bin/python pyproject.toml $(PANEL) $(wildcard tests/etc_jupyter/* tests/etc_jupyter/*/*)
	@echo "Installing jupyter_tokens with everything that its tests need into $(VENVS)/dev …"
	@$(DEV)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint,docs]'
	@# jupytext and jupyter-collaboration change how every server saves: off, but for the tests that are about them.
	@mkdir -p $(VENVS)/dev/etc/jupyter && cp -R tests/etc_jupyter/. $(VENVS)/dev/etc/jupyter/
	@touch $@

$(VENVS)/scale/.ready: $(VENVS)/scale/bin/python pyproject.toml $(PANEL)
	$(SCALE)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,scale]'
	@scripts/need openjdk-17-jre-headless java -version
	@scripts/need npm npm --version
	npm install --no-audit --no-fund --silent --prefix $(VENVS)/scale configurable-http-proxy@5 oidc-provider@9
	@touch $@

labextension/node_modules/.package-lock.json: labextension/package-lock.json
	@scripts/need npm npm --version
	cd labextension && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@
