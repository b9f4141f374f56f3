package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
)

// profilesVariable names a directory for processor profiles of Skua's servers: what `make pgo` makes cmd/skua/skua.pgo of.
const profilesVariable = "SKUA_BENCH_PROFILES"

// profile notes what this server does until stop, if the environment wants to know.
func profile(server string) (stop func() error, err error) {
	dir := os.Getenv(profilesVariable)
	if dir == "" || strings.HasPrefix(server, "bare-") {
		return func() error { return nil }, nil
	}
	file, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%d.pprof", server, os.Getpid())))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}
