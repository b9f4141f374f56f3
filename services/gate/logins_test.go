package gate_test

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
)

// How many logins a second does a gate take whose cluster has so many nodes, each of which is asked whether it has the player? All nodes are in this process, so they share its cores.
func BenchmarkLoginsInACluster(b *testing.B) {
	for _, nodes := range []int{1, 3} {
		for name, change := range map[string]func(*gate.Config){
			"agents":   func(cfg *gate.Config) { cfg.SharedVMs = true },
			"handlers": func(cfg *gate.Config) { cfg.Agent, cfg.Handle = "", counter },
		} {
			b.Run(fmt.Sprintf("%s/%d nodes", name, nodes), func(b *testing.B) {
				c := meet(b, nodes, nil, func(_ int, cfg *gate.Config) { cfg.Linger = 0; change(cfg) })
				var number atomic.Int64
				var all sync.WaitGroup
				b.ResetTimer()
				for range 32 {
					all.Go(func() {
						for i := number.Add(1); i <= int64(b.N); i = number.Add(1) {
							l := hail(b, c.nodes[0], "")
							l.logIn(fmt.Sprintf("p%d", i))
							l.send(packet.Kick, nil)
							l.close()
						}
					})
				}
				all.Wait()
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
				runtime.KeepAlive(c)
			})
		}
	}
}
