package cluster

import (
	"errors"
	"fmt"
	"time"
)

// serverStopsIn is how long the embedded NATS server may take to stop. It does so in well below a second; but one whose disk was full a moment before has been
// seen to wait for itself for ever, and a node that is told to end must end.
const serverStopsIn = 15 * time.Second

// errServerStuck says that the embedded NATS server still runs.
var errServerStuck = errors.New("the embedded NATS server has not stopped")

// stopping is what of a NATS server ends it.
type stopping interface {
	Shutdown()
	WaitForShutdown()
}

// stopServer stops a server, or gives up: what it has on the disk is what a crash would leave.
func stopServer(srv stopping, within time.Duration) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Shutdown()
		srv.WaitForShutdown()
	}()
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-done:
		return nil
	case <-late.C:
		return fmt.Errorf("%w within %v", errServerStuck, within)
	}
}
