#!/usr/bin/env bash
# Runs every fuzz test for FUZZTIME (10s). A failure leaves its input in the package's testdata/fuzz: commit it with the mend.
set -euo pipefail
cd "$(dirname "$0")/.."
grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -r -n1 dirname | sort -u | while read -r dir; do
	grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | awk '{print $2}' | while read -r name; do
		echo "== $dir $name"
		# Without a bound on minimizing, most of the time goes there.
		go test -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-10s}" -fuzzminimizetime 10x "$dir" </dev/null
	done
done
