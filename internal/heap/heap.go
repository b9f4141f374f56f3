// Package heap keeps Go's collector from running all the time while the heap is small.
//
// The collector runs when the heap has doubled. A node with 5 MB in use then collects every 5 MB, at the rates of a busy node some 40 times a second, and each
// time all stores of pointers take the slow way for a while: a third of the time of a script's call, as profiles say. A floor under the next collection costs a
// node that much memory at most, and nothing once its heap is larger.
package heap

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// DefaultFloor is how large the heap may be before the collector runs, in bytes.
const DefaultFloor = 64 << 20

// KeepFloor lets the collector run only when the heap has doubled and is larger than floor bytes, from now on until the process ends. It does nothing where the
// environment sets GOGC: whoever does knows better. It is for main.
func KeepFloor(floor uint64) {
	if os.Getenv("GOGC") != "" {
		return
	}
	t := &tuner{floor: floor, percent: standard}
	t.adjust()
	t.arm()
}

const (
	standard = 100 // GOGC where nobody sets it
	most     = 3200
)

type tuner struct {
	floor   uint64
	percent int
}

// arm has adjust run behind each collection: an object that nothing refers to is found by it.
func (t *tuner) arm() {
	type sentinel struct{ _ [16]byte }
	runtime.AddCleanup(&sentinel{}, func(t *tuner) {
		t.adjust()
		t.arm()
	}, t)
}

func (t *tuner) adjust() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if percent := Percent(live[0].Value.Uint64(), t.floor); percent != t.percent {
		t.percent = percent
		debug.SetGCPercent(percent)
	}
}

// Percent is the GOGC with which the collector runs at the floor, for so many bytes alive: 100 to 3200, in steps, since each change stops the program for a moment.
func Percent(live, floor uint64) int {
	percent := uint64(most)
	if live > 0 {
		percent = floor * 100 / live
	}
	step := uint64(most)
	for step > standard && step > percent {
		step /= 2
	}
	return int(max(step, standard))
}
