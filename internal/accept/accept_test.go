package accept_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/internal/accept"
)

// script is a listener that says what the test has written.
type script struct {
	net.Listener
	says []any // an error, or a connection
}

func (s *script) Accept() (net.Conn, error) {
	next := s.says[0]
	s.says = s.says[1:]
	if err, ok := next.(error); ok {
		return nil, err
	}
	return next.(net.Conn), nil
}

func TestRunningOutOfFilesIsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &net.OpError{Op: "accept", Err: syscall.EMFILE}
		one, other := net.Pipe()
		broken := errors.New("broken")
		var log strings.Builder
		var taken []time.Duration
		failed, begun := 0, time.Now()
		err := accept.Loop{Name: "tcp", Log: slog.New(slog.NewTextHandler(&log, nil)), Failed: func() { failed++ }}.Run(t.Context(),
			&script{says: []any{out, out, out, one, out, other, broken}}, func(net.Conn) { taken = append(taken, time.Since(begun)) })
		if !errors.Is(err, broken) || failed != 4 {
			t.Errorf("%v after %d failures", err, failed)
		}
		if len(taken) != 2 || taken[0] != 35*time.Millisecond || taken[1] != 40*time.Millisecond {
			t.Errorf("taken after %v", taken)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "listener=tcp") {
			t.Errorf("%d lines: %s", lines, log.String())
		}
	})
}

func TestItEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		out := &net.OpError{Op: "accept", Err: syscall.ENFILE}
		says := make([]any, 30)
		for i := range says {
			says[i] = out
		}
		time.AfterFunc(10*time.Second, cancel)
		begun := time.Now()
		if err := (accept.Loop{Log: slog.New(slog.DiscardHandler)}).Run(ctx, &script{says: says}, nil); err != nil || time.Since(begun) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}
