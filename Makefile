# Everything that can be built, checked and measured. `make help` lists it.

GO        ?= go
FUZZTIME  ?= 300000x
BENCHTIME ?= 1s
SOAK      ?= 1h
ROUNDS    ?= 3
BASE      ?= main

# What an image is stamped with: there is no .git in its build.
VERSION           ?= $(shell git describe --tags --always --dirty 2>/dev/null)
REVISION          ?= $(shell git rev-parse HEAD 2>/dev/null)
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the program as ./pktsvc
	$(GO) build -trimpath -o pktsvc ./cmd/pktsvc

.PHONY: run
run: ## run the service in the foreground
	$(GO) run ./cmd/pktsvc serve

.PHONY: test
test: ## run all tests
	$(GO) test ./...

.PHONY: race
race: ## run all tests under the race detector
	$(GO) test -race ./...

.PHONY: lint
lint: ## check format, modules, vet and the linters of .golangci.yml
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; }
	$(GO) mod tidy -diff
	$(GO) vet ./...
	GO=$(GO) ./.ci/lint run ./...

.PHONY: fuzz
fuzz: ## run every fuzz target FUZZTIME (300000x) times
	FUZZTIME=$(FUZZTIME) GO=$(GO) ./.ci/fuzz

.PHONY: mutants
mutants: ## break the code in telling ways, and see that tests fail (6 min)
	GO=$(GO) ./.ci/mutants/run

.PHONY: soak
soak: components ## search for long, then load a service for SOAK (1h) and report in docs/soak.md
	PKTSVC_MODEL_OPERATIONS=20000000 PKTSVC_SIM_SEEDS=100000 PKTSVC_MATRIX=full \
	  $(GO) test -count 1 -timeout 2h -v -run '^(TestModel|TestSimulatedNetworks|TestDeadlockMatrix)$$' ./pkg/stream
	PKTSVC_SOAK=$(SOAK) PKTSVC_SOAK_REPORT=$(CURDIR)/docs $(GO) -C e2e test -count 1 -timeout 24h -v -run '^TestSoak$$' ./...

.PHONY: guarantees
guarantees: ## run what shows the promises of docs/GUARANTEES.md, and fill its table
	$(GO) run ./internal/guarantees

.PHONY: vulncheck
vulncheck: ## look for known vulnerabilities in what is called
	GO=$(GO) ./.ci/vulncheck

.PHONY: bench
bench: ## run the micro-benchmarks of the engine
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./pkg/stream

.PHONY: bench-compare
bench-compare: ## the micro-benchmarks of the engine against those of revision BASE (main)
	GO=$(GO) ./bench/compare $(BASE)

.PHONY: bench-instructions
bench-instructions: ## count the instructions of the engine's hot paths (needs valgrind)
	GO=$(GO) ./bench/instructions

.PHONY: bench-peers
bench-peers: ## compare with other RPC libraries, ROUNDS (3) of 4 min, and report in docs/peers.md
	$(GO) -C bench build -trimpath -o $(CURDIR)/bench/bin/bench .
	bench/bin/bench -matrix -rounds $(ROUNDS) -out bench/bin/results.jsonl
	bench/bin/bench -report bench/bin/results.jsonl -into docs

.PHONY: bench-cost
bench-cost: ## what metrics, recorder, rules and traces cost, ROUNDS (3) of 6 min, and the table in README.md
	$(GO) -C bench build -trimpath -o $(CURDIR)/bench/bin/bench .
	bench/bin/bench -cost-peers -rounds $(ROUNDS) -warm 5s -duration 4s -out bench/bin/cost.jsonl
	bench/bin/bench -cost bench/bin/cost.jsonl -readme README.md

.PHONY: bench-scale
bench-scale: ## growth over connections, callers, payload and age (10 min), and report in docs/scale.md
	$(GO) -C bench build -trimpath -o $(CURDIR)/bench/bin/bench .
	bench/bin/bench -scale -out bench/bin/scale.jsonl
	bench/bin/bench -scale -report bench/bin/scale.jsonl -into docs

.PHONY: bench-engines
bench-engines: ## storage engines side by side as the hash store's backend (3 min), and the table in docs/STORE.md
	$(GO) -C bench build -trimpath -o $(CURDIR)/bench/bin/engines ./engines
	bench/bin/engines -rounds $(ROUNDS) -out bench/bin/engines.jsonl
	bench/bin/engines -report bench/bin/engines.jsonl -into docs/STORE.md

.PHONY: bench-stores
bench-stores: ## the hash store beside its backend, plain files and Redis (2 min), and the table in docs/STORE.md
	$(GO) -C bench build -trimpath -o $(CURDIR)/bench/bin/stores ./stores
	bench/bin/stores -rounds $(ROUNDS) -callers 256 -into docs/STORE.md

.PHONY: dashboards
dashboards: ## generate the Grafana dashboards and check them (needs Node)
	cd dashboards/source && npm ci --no-audit --no-fund && npm run build && npm run check

.PHONY: page
page: ## the page of the admin server in a real Chromium, with pictures in browser/screenshots (needs Node)
	cd browser && npm ci --no-audit --no-fund --ignore-scripts
	CI=true PKTSVC_SCREENSHOTS=$(CURDIR)/browser/screenshots $(GO) -C browser test -count 1 ./...

.PHONY: components
components: ## build the Prometheus and Jaeger that the live tests run
	e2e/components/install

.PHONY: e2e
e2e: components python ## dashboards, rules and alerts on a live service, with real components
	$(GO) -C e2e test -count 1 -timeout 20m ./...

.PHONY: python
python: ## install the Python package that tests have as the other side (needs Python)
	interop/install

.PHONY: interop
interop: python ## the Python package as the other side
	$(GO) test -count 1 ./interop

.PHONY: validate
validate: ## check Dockerfile, compose file, manifests and units
	$(GO) -C deploy/validate test ./...

.PHONY: image
image: ## build the container image as pktsvc:local
	docker build --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) \
	  --build-arg SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) -t pktsvc:local .

.PHONY: e2e-containers
e2e-containers: ## the image and the compose stack for real, in an engine of their own (root on Debian)
	deploy/containers/e2e

.PHONY: ci
ci: ## do what CI does
	./.ci/run
