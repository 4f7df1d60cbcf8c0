# Every command of this project. `make` alone lists them.

BINARY   := bin/chat-messaging
SERVICES := bin/services
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT   := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
LDFLAGS  := -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# Finds or starts Postgres and RabbitMQ and puts their addresses into the
# environment of the rest of a recipe. The assignment stands alone because only
# then does its failure end the recipe.
WITH_SERVICES = env="$$($(SERVICES) up $(1))" && eval "$$env"

.DEFAULT_GOAL := help
.PHONY: help run demo test lint vulncheck soak mutants bench bench-quick bench-micro bench-rest build binaries services services-down services-install clean

help: ## List these commands
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: binaries ## Prepare all that is needed, serve on port 8002 and show a conversation; Ctrl-C ends it
	@$(call WITH_SERVICES) && exec $(BINARY) demo --keep

demo: binaries ## Show one message of every kind pass through; succeeds only if every outcome is right
	@$(call WITH_SERVICES) && exec $(BINARY) demo

# -race needs cgo and so a C compiler. No package takes half the time that ends it;
# what hangs is told, with all that was waiting, while there is time left for the rest.
test: binaries ## Run every test with the race detector, on real servers
	go vet ./...
	@$(call WITH_SERVICES,--binaries) && set -x && go test -race -timeout 9m ./...

lint: ## Check formatting, go vet, golangci-lint, that go.mod is tidy, and that the benchmarks run
	@unformatted="$$(gofmt -l .)" && test -z "$$unformatted" || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go vet -tags failpoints ./middleware/failpoint
	go tool -modfile=tools/go.mod golangci-lint run
	go mod tidy -diff
	go test -run '^$$' -bench . -benchtime 1x ./handlers ./middleware ./pipeline > /dev/null
	@$(MAKE) --no-print-directory vulncheck

# Exit code 3 is a finding. Everything else that can go wrong is the network: the
# list of vulnerabilities is on the internet, and so may be the tool.
vulncheck: ## Look for known vulnerabilities in what the program calls; without a network it only says so
	@GOBIN="$(CURDIR)/bin" go install golang.org/x/vuln/cmd/govulncheck@v1.9.0 && timeout 300 bin/govulncheck ./... ; code=$$?; \
	case $$code in 0) ;; 3) exit 1 ;; *) echo "vulncheck: not checked for known vulnerabilities (code $$code)" ;; esac

MINUTES ?= 20

soak: ## Kill the service and its servers for MINUTES=20, and audit what became of every message
	go run ./cmd/soak -minutes $(MINUTES)

mutants: ## Show that the audit of the crash tests notices six mistakes, by name
	go run ./cmd/soak mutants

# Flags of cmd/bench in BENCH: make bench BENCH='-only drain,chats -check'
bench: ## Measure rates, latency and memory beside a bare relay and the stock pipeline, on private servers; 17 to 25 minutes
	@mkdir -p bin
	go run ./cmd/bench -json bin/bench.json -svg bin/bench.svg $(BENCH)

bench-quick: ## The same in some three minutes, for orders of magnitude only
	@mkdir -p bin
	go run ./cmd/bench -quick -json bin/bench-quick.json -svg bin/bench-quick.svg $(BENCH)

# COUNT=10 for benchstat.
bench-micro: ## Measure each stage alone, without broker and database
	go test -run '^$$' -bench . -benchmem -count $(or $(COUNT),1) ./handlers ./middleware ./queries ./pipeline

bench-rest: $(SERVICES) ## Measure history and chat list beside the bare queries under pgbench
	@$(call WITH_SERVICES) && go test -run '^$$' -bench REST -benchtime 5s ./http

build: $(BINARY) ## Build bin/chat-messaging

binaries: $(BINARY) $(SERVICES)

# Always asked: the go command knows best what has changed.
.PHONY: $(BINARY) $(SERVICES)
$(BINARY):
	@go build -trimpath -ldflags "$(LDFLAGS)" -o $@ ./cmd/chat-messaging

$(SERVICES):
	@go build -o $@ ./cmd/services

services: $(SERVICES) ## Find or start Postgres and RabbitMQ and print their addresses
	@$(SERVICES) up

services-down: $(SERVICES) ## Stop the servers that were started here; their data stay
	@$(SERVICES) down

services-install: $(SERVICES) ## Install the Debian packages of both servers, starting neither
	@$(SERVICES) install

clean: $(SERVICES) ## Stop the servers that were started here, delete their data and all that was built
	@$(SERVICES) down --delete-data
	@rm -rf bin
