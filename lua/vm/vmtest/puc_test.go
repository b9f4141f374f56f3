package vmtest_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/skua-go/skua/lua/vm/vmtest"
)

// The cases are no opinion of ours: the reference implementation makes the same of each.
func TestTheCasesAreWhatPUCLuaDoes(t *testing.T) {
	path, err := exec.LookPath("lua5.4")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("lua5.4 is missing (tools/deps.sh installs it)")
		}
		t.Skip("lua5.4 is not installed (tools/deps.sh): nothing to compare with")
	}
	cmd := exec.CommandContext(t.Context(), path, "testdata/puc.lua")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(out)
	for _, c := range vmtest.Cases() {
		if c.Topic == "sandbox" || c.Topic == "memory" {
			continue // these are about the host
		}
		if _, err := fmt.Fprintf(in, "%d\n%s", len(c.Source), c.Source); err != nil {
			t.Fatal(err)
		}
		line, err := answers.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		size, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, size)
		if _, err := io.ReadFull(answers, got); err != nil {
			t.Fatal(err)
		}
		if string(got) != c.Want {
			t.Errorf("%s: %s\nPUC  %q\nwant %q", c.Topic, c.Name, got, c.Want)
		}
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
