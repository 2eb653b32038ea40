# Everything that people and CI call. `make help` lists it.
# A machine needs git, make, and Python 3.11 or newer with pip; the rest goes into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOWEST := .venv-lowest
AUDIT := .venv-audit
EXTRAS ?=
IMAGE ?= modelci-runner
# Pipeline stages say `python` and scripts say `dvc`: they shall find the ones of .venv.
RUN := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python
PYTEST_ARGS ?= -n logical --dist worksteal
UV := $(BIN)/uv --quiet --no-config --system-certs
LOCK := $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

# GitHub workflows of this repository, examples, and the ones that `modelci init` writes for others.
WORKFLOWS = $(wildcard .github/workflows/*.yml examples/workflows/*.yml) \
	$(shell find src/modelci -path '*/templates/*workflows/*.yml' 2>/dev/null)
ACTIONS = action.yml setup/action.yml
# Whoever installs this chooses the registry. The brackets keep this line from matching itself.
REGISTRIES := pypi[.]org|pythonhosted[.]org|npmjs[.](org|com)|yarnpkg[.]com|(deb|security)[.]debian[.]org|anaconda[.]org|crates[.]io|--(extra-)?index-url[ =]+http
# A security rule that is switched off without a word of why.
UNREASONED := noqa:[A-Z0-9, ]*\bS[0-9]+[A-Z0-9, ]*$$

.DEFAULT_GOAL := help
.PHONY: help setup browser haproxy images servers demo test test-lowest bench check format-check lint types imports docs-check site screenshots \
	workflows registries format docs dist sbom runner-image audit lock clean

help: ## list these targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(READY) ## install everything that development needs into .venv

# pip stays outside: Debian's python3 can make an environment only without it. uv is many times
# quicker than pip; where it cannot reach the index that pip is configured for, pip does the work.
$(READY): requirements/dev.txt requirements/uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11; try make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Setting up $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	@test -x $(BIN)/uv || $(PIP) -r requirements/uv.txt
	@$(UV) pip sync --python $(BIN)/python --require-hashes requirements/dev.txt || \
		$(PIP) -r requirements/dev.txt
	@$(UV) pip install --python $(BIN)/python --offline --no-deps --no-build-isolation --editable .
	@touch $@

$(READY): PIP = $(PYTHON) -m pip --python $(BIN)/python --quiet --disable-pip-version-check \
	--no-input install --require-hashes

demo: $(READY) ## play pull requests, a merge, its deployment and half a year of watching in a scratch directory
	@$(RUN) examples/demo.py

browser: ## install the browser that tests look at pages with (Debian's chromium), if there is none
	@for name in chromium chromium-browser google-chrome; do \
		command -v $$name >/dev/null && exit 0; \
	done; \
	echo "Installing chromium ..."; \
	test "$$(id -u)" = 0 || sudo="sudo -n"; \
	{ $$sudo apt-get update && $$sudo env DEBIAN_FRONTEND=noninteractive \
		apt-get install --yes --no-install-recommends chromium fonts-dejavu-core; } >/dev/null 2>&1 || \
	echo "There is no Chromium and none can be installed here: tests of pages are skipped." >&2

# Debian may start what it installs: on a machine of yours that is for you to say.
servers: ## install what tests keep DVC remotes in (nginx, OpenSSH's server), as CI does
	@export PATH="$$PATH:/usr/sbin"; \
	command -v sshd >/dev/null && command -v nginx >/dev/null && \
		test -e /usr/lib/nginx/modules/ngx_http_dav_ext_module.so && exit 0; \
	echo "Installing nginx and sshd ..."; \
	test "$$(id -u)" = 0 || sudo="sudo -n"; \
	{ $$sudo apt-get update && $$sudo env DEBIAN_FRONTEND=noninteractive \
		apt-get install --yes --no-install-recommends nginx-light libnginx-mod-http-dav-ext \
		openssh-server; } >/dev/null 2>&1 || \
	echo "nginx or sshd cannot be installed here: tests of DVC remotes by them are skipped." >&2

# Under systemd Debian starts what it installs: there it is for you to say, or for CI.
haproxy: ## install HAProxy, which tests try as a switch beside ours, if there is none
	@export PATH="$$PATH:/usr/sbin:/usr/local/sbin"; \
	command -v haproxy >/dev/null && exit 0; \
	if test -d /run/systemd/system -a -z "$(CI)$(filter haproxy,$(MAKECMDGOALS))"; then \
		echo "There is no HAProxy (make haproxy installs it): tests with it are skipped." >&2; exit 0; \
	fi; \
	echo "Installing HAProxy ..."; \
	test "$$(id -u)" = 0 || sudo="sudo -n"; \
	{ $$sudo apt-get update && $$sudo env DEBIAN_FRONTEND=noninteractive \
		apt-get install --yes --no-install-recommends haproxy; } >/dev/null 2>&1 || \
	echo "There is no HAProxy and none can be installed here: tests with it are skipped." >&2

images: ## install what images are made and moved with, and a registry to test them with
	@command -v umoci >/dev/null && command -v skopeo >/dev/null && \
		command -v docker-registry >/dev/null && exit 0; \
	if test -d /run/systemd/system -a -z "$(CI)$(filter images,$(MAKECMDGOALS))"; then \
		echo "umoci, skopeo or docker-registry is missing (make images): tests of images are skipped." >&2; \
		exit 0; \
	fi; \
	echo "Installing umoci, skopeo and docker-registry ..."; \
	test "$$(id -u)" = 0 || sudo="sudo -n"; \
	{ $$sudo apt-get update && $$sudo env DEBIAN_FRONTEND=noninteractive \
		apt-get install --yes --no-install-recommends umoci skopeo docker-registry; } >/dev/null 2>&1 || \
	echo "umoci, skopeo or docker-registry cannot be installed: tests of images are skipped." >&2

test: $(READY) browser haproxy images $(if $(CI),servers) ## run all tests; PYTEST_ARGS=... chooses
	@$(BIN)/python -m tools.run_tests $(PYTEST_ARGS)

# What pyproject.toml promises with ">=": the oldest of all that it names, and only the tests' own tools as ever.
test-lowest: $(READY) ## run unit and contract tests with the oldest versions that are supported, on Python 3.11
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "requirements/lowest.txt is for Python 3.11: make clean, then make PYTHON=python3.11 $@" >&2; exit 1; }
	@test -x $(LOWEST)/bin/python || $(BIN)/python -m venv --without-pip $(LOWEST)
	@$(UV) pip sync --python $(LOWEST)/bin/python --require-hashes requirements/lowest.txt
	@$(UV) pip install --python $(LOWEST)/bin/python --offline --no-deps --no-build-isolation --editable .
	@$(LOWEST)/bin/python -m pytest $(PYTEST_ARGS) tests/unit tests/contract

bench: $(READY) ## measure against dvc and gto
	@$(RUN) -m bench

check: format-check lint types imports docs-check site workflows registries ## all that CI checks besides tests

format-check: $(READY)
	@$(BIN)/ruff format --check .

lint: $(READY)
	@$(BIN)/ruff check .
	@git grep --untracked -nE -e '$(UNREASONED)' -- '*.py'; test $$? -eq 1 || \
		{ echo "What is dangerous elsewhere says here why it is not: # noqa: S311 - no secret" >&2; exit 1; }

types: $(READY)
	@$(BIN)/mypy

imports: $(READY)
	@$(BIN)/lint-imports --no-logo

docs-check: $(READY)
	@$(BIN)/python -m tools.gen_docs --check
	@$(BIN)/check-jsonschema --quiet --check-metaschema docs/schemas/*.json
	@$(BIN)/python tools/check_links.py

# A link, an anchor or a page of the navigation that leads nowhere fails it.
site: $(READY) ## build the documentation as a site into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

screenshots: $(READY) browser ## take the documentation's pictures, of what `make demo` leaves
	@test -e demo/runner-retrained/.modelci/promotion.json || $(MAKE) demo
	@$(RUN) tools/screenshots.py

workflows: $(READY)
ifeq ($(strip $(WORKFLOWS)),)
	@echo "No workflows to check."
else
	@$(BIN)/actionlint $(WORKFLOWS)
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows $(WORKFLOWS)
	@$(BIN)/zizmor --quiet --offline --no-progress --strict-collection --persona auditor --config .github/zizmor.yml \
		$(ACTIONS) $(WORKFLOWS) $(wildcard .github/dependabot.yml)
endif
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-actions $(ACTIONS)
	@$(BIN)/hadolint --failure-threshold info containers/runner/Dockerfile
	@$(BIN)/check-jsonschema --builtin-schema vendor.gitlab-ci src/modelci/templates/init/gitlab/gitlab-ci.yml

registries:
	@git grep --untracked -nIiE -e '$(REGISTRIES)'; test $$? -eq 1 || \
		{ echo "A package registry is named above; leave the choice to the user's settings." >&2; exit 1; }

format: $(READY) ## rewrite the code the way the checks want it
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

docs: $(READY) ## generate the reference and the JSON schemas
	@$(BIN)/python -m tools.gen_docs

# The same commit gives the same bytes, whoever builds it.
dist: $(READY) ## build the wheel and the sdist of this commit into dist/
	@rm -rf dist
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m hatchling build --directory dist

sbom: dist ## write what this commit's wheel stands on into sbom/, as CycloneDX
	@$(BIN)/python tools/sbom.py dist/modelci-$$($(BIN)/python -m hatchling version)-py3-none-any.whl sbom

runner-image: dist ## build the image for self-hosted runners; EXTRAS=s3,parquet and IMAGE=... choose
	@docker build --file containers/runner/Dockerfile --build-arg EXTRAS=$(EXTRAS) --tag $(IMAGE) .

# Apart from .venv, since it brings pip. It asks an advisory database: no part of `make check`.
audit: $(READY) ## look the requirements up in a database of known vulnerabilities
	@test -x $(AUDIT)/bin/python || $(BIN)/python -m venv --without-pip $(AUDIT)
	@$(UV) pip sync --python $(AUDIT)/bin/python --require-hashes requirements/audit.txt
	@$(AUDIT)/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
		$(foreach file,core dev uv audit,--requirement requirements/$(file).txt) || { echo \
		"Not passed: a version named above is vulnerable, or the database could not be asked about it." >&2; exit 1; }

lock: ## resolve the requirements anew, with hashes; UPGRADE=1 takes newer versions
	@test -x $(BIN)/uv || $(MAKE) setup
	@$(LOCK) --all-extras --group dev --output-file requirements/dev.txt pyproject.toml
	@echo uv | $(LOCK) --constraint requirements/dev.txt --output-file requirements/uv.txt -
	@$(LOCK) --constraint requirements/dev.txt --output-file requirements/core.txt pyproject.toml
	@echo pip-audit | $(LOCK) --constraint requirements/dev.txt --output-file requirements/audit.txt -
	@$(BIN)/python tools/test_pins.py | $(LOCK:--universal=--python-platform linux) --upgrade --resolution lowest-direct \
		--all-extras --output-file requirements/lowest.txt pyproject.toml -

clean: ## remove .venv and all that was generated
	@rm -rf $(VENV) $(LOWEST) $(AUDIT) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist sbom site
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
