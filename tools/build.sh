#!/usr/bin/env bash
# Builds bin/skua, which knows its version and commit where there is a git checkout to ask.
set -euo pipefail
cd "$(dirname "$0")/.."
version=unversioned commit=unknown
# A copy of the sources inside somebody else's checkout is not that checkout.
if [ -e .git ] && git rev-parse --verify -q HEAD >/dev/null 2>&1; then
	version=$(git describe --tags --always --dirty)
	commit=$(git rev-parse HEAD)
fi
mkdir -p bin
go build -pgo=cmd/skua/skua.pgo -trimpath -ldflags "-X main.version=$version -X main.commit=$commit" -o bin/skua ./cmd/skua
