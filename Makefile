.DEFAULT_GOAL := help
.PHONY: up down status token env clean test test-fast test-payloads-cluster drills lint bench help prepare

RUN  ?=
ARGS ?=
ENV  ?= local
MONITORING ?=

up: ## Bring everything up and end with a model that answers; RUN=name ARGS="lr=0.01" starts another run
	@./local/bootstrap up --environment '$(ENV)' --run '$(RUN)' --arguments '$(ARGS)' --monitoring '$(MONITORING)'

down: ## Stop the local cluster, its state stays; ENV=sim: end the simulated AWS
	@./local/bootstrap down --environment '$(ENV)'

status: ## Show what runs, where, and how to log in
	@./local/bootstrap status --environment '$(ENV)'

token: ## Print the token that the Ray dashboard asks for
	@./local/bootstrap token

env: ## Print the shell exports for calling pulumi and kubectl by hand: eval "$(make -s env)"
	@./local/bootstrap env --environment '$(ENV)'

clean: ## Stop the local cluster and delete its state and caches
	@./local/bootstrap clean

test: ## All tests, on the real local cluster
	@./local/bootstrap test

test-fast: ## The tests that need no cluster
	@./local/bootstrap test --fast

test-payloads-cluster: ## Every stack of the payload catalogue, brought up, used and destroyed
	@./local/bootstrap test-payloads-cluster

drills: ## Failures on purpose on the local cluster, with a table of what they cost
	@./local/bootstrap drills

lint: ## ruff and pyright
	@./local/bootstrap lint

bench: ## Benchmarks: the local cloud's times and the model server against its peers
	@./local/bootstrap bench

# Of the workflows alone: this checkout's environment, shared with the checkout ALSO, and Pulumi itself.
prepare:
	@./.github/prepare . $(ALSO)

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
