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
	"strings"
	"sync"
	"testing"

	"github.com/skua-go/skua/cluster/lease/leasetest"
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
	owner   string // which activation has claimed the epoch, of a grain's number
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

// found are the faults that were found since it was asked last.
func (o *oracle) found() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	faults := o.faults
	o.faults = nil
	return faults
}

// clean tells whether nothing is wrong, and fails the test otherwise, with the logs of whom it concerns.
func (o *oracle) clean() bool {
	o.t.Helper()
	faults := o.found()
	for _, f := range faults[:min(len(faults), maxFaults)] {
		o.t.Error(f)
	}
	if len(faults) > maxFaults {
		o.t.Errorf("and %d more", len(faults)-maxFaults)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, life := range slices.Sorted(maps.Keys(o.logs)) {
		concerned := func(fault string) bool { return strings.Contains(fault, life) }
		if slices.ContainsFunc(faults, concerned) {
			text := o.logs[life].text()
			o.t.Logf("the end of what %s logged (SKUA_FAULT_LOGS=DIR keeps all):\n%s", life, text[max(0, len(text)-maxShown):])
		}
	}
	return len(faults) == 0
}

// maxShown is how much is shown of a log: goroutines are in it when a process stands still.
const maxShown = 16 << 10

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
func (o *oracle) take(q *process, l line) {
	switch l.Kind {
	case saysReady:
		close(q.ready)
	case saysWrong:
		o.fault("%s: %s", q.life, l.Text)
	case saysRPC:
		a := o.register(l)
		a.Kind, a.ID = saysAnswer, l.ID
		_ = q.say(a) // it may have been killed meanwhile
	case saysAdd, saysRead:
		o.mu.Lock()
		defer o.mu.Unlock()
		o.adds[l.Key] = append(o.adds[l.Key], l)
	case saysLock, saysUse, saysUnlock:
		o.locked(q.life, l)
	case saysSent, saysGot:
		o.deposited(q.life, l)
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
	switch {
	case l.By == "": // a lock's, or the singleton's: whoever has the epoch
	case l.Text == registerClaim && l.Epoch == x.epoch:
		o.faults = append(o.faults, fmt.Sprintf("grains: %s is claimed under epoch %d by %s, which %s has claimed", l.Key, l.Epoch, l.By, x.owner))
	case l.Text == registerClaim:
		x.owner = l.By
	case l.Epoch != x.epoch || l.By != x.owner:
		o.faults = append(o.faults, fmt.Sprintf("grains: %s is written under epoch %d by %s, %s has claimed it under %d", l.Key, l.Epoch, l.By, x.owner, x.epoch))
	}
	x.epoch = l.Epoch
	if l.Text == registerWrite {
		if _, twice := x.written[l.Who]; twice {
			o.faults = append(o.faults, fmt.Sprintf("numbers: %s of %s is written twice", l.Who, l.Key))
		}
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
			o.locks = append(o.locks, lockOp{leasetest.Op{Kind: leasetest.Give, Key: id.key, Epoch: id.epoch, Who: id.life}, last, now})
		}
	}
}
