# What can I do here? `make help` says it. Needs make and Python 3.11 or newer, nothing else.

PYTHON ?= python3
# A Python that somebody named is meant; the default one gives way to an environment that exists.
EXACTLY := $(if $(filter file,$(origin PYTHON)),,--exactly)

BIN := .venv/bin
TYPED := core/payengine tenants/payengine_tenants graphql/payengine_graphql plugins/apple_pay plugins/bank_transfer plugins/fraud_amounts plugins/fraud_expression plugins/fraud_lists plugins/fraud_mismatch plugins/fraud_model plugins/fraud_remote plugins/fraud_rings plugins/fraud_velocity plugins/fx_ecb plugins/google_pay plugins/notify_log plugins/notify_smtp plugins/paypal plugins/sandbox plugins/stripe plugins/tax_simple tests
MEMBERS = $(shell sed -n 's/^name = "\(.*\)"/\1/p' \
	core/pyproject.toml tenants/pyproject.toml graphql/pyproject.toml plugins/*/pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help run test check bench bench-growth bench-host bench-ledger bench-renewals bench-usage crash crash-short crash-renewals crash-defects outages model nightly lock clean environment

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r target words; do printf '%-14s %s\n' "$$target" "$$words"; done

run: environment ## Serve on http://127.0.0.1:8000 with demo tenants and demo payments
	@$(BIN)/payengine serve --demo

# Three processes, which wait as much as they compute; each has a PostgreSQL and a Valkey.
test: environment ## Run the tests, against a real PostgreSQL and Valkey
	@$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

check: environment ## Lint, format, strict types, import contracts, tidiness
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(TYPED)
	$(BIN)/lint-imports
	$(BIN)/pytest tests/test_tidy.py

bench: environment ## Measure the speed on this machine; rewrites docs/performance.md
	@$(BIN)/python -m tests.bench.run $(BENCH)

bench-host: environment ## Measure what a plugin host costs a call, and what a bad plugin costs others
	@$(BIN)/python -m tests.bench.host

bench-renewals: environment ## Measure the renewals of one worker beside their floor; BENCH="--sizes …"
	@$(BIN)/python -m tests.bench.renewals $(BENCH)

bench-ledger: environment ## Measure the ledger: transfers beside the floor, one account beside many
	@$(BIN)/python -m tests.bench.ledger $(BENCH)

bench-usage: environment ## Measure how many usage events a second one server takes; BENCH="--batch 500"
	@$(BIN)/python -m tests.bench.usage $(BENCH)

bench-growth: environment ## Measure how the cost grows with the tables; takes hours
	@$(BIN)/python -m tests.bench.growth $(BENCH)

crash: environment ## Kill the program N=500 times by SEED=1: nothing lost, nothing doubled; half an hour
	@$(BIN)/python -m tests.acceptance.crash.command --kills $(or $(N),500) --seed $(or $(SEED),1) \
		$(if $(PROVIDER_URL),--provider $(PROVIDER_URL)) $(CRASH)

crash-short: environment ## Kill the program twenty times, and plant each defect: a few minutes
	@PAYENGINE_CRASHES=1 $(BIN)/pytest tests/acceptance/test_crash.py

crash-renewals: environment ## Renew 1,000 subscriptions with 8 workers that are killed; some minutes
	@$(BIN)/python -m tests.acceptance.renewals $(RENEWALS)

crash-defects: environment ## Plant each defect into the program, and see `make crash` go red
	@$(BIN)/python -m tests.acceptance.crash.command defects $(or $(SEED),1)

outages: environment ## Stop PostgreSQL twenty times under load; kill, flush and freeze Valkey
	@PAYENGINE_NIGHTLY=1 $(BIN)/pytest --durations=0 tests/acceptance/test_outages.py

model: environment ## Compare the payments with their model: 2,000 histories of 50 steps; ten minutes
	@PAYENGINE_NIGHTLY=1 $(BIN)/pytest --durations=0 tests/acceptance/test_payments_model.py

nightly: crash-defects crash-renewals outages model crash ## All of these that take long, one after the other

lock: environment ## Resolve the dependencies anew into requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --universal --python-version 3.11 \
		--no-emit-index-url --no-annotate --no-header pyproject.toml --group dev \
		$(foreach member,$(MEMBERS),--no-emit-package $(member)) -o requirements.lock

clean: ## Delete the environment and the caches (`payengine reset` deletes the data)
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find core tenants graphql plugins migrations tests -name __pycache__ -prune -exec rm -rf {} +

environment:
	@$(PYTHON) bootstrap.py $(EXACTLY)
