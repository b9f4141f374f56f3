package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/skua-go/skua/internal/filelock"
)

const (
	// startTimeout bounds the start of the embedded server, which takes milliseconds unless it has much to recover.
	startTimeout = 30 * time.Second
	// The embedded JetStream holds names, leases and directories. The bounds keep a fault elsewhere from filling the machine.
	maxMemory = 64 << 20
	maxStore  = 1 << 30
)

// startServer runs a NATS server in this process that only this process can reach. The lock on dir ends with the process, however it ends.
func (n *Node) startServer(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	lock, err := filelock.Try(filepath.Join(dir, "lock"))
	if errors.Is(err, filelock.ErrHeld) {
		return fmt.Errorf("%w: %w", ErrDirInUse, err)
	}
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	n.lock = lock
	srv, err := server.NewServer(&server.Options{
		ServerName:         n.cfg.Name,
		DontListen:         true,
		NoSigs:             true, // signals are the program's business
		JetStream:          true,
		StoreDir:           dir,
		JetStreamMaxMemory: maxMemory,
		JetStreamMaxStore:  maxStore,
		// An incarnation that was handed out must survive a power failure too; writes are too few for the fsyncs to matter.
		SyncAlways: true,
	})
	if err != nil {
		return fmt.Errorf("cluster: embedded NATS server: %w", err)
	}
	srv.SetLogger(serverLog{n.log.With("component", "nats-server")}, false, false)
	n.server = srv
	srv.Start()
	wait := startTimeout
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline))
	}
	if !srv.ReadyForConnections(wait) {
		return fmt.Errorf("cluster: embedded NATS server is not ready after %v", wait.Round(time.Millisecond))
	}
	if !srv.JetStreamEnabled() {
		return errors.New("cluster: embedded NATS server: JetStream did not start")
	}
	return nil
}

// serverLog passes the server's log on. Its notices are details of a part that the operator did not ask for.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l serverLog) Fatalf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l serverLog) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l serverLog) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Tracef(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
