# Everything that can be built, checked and measured. `make help` lists it.

GO        ?= go
FUZZTIME  ?= 30s
BENCHTIME ?= 1s

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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
fuzz: ## run every fuzz target for FUZZTIME (30s)
	FUZZTIME=$(FUZZTIME) GO=$(GO) ./.ci/fuzz

.PHONY: bench
bench: ## run the micro-benchmarks of the engine
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./pkg/stream

.PHONY: ci
ci: ## do what CI does
	./.ci/run
