#!/usr/bin/env bash
# All checks: vet, lint, and every test with the race detector in a random order. The stories of whole nodes are tests of cmd/skua;
# the seeds of fuzz tests run with the others.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/deps.sh
echo "== vet"
go vet ./...
echo "== lint"
go tool -modfile=tools/go.mod golangci-lint run
# Without a vet of their own: that was the first check. Three at a time also on two cores: many of them mostly wait.
echo "== test"
go test -p 3 -vet=off -race -shuffle=on -timeout 15m ./...
echo "== test what the race detector sets aside"
grep -rl 'racetest\.SetAside' --include=*_test.go . | xargs -n1 dirname | sort -u | xargs go test -vet=off -shuffle=on -timeout 10m
# Modules of their own, so that their dependencies are not the product's.
for mod in tools/*/go.mod; do
	dir=$(dirname "$mod")
	echo "== $dir"
	go -C "$dir" vet ./...
	go -C "$dir" test -vet=off -shuffle=on -timeout 10m ./...
done
