#!/usr/bin/env bash
# Makes cmd/skua/skua.pgo anew, by which the compiler optimizes what is hot (https://go.dev/doc/pgo): a profile of nodes under the clients of the benchmarks.
set -euo pipefail
cd "$(dirname "$0")/.."
export GOFLAGS=-trimpath # the profile is for all machines, and names none
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for only in net/tcp-lua net/tcp-own-vm-1000 net/tcp-go net/kcp-lua net/ws-lua net/login-tcp; do
	SKUA_BENCH_PROFILES=$dir make -s bench ONLY=$only BENCH="-runs 1"
done
go tool pprof -proto "$dir"/*.pprof >"$dir/merged"
mv "$dir/merged" cmd/skua/skua.pgo
