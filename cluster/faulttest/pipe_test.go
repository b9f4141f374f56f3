//go:build linux

package faulttest_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// roleEnv makes the test binary a node or a NATS server: it has a role as JSON.
const roleEnv = "SKUA_TEST_FAULT_ROLE"

// role is what a process is.
type role struct {
	Kind string `json:"kind"` // node or nats
	Name string `json:"name"`
	Life string `json:"life"` // tells this process from all others
	Seed uint64 `json:"seed"`

	Peers []string `json:"peers"` // of a node: the names of all nodes
	URL   string   `json:"url"`   // of a node
	// Careless has a node go on with locks without asking whether it holds them still: the guard whose absence must be found.
	Careless bool `json:"careless"`

	Addr   string   `json:"addr"` // of a server
	Dir    string   `json:"dir"`
	Routes []string `json:"routes"`
}

// What a process tells.
const (
	saysReady  = "ready"
	saysWrong  = "wrong" // a promise was broken; Text says which
	saysAnswer = "answer"
	saysRPC    = "rpc" // it asks the register
	saysLock   = "lock"
	saysUse    = "use"
	saysUnlock = "unlock"
	saysAdd    = "add"
	saysRead   = "read" // what a grain has
	saysSent   = "sent" // an acknowledged message
	saysGot    = "got"
)

// What it asks the register for.
const (
	registerRead  = "read"
	registerWrite = "write"
	registerClaim = "claim" // read, as the only one who writes under the epoch
)

// What it is told.
const (
	doPlay  = "play"
	doRest  = "rest"
	doProbe = "probe" // is all as it should be?
	doState = "state"
	doShow  = "show" // log what its goroutines do
	doFill  = "fill" // the disk
	doFree  = "free"
)

// line is what goes over the pipe, either way. Times are those of clock.
type line struct {
	Kind  string `json:"k"`
	ID    uint64 `json:"id,omitempty"` // of a question, and its answer
	Who   string `json:"who,omitempty"`
	By    string `json:"by,omitempty"` // which activation of a grain asks the register
	Key   string `json:"key,omitempty"`
	Epoch uint64 `json:"e,omitempty"`
	N     int64  `json:"n,omitempty"`
	Call  int64  `json:"c,omitempty"`
	Ret   int64  `json:"r,omitempty"`
	Text  string `json:"t,omitempty"`
	State *state `json:"s,omitempty"`
}

// state is what a node has.
type state struct {
	Goroutines int              `json:"g"`
	Heap       int64            `json:"heap"`
	Done       map[string]int64 `json:"done"` // what was done, and how often
}

// clock is one that all processes of a machine share, and nobody sets.
func clock() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err)
	}
	return ts.Nano()
}

// pipe is the way between a process and the test.
type pipe struct {
	in  io.Reader
	out io.Writer

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan line
	closed  bool
}

var errGone = errors.New("the other side is gone")

// say writes one line. Lines are shorter than PIPE_BUF, so none is cut when the process is killed (pipe(7)).
func (p *pipe) say(l line) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err = p.out.Write(append(text, '\n'))
	return err
}

// ask says a line and waits for its answer, until broken is closed at most. It fails with errGone when the other side has ended, and with os.ErrDeadlineExceeded.
func (p *pipe) ask(l line, within time.Duration, broken <-chan struct{}) (line, error) {
	answer := make(chan line, 1)
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return line{}, errGone
	}
	if p.waiting == nil {
		p.waiting = map[uint64]chan line{}
	}
	p.last++
	l.ID = p.last
	p.waiting[l.ID] = answer
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.waiting, l.ID)
	}()
	if err := p.say(l); err != nil {
		return line{}, fmt.Errorf("%w: %w", errGone, err)
	}
	select {
	case got, ok := <-answer:
		if !ok {
			return line{}, errGone
		}
		return got, nil
	case <-broken:
		return line{}, errBroken
	case <-time.After(within):
		return line{}, os.ErrDeadlineExceeded
	}
}

// serve reads lines until there are no more. Answers go to who has asked, the rest to take.
func (p *pipe) serve(take func(line)) error {
	lines := bufio.NewReader(p.in)
	var end error
	for {
		text, err := lines.ReadBytes('\n')
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
				end = err
			}
			break
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			end = fmt.Errorf("%q: %w", text, err)
			break
		}
		if l.Kind != saysAnswer {
			take(l)
			continue
		}
		p.mu.Lock()
		if answer := p.waiting[l.ID]; answer != nil {
			answer <- l // there is room for one, and it gets one
			delete(p.waiting, l.ID)
		}
		p.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for id, answer := range p.waiting {
		close(answer)
		delete(p.waiting, id)
	}
	return end
}
