package cluster_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/cluster"
)

// hanging is a server that does not stop before its channel is closed.
type hanging chan struct{}

func (h hanging) Shutdown()        { <-h }
func (h hanging) WaitForShutdown() {}

func TestANodeEndsWhenItsServerDoesNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv, begun := make(hanging), time.Now()
		if err := cluster.StopServer(srv, time.Minute); !errors.Is(err, cluster.ErrServerStuck) {
			t.Errorf("stopping a server that hangs: %v, expected %v", err, cluster.ErrServerStuck)
		}
		if took := time.Since(begun); took != time.Minute {
			t.Errorf("it was given up after %v, expected 1m0s", took)
		}
		close(srv)
		if err := cluster.StopServer(srv, time.Minute); err != nil {
			t.Errorf("stopping one that stops: %v", err)
		}
	})
}
