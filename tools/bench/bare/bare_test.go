package bare_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/skua-go/skua/tools/bench/bare"
	"github.com/skua-go/skua/tools/bench/measure"
)

func TestMain(m *testing.M) {
	// The baselines start this binary again as their server.
	if len(os.Args) == 2 && strings.HasPrefix(os.Args[1], "-serve=") {
		s := bare.Servers()[strings.TrimPrefix(os.Args[1], "-serve=")]
		if s == nil || measure.Serve(context.Background(), s, os.Stdin, os.Stdout) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestEveryBaselineMeasures(t *testing.T) {
	for name, c := range map[string]struct {
		measure     measure.Func
		least, most float64
	}{
		"channel send":      {bare.ChannelSend, 1, 100_000},
		"channel ping-pong": {bare.ChannelPingPong(1), 10, 1_000_000},
		"100 pairs":         {bare.ChannelPingPong(100), 10, 1_000_000},
		"fan-out":           {bare.ChannelFanout(1000), 10_000, 1_000_000_000},
		"TCP":               {bare.TCPEcho(10), 100, 10_000_000},
		"KCP":               {bare.KCPEcho(10), 100, 10_000_000},
		"WebSocket":         {bare.WebSocketEcho(10), 100, 10_000_000},
		"idle TCP":          {bare.TCPIdleBytes(300), 2000, 100_000},
		"idle KCP":          {bare.KCPIdleBytes(300), 5000, 1_000_000},
		"idle WebSocket":    {bare.WebSocketIdleBytes(300), 2000, 100_000},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.measure(t.Context())
			if err != nil || got < c.least || got > c.most {
				t.Errorf("measured %v, %v", got, err)
			}
		})
	}
}
