package ferrettest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/skua-go/skua/internal/filelock"
)

// build returns the path of the binary. It lies in the repository's .cache under a name made from its sources, so it is
// built again when they change, and by one test process only while the others wait.
func build(ctx context.Context) (string, error) {
	root, err := repository()
	if err != nil {
		return "", err
	}
	source := filepath.Join(root, "tools", "ferretdb")
	key, err := hash(source)
	if err != nil {
		return "", err
	}
	cache := filepath.Join(root, ".cache", "ferretdb")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	lock, err := filelock.Wait(filepath.Join(cache, "build.lock"))
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Release() }() // a lock that can't be let go of ends with the process
	binary := filepath.Join(cache, "ferretdb-"+key)
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	// Made under another name and moved, so that a build that is cut short leaves no half binary behind.
	draft := binary + ".new"
	cmd := exec.CommandContext(ctx, "go", "build", "-o", draft, ".")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go build in %s: %w\n%s", source, err, tail(out.Bytes(), 2000))
	}
	return binary, os.Rename(draft, binary)
}

// repository is the folder of the go.mod that the test belongs to.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "tools", "ferretdb", "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("tools/ferretdb is in no folder above the test's")
		}
	}
}

func hash(source string) (string, error) {
	sum := sha256.New()
	_, _ = fmt.Fprintln(sum, runtime.Version(), runtime.GOOS, runtime.GOARCH) // a hash takes everything
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		data, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", err
		}
		_, _ = fmt.Fprintln(sum, name, len(data))
		_, _ = sum.Write(data)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

func tail(text []byte, most int) []byte { return text[max(0, len(text)-most):] }
