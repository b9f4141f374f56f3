package peers_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skua-go/skua/tools/bench/peers"
)

func TestPeersMeasureThemselvesInTheirOwnPrograms(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	var programs peers.Programs
	for _, c := range []struct {
		peer, figure string
		least, most  float64
	}{
		{peers.Hollywood, "send", 5, 100_000},
		{peers.Hollywood, "pingpong", 20, 1_000_000},
		{peers.Protoactor, "send", 5, 100_000},
		{peers.Protoactor, "pingpong", 50, 1_000_000},
		{peers.Protoactor, "ask", 50, 1_000_000},
		{peers.Protoactor, "ask-outside", 50, 1_000_000},
		{peers.Protoactor, "spawn", 1000, 50_000_000},
		{peers.Protoactor, "idle-bytes-250k", 50, 10_000},
	} {
		got, err := programs.Figure(c.peer, c.figure)(t.Context())
		if err != nil || got < c.least || got > c.most {
			t.Errorf("%s of %s: measured %v, %v", c.figure, c.peer, got, err)
		}
	}
	if _, err := programs.Figure(peers.Hollywood, "nothing")(t.Context()); err == nil || !strings.Contains(err.Error(), "figure nothing") {
		t.Errorf("a figure that no peer has: %v", err)
	}
	if err := programs.Close(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(temp, "skua-bench-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestPeerThatCannotBeBuiltIsAnErrorThatSaysWhy(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var programs peers.Programs
	defer func() {
		if err := programs.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := programs.Figure("nobody", "send")(t.Context()); err == nil || !strings.Contains(err.Error(), "peers/nobody") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := programs.Figure(peers.Hollywood, "send")(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	t.Setenv("TMPDIR", filepath.Join(os.TempDir(), "nowhere"))
	var homeless peers.Programs
	if _, err := homeless.Figure(peers.Hollywood, "send")(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
