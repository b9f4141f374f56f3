//go:build linux

package faulttest_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// oracle notes what processes tell, and finds out what can't be.
type oracle struct {
	t   *testing.T
	dir string // where logs are kept; empty for memory

	mu       sync.Mutex
	faults   []string
	logs     map[string]*tail
	numbers  map[string]*number
	adds     map[string][]line // by key
	locks    []lockOp
	open     map[lockID]int64    // locks that are held, and when that was known last
	gone     map[string]bool     // lives that have ended, and whether they have left as they should
	deposits map[string]*account // by who sent them
}

// number is one of the register: whatever is guarded by epochs, in the place of a database.
type number struct {
	epoch   uint64
	value   int64
	written map[string]int64 // by id
}

func newOracle(t *testing.T) *oracle {
	return &oracle{
		t: t, dir: os.Getenv("SKUA_FAULT_LOGS"), logs: map[string]*tail{}, numbers: map[string]*number{}, adds: map[string][]line{}, open: map[lockID]int64{}, gone: map[string]bool{},
		deposits: map[string]*account{},
	}
}

// maxFaults is how many are shown.
const maxFaults = 20

// fault notes what must not be.
func (o *oracle) fault(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.faults = append(o.faults, fmt.Sprintf(format, args...))
}

// clean tells whether nothing is wrong, and fails the test otherwise.
func (o *oracle) clean() bool {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.faults[:min(len(o.faults), maxFaults)] {
		o.t.Error(f)
	}
	if len(o.faults) > maxFaults {
		o.t.Errorf("and %d more", len(o.faults)-maxFaults)
	}
	right := len(o.faults) == 0
	o.faults = nil
	if !right && o.dir == "" {
		for _, life := range slices.Sorted(maps.Keys(o.logs)) {
			text := o.logs[life].text()
			o.t.Logf("the end of what %s logged (SKUA_FAULT_LOGS=DIR keeps all):\n%s", life, text[max(0, len(text)-1500):])
		}
	}
	return right
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const maxTail = 1 << 20

func (l *tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buf.Len() > 2*maxTail {
		l.buf.Next(l.buf.Len() - maxTail)
	}
	return l.buf.Write(b)
}

func (l *tail) text() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.buf.Bytes())
}

// log is where a process logs to: memory, or a file in the directory of SKUA_FAULT_LOGS.
func (o *oracle) log(life string) io.Writer {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dir != "" {
		f, err := os.Create(filepath.Join(o.dir, life+".log"))
		if err == nil {
			o.t.Cleanup(func() { f.Close() })
			return f
		}
		o.t.Error(err)
	}
	l := &tail{}
	o.logs[life] = l
	return l
}

// take takes what a process tells.
func (o *oracle) take(p *place, q *process, l line) {
	switch l.Kind {
	case saysReady:
		close(q.ready)
	case saysWrong:
		o.fault("%s: %s", q.life, l.Text)
	case saysRPC:
		a := o.register(l)
		a.Kind, a.ID = saysAnswer, l.ID
		_ = q.say(a) // it may have been killed meanwhile
	case saysAdd:
		o.mu.Lock()
		defer o.mu.Unlock()
		o.adds[l.Key] = append(o.adds[l.Key], l)
	case saysLock, saysUse, saysUnlock:
		o.locked(q.life, l)
	case saysSent, saysGot:
		o.deposited(p, q, l)
	default:
		o.fault("%s: it says %q", q.life, l.Kind)
	}
}

// register reads and writes a number, as long as the epoch is not lower than one that was there before.
func (o *oracle) register(l line) line {
	o.mu.Lock()
	defer o.mu.Unlock()
	x := o.numbers[l.Key]
	if x == nil {
		x = &number{written: map[string]int64{}}
		o.numbers[l.Key] = x
	}
	if l.Epoch < x.epoch {
		return line{Text: fmt.Sprintf("%d, and %d was there", l.Epoch, x.epoch)}
	}
	x.epoch = l.Epoch
	if l.Text == "write" {
		x.value = l.N
		x.written[l.Who] = l.N
	}
	return line{N: x.value}
}

// died notes the end of a process: what it held is not held any more.
func (o *oracle) died(life string, left bool) {
	now := clock()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone[life] = left
	for id, last := range o.open {
		if id.life == life {
			delete(o.open, id)
			o.locks = append(o.locks, lockOp{kind: saysUnlock, who: id.life, key: id.key, epoch: id.epoch, call: last, ret: now})
		}
	}
}
