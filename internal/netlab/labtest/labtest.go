// Package labtest runs tests in a network of their own.
package labtest

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/internal/netlab"
)

const inside = "SKUA_NETLAB"

// reserve is what the test keeps of its own time, to show what the process has told.
const reserve = 5 * time.Second

// Isolated runs the test that calls it once more, in a process with a network of its own, and tells whether this is that one: only there may the test go on.
// Where the machine can't make networks the test is skipped, or fails with CI=true. What else that process is to have is set by more.
func Isolated(t *testing.T, more ...func(*exec.Cmd)) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		return true
	}
	pattern := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+pattern, "-test.v") //nolint:gosec // this very program
	if at, ok := t.Deadline(); ok {                                                      // so that it tells itself what stands still
		cmd.Args = append(cmd.Args, "-test.timeout="+max(time.Until(at)-reserve, time.Second).String())
	}
	cmd.Env = append(os.Environ(), inside+"=1")
	netlab.Isolate(cmd)
	for _, set := range more {
		set(cmd)
	}
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	err := cmd.Run()
	var failed *exec.ExitError
	switch {
	case err == nil:
	case !errors.As(err, &failed) && os.Getenv("CI") != "true":
		t.Skip("this machine makes no network namespaces: ", err)
	default:
		t.Fatal(err)
	}
	return false
}

// Open makes a link until the test ends.
func Open(t *testing.T, l netlab.Link, seed uint64) *netlab.Network {
	t.Helper()
	n, err := netlab.Open(l, seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}
