# Every target on one line; `make` alone prints them. Works with GNU make 3.81 and any POSIX sh.

PYTHON_IN_VENV = .venv/bin/python
TWO_FILES_AT_A_TIME = -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help run demo-traffic test check bench bench-regret backup restore services-up services-down clean run-distributed bench-distributed
.PHONY: environment environment-dev environment-whole
.PHONY: spark-jars bench-spark bench-dashboard screenshots

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1#/p' Makefile | awk -F '#' '{ printf "  make %-17s %s\n", $$1, $$2 }'

run: environment ## install what is missing, make the demo tenant and serve on http://127.0.0.1:8000
	@$(PYTHON_IN_VENV) -m commands.demo
	@exec $(PYTHON_IN_VENV) app.py

run-distributed: environment-whole ## the same with Kafka and Cassandra, which it starts here (needs Java 17 and Maven)
	@exec $(PYTHON_IN_VENV) -m commands.run_distributed

demo-traffic: environment ## drive the running service with simulated visitors and watch it learn
	@$(PYTHON_IN_VENV) -m commands.demo_traffic $(ARGS)

test: environment-dev ## run every test, two files at a time, and print the time of each group; ARGS="-k name" narrows
	@$(PYTHON_IN_VENV) -m pytest $(TWO_FILES_AT_A_TIME) $(ARGS)

check: environment-dev ## format, lint, types and the rules of the architecture; changes nothing
	@$(PYTHON_IN_VENV) -m ruff format --check .
	@$(PYTHON_IN_VENV) -m ruff check .
	@$(PYTHON_IN_VENV) -m mypy
	@$(PYTHON_IN_VENV) -m pytest -q tests/test_architecture.py

bench: environment-dev ## measure speed and memory against a bare Flask hello-world (needs wrk)
	@$(PYTHON_IN_VENV) -m benchmarks $(ARGS)

bench-dashboard: environment-dev ## measure the dashboard over 12,000,000 rows of counts (Cassandra: needs Java 17, Maven)
	@$(PYTHON_IN_VENV) -m benchmarks.dashboard $(ARGS)

bench-regret: environment-dev ## simulate how many clicks each way of choosing loses (40 minutes; ARGS=--quick: 2)
	@$(PYTHON_IN_VENV) -m benchmarks.regret $(ARGS)

bench-distributed: environment-dev ## measure the distributed mode against bare loops (needs Java 17, Maven and wrk)
	@$(PYTHON_IN_VENV) -m benchmarks.distributed $(ARGS)

backup: environment ## copy store, journal, pictures and secrets into one archive: TO=backups/x.tar.gz
	@$(PYTHON_IN_VENV) -m commands.backup $(TO)

restore: environment ## put an archive back while the service is stopped: FROM=backups/x.tar.gz; ARGS=--force over data
	@$(PYTHON_IN_VENV) -m commands.restore $(FROM) $(ARGS)

services-up: environment ## start Cassandra, Kafka and a registry on this machine (needs Java 17 and Maven); ARGS="--nodes 3"
	@$(PYTHON_IN_VENV) -m services up $(ARGS)

services-down: environment ## stop them; their data stay in data/services
	@$(PYTHON_IN_VENV) -m services down

spark-jars: environment ## fetch the connectors of the Spark jobs with Maven (needs Java 17 and Maven)
	@$(PYTHON_IN_VENV) -m spark_jobs.jars

bench-spark: environment-dev ## measure the Spark jobs over 5,000,000 events against plain Spark; ARGS="--events 500000"
	@$(PYTHON_IN_VENV) -m benchmarks.spark $(ARGS)

screenshots: environment-dev ## make the pictures of the README anew (needs Chromium)
	@$(PYTHON_IN_VENV) -m tests.browser.screenshots

clean: ## remove the environment and all caches; data/ and backups/ stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

environment: ## make .venv or bring it up to date, and nothing else: what the service needs on one machine
	@PYTHON="$(PYTHON)" sh environment.sh requirements-embedded.txt

environment-whole: ## the same with what Cassandra, Kafka and the Spark jobs need
	@PYTHON="$(PYTHON)" sh environment.sh requirements-embedded.txt requirements.txt

environment-dev: ## the same with what tests, checks and benchmarks need
	@PYTHON="$(PYTHON)" sh environment.sh requirements-embedded.txt requirements.txt requirements-dev.txt
