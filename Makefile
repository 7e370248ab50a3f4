# Everything runs in .venv, which is made from the locked requirements when they have changed.
PYTHON ?= python3
VENV   := .venv/bin/python
# Settings of the caller's own AWS or Pulumi never reach a test; and what is compiled is kept, since every worker
# imports all tests and every command starts anew. Engines that run for seconds collect garbage late.
CLEAN  := env -u AWS_PROFILE -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY -u AWS_SESSION_TOKEN \
          -u AWS_ENDPOINT_URL -u PULUMI_BACKEND_URL -u PULUMI_ACCESS_TOKEN -u PULUMI_HOME -u PYTHONPATH -u PYTHONDONTWRITEBYTECODE \
          GOGC=800 GOMEMLIMIT=2GiB
PYTEST := $(CLEAN) $(VENV) -m pytest
# The longest files begin first: `tests/longest_first.py`.
TESTS  := tests/e2e tests/integration tests/simulation tests/permissions tests/unit

.DEFAULT_GOAL := help
.PHONY: help venv tools up down demo drill quick test soak check docs lock versions bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: ## .venv from the locked requirements (nothing to do if they have not changed)
	@$(PYTHON) tools/bootstrap.py .

tools: venv ## all that tests build, download or install, once for each machine; what cannot be had is listed
	@$(VENV) -m localaws tools

up: venv ## start a local AWS account and say how to point a shell at it
	@$(VENV) -m localaws up

down: venv ## stop it; its state is kept
	@$(VENV) -m localaws down

demo: venv ## the whole story on a local account: deploy, break, roll back, approve (ARGS=stranger: another company's account)
	@$(VENV) -m demo $(ARGS)

drill: tools ## the bad day, rehearsed: all six scenarios on a local account, measured against their budgets (ARGS=--publish)
	@$(VENV) -m bench.drill $(ARGS)

quick: venv ## after every save: unit tests and the simulation, in less than a minute (ARGS=… goes to pytest)
	@$(PYTEST) -n auto --dist worksteal -m "not slow and not soak" tests/unit tests/simulation $(ARGS)

test: tools ## every promise at least once: unit, integration and end-to-end tests, in minutes (ARGS=… goes to pytest)
	@$(VENV) -m compileall -q components rollback localaws tools bench demo
	@$(PYTEST) -n 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 -m "not soak" $(or $(ARGS),$(TESTS))

soak: tools ## all of it, to the end: every test, frozen as well, every crash point, 10,000 schedules (hours; ARGS=… goes to pytest)
	@$(PYTEST) -n 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(or $(ARGS),$(TESTS))
	@$(CLEAN) $(VENV) -m tests.freezer -- $(VENV) -m pytest -n 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 -m "not soak" $(or $(ARGS),$(TESTS))
	@$(CLEAN) $(VENV) -m tests.simulation --schedules 10000 --mutants 1200
	@$(CLEAN) $(VENV) -m tests.simulation --schedules 10000 --guard
	@$(CLEAN) $(VENV) -m tests.crashes
	@$(CLEAN) $(VENV) -m tools.versions

check: venv ## lint, format, types, imports, workflows, words, docs; locks, reference and measured figures in step
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy --cache-dir "$${XDG_CACHE_HOME:-$$HOME/.cache}/rollback-cli/mypy"
	@.venv/bin/mypy --cache-dir "$${XDG_CACHE_HOME:-$$HOME/.cache}/rollback-cli/mypy" examples/*.py
	@.venv/bin/lint-imports --no-cache > /dev/null || .venv/bin/lint-imports --no-cache
	@$(VENV) -m tools.layers
	@$(VENV) -m tools.settings
	@$(VENV) -m tools.output_schema
	@$(VENV) -m tools.commands
	@$(VENV) -m tools.deeds
	@$(VENV) -m tools.words
	@$(VENV) -m tools.locks
	@$(VENV) -m tools.workflows
	@$(VENV) -m tools.docs > /dev/null
	@$(VENV) -m bench.figures
	@$(VENV) -m bench.drill --check

docs: venv ## pages and the API reference, from docstrings, as a website in .local/docs/site
	@$(VENV) -m tools.docs

lock: venv ## compile the locked requirements after a change of pyproject.toml
	@$(VENV) -m tools.locks --write

versions: venv ## unit tests and the simulation at the lowest and at the newest dependencies that resolve (ARGS=lowest-direct)
	@$(CLEAN) $(VENV) -m tools.versions $(ARGS)

bench: tools ## ours against the script and the quota, as a table and in .local/bench.json (ARGS=--all: 5,000 functions, too)
	@$(VENV) -m bench $(ARGS)

clean: ## stop the local account; remove .venv, .local and caches (the engine is kept, it serves all checkouts)
	@test ! -x $(VENV) || $(VENV) -m localaws down || true
	@rm -rf .venv .local .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
