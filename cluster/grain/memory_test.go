package grain_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster/grain"
)

// live is how many bytes are in use.
func live() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestADirectoryTakes200BytesAGrainAtMost(t *testing.T) {
	sys := actor.New(actor.Config{})
	defer func() {
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	const n = 100_000
	before := live()
	d := grain.Directory(n, sys.Node())
	each := (float64(live()) - float64(before)) / n
	runtime.KeepAlive(d)
	t.Logf("%.0f bytes a grain", each)
	if each > 200 {
		t.Errorf("%.0f bytes a grain, expected at most 200", each)
	}
}
