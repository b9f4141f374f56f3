package vmtest_test

import (
	"testing"

	"github.com/skua-go/skua/internal/puctest"
	"github.com/skua-go/skua/lua/vm/vmtest"
)

// The cases are no opinion of ours: the reference implementation makes the same of each.
func TestTheCasesAreWhatPUCLuaDoes(t *testing.T) {
	reference := puctest.Start(t, "testdata/puc.lua")
	for _, c := range vmtest.Cases() {
		if c.Topic == "sandbox" || c.Topic == "memory" {
			continue // these are about the host
		}
		if got := reference.Ask(t, c.Source); got != c.Want {
			t.Errorf("%s: %s\nPUC  %q\nwant %q", c.Topic, c.Name, got, c.Want)
		}
	}
}
