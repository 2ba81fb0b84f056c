# What can I do here? `make help` says it. Needs make and Python 3.11 or newer, nothing else.

PYTHON ?= python3
# A Python that somebody named is meant; the default one gives way to an environment that exists.
EXACTLY := $(if $(filter file,$(origin PYTHON)),,--exactly)

BIN := .venv/bin
TYPED := core/payengine tenants/payengine_tenants graphql/payengine_graphql plugins/sandbox tests
MEMBERS = $(shell sed -n 's/^name = "\(.*\)"/\1/p' \
	core/pyproject.toml tenants/pyproject.toml graphql/pyproject.toml plugins/*/pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help run test check bench bench-growth lock clean environment

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r target words; do printf '%-14s %s\n' "$$target" "$$words"; done

run: environment ## Serve on http://127.0.0.1:8000 with demo tenants and demo payments
	@$(BIN)/payengine serve --demo

test: environment ## Run the tests, against a real PostgreSQL and Valkey
	@$(BIN)/pytest

check: environment ## Lint, format, strict types, import contracts, tidiness
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(TYPED)
	$(BIN)/lint-imports
	$(BIN)/pytest tests/test_tidy.py

bench: environment ## Measure the speed on this machine; rewrites docs/performance.md
	@$(BIN)/python -m tests.bench.run $(BENCH)

bench-growth: environment ## Measure how the cost grows with the tables; takes hours
	@$(BIN)/python -m tests.bench.growth $(BENCH)

lock: environment ## Resolve the dependencies anew into requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --universal --python-version 3.11 \
		--no-emit-index-url --no-annotate --no-header pyproject.toml --group dev \
		$(foreach member,$(MEMBERS),--no-emit-package $(member)) -o requirements.lock

clean: ## Delete the environment and the caches (`payengine reset` deletes the data)
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find core tenants graphql plugins migrations tests -name __pycache__ -prune -exec rm -rf {} +

environment:
	@$(PYTHON) bootstrap.py $(EXACTLY)
