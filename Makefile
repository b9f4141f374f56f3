# What a developer types. Each target is one line; what takes more is a script in tools/.
.PHONY: run test lint bench pgo fuzz build clean

run: build # a node with the demo world
	bin/skua run

test: # vet, lint, all tests with the race detector, whole-node stories included
	tools/test.sh

lint: # the rules of .golangci.yml, with the linter that tools/go.mod pins
	go tool -modfile=tools/go.mod golangci-lint run

bench: # all benchmarks, or with ONLY=actor/ those whose id begins so, BENCH="-runs 3" for other flags; standard output is one JSON line each and nothing else
	@go -C tools/bench run -mod=mod -pgo="$(CURDIR)/cmd/skua/skua.pgo" . -only "$(ONLY)" $(BENCH)

pgo: # the profile by which the compiler optimizes bin/skua and the benchmarks
	tools/pgo.sh

fuzz: # every fuzz test for a while; FUZZTIME=1m for longer
	tools/fuzz.sh

build: # bin/skua
	tools/build.sh

clean: # what was built; data stays
	rm -rf bin
