package clients_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/tools/bench/clients"
	"github.com/skua-go/skua/tools/bench/measure"
)

func TestMain(m *testing.M) {
	// What is measured starts this binary again, as its server or in a process of its own.
	if len(os.Args) >= 2 && strings.HasPrefix(os.Args[1], "-serve=") {
		s := clients.Servers(os.Args[2:])[strings.TrimPrefix(os.Args[1], "-serve=")]
		if s == nil || measure.Serve(context.Background(), s, os.Stdin, os.Stdout) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 2 && strings.HasPrefix(os.Args[1], "-figure=") {
		if measure.PrintFigure(context.Background(), clients.Figures(), strings.TrimPrefix(os.Args[1], "-figure="), os.Stdout) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestEveryFigureMeasures(t *testing.T) {
	for name, c := range map[string]struct {
		measure     measure.Func
		least, most float64
	}{
		"Go over TCP":         {clients.GoEcho("tcp", 10), 50, 10_000_000},
		"Lua over TCP":        {clients.LuaEcho("tcp", 10), 50, 10_000_000},
		"Lua over KCP":        {clients.LuaEcho("kcp", 10), 50, 10_000_000},
		"Lua over WebSocket":  {clients.LuaEcho("ws", 10), 50, 10_000_000},
		"idle over TCP":       {clients.IdleBytes("tcp", 300), 500, 200_000},
		"idle over WebSocket": {clients.IdleBytes("ws", 300), 500, 200_000},
		"idle over KCP":       {clients.IdleBytes("kcp", 300), 500, 200_000},
		"idle CPU":            {clients.IdleCPU(300, 300*time.Millisecond), 0.0001, 200},
		"broadcast":           {clients.Broadcast(200), 100, 100_000_000},
		"logins over TCP":     {clients.Logins("tcp", 120), 1, 10_000_000},
		"logins over KCP":     {clients.Logins("kcp", 120), 1, 10_000_000},
		"logins in a cluster": {clients.ClusterLogins(3, true, 120), 1, 10_000_000},
		"logins of handlers":  {clients.ClusterLogins(2, false, 120), 1, 10_000_000},
		"bots":                {clients.Bots(200, time.Second), 0.0001, 200},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.measure(t.Context())
			if err != nil || got < c.least || got > c.most {
				t.Errorf("measured %v, %v", got, err)
			}
		})
	}
}
