package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/skua-go/skua/internal/filelock"
)

const (
	// startTimeout bounds the start of the embedded server, which takes milliseconds unless it has much to recover.
	startTimeout = 30 * time.Second
	// readyPoll is how often it is asked meanwhile whether it has given up.
	readyPoll = 100 * time.Millisecond
)

// startServer runs a NATS server in this process, which others reach only where the configuration says so. The lock on dir ends with the process, however it ends.
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
	opts, err := n.serverOptions(dir)
	if err != nil {
		return err
	}
	for _, addr := range []string{n.cfg.Listen, n.cfg.Routes.Listen} {
		if err := bindable(ctx, addr); err != nil {
			return err
		}
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("cluster: embedded NATS server: %w", err)
	}
	log := serverLog{log: n.log.With("component", "nats-server"), fatal: make(chan string, 1)}
	srv.SetLogger(log, false, false)
	n.server = srv
	srv.Start()
	if err := awaitServer(ctx, srv, log.fatal); err != nil {
		return err
	}
	if !srv.JetStreamEnabled() {
		return errors.New("cluster: embedded NATS server: JetStream did not start")
	}
	return nil
}

// bindable tells of an address that is taken before the server does, which would only log it.
func bindable(ctx context.Context, addr string) error {
	if addr == "" {
		return nil
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("%w %s: %w", ErrListen, addr, err)
	}
	return ln.Close()
}

// awaitServer waits until the server takes connections.
func awaitServer(ctx context.Context, srv *server.Server, fatal <-chan string) error {
	limited, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for !srv.ReadyForConnections(readyPoll) {
		select {
		case text := <-fatal:
			return fmt.Errorf("cluster: embedded NATS server: %s", text)
		case <-limited.Done():
			return fmt.Errorf("cluster: embedded NATS server is not ready: %w", limited.Err())
		default:
		}
	}
	return nil
}

// serverLog passes the server's log on. Its notices are details of a part that the operator did not ask for.
type serverLog struct {
	log   *slog.Logger
	fatal chan string // has the first thing that it could not go on with
}

func (l serverLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l serverLog) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l serverLog) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Tracef(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }

func (l serverLog) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.log.Error(text)
	select {
	case l.fatal <- text:
	default:
	}
}
