//go:build linux

package faulttest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/skua-go/skua/internal/nodelab"
)

// rig is a cluster of nodes, and a cluster of NATS servers, each on a host of its own.
type rig struct {
	t       *testing.T
	seed    uint64
	lab     *nodelab.Lab
	nodes   []*place
	servers []*place
	oracle  *oracle
	lives   atomic.Uint64

	breaking sync.Once
	broken   chan struct{} // closed when a process has ended by itself, or does not do what it is told
}

// How long things may take: far longer than they do on a busy machine, so that only what stands still is told of.
const (
	startsIn = 2 * time.Minute  // a process is ready
	endsIn   = time.Minute      // a node has left
	killedIn = 30 * time.Second // a process is gone that was killed
	doesIn   = healed + time.Minute
)

// place is a node or a server, with its host, and the process that it has now.
type place struct {
	r    *rig
	kind string
	host *nodelab.Host
	dir  string

	mu      sync.Mutex
	p       *process
	playing bool

	careless bool
}

// process is one life of a place.
type process struct {
	*pipe

	life  string
	cmd   *exec.Cmd
	stdin *os.File
	ready chan struct{}
	heard chan struct{} // closed when all that it has told is noted
	once  sync.Once
	meant atomic.Bool // it is to end
}

// newRig starts so many nodes with three servers. They end with the test.
func newRig(t *testing.T, nodes int, seed uint64) *rig {
	t.Helper()
	return newRigOf(t, nodes, seed, nil)
}

// newRigOf has set change places before they are started.
func newRigOf(t *testing.T, nodes int, seed uint64, set func(*rig)) *rig {
	t.Helper()
	r := &rig{t: t, seed: seed, lab: nodelab.Open(seed), oracle: newOracle(t), broken: make(chan struct{})}
	t.Cleanup(r.close)
	for i := range 3 {
		r.servers = append(r.servers, r.place("nats", fmt.Sprintf("s%d", i)))
	}
	for i := range nodes {
		r.nodes = append(r.nodes, r.place("node", fmt.Sprintf("n%d", i)))
	}
	if set != nil {
		set(r)
	}
	for _, p := range append(append([]*place{}, r.servers...), r.nodes...) {
		p.start()
	}
	for _, p := range r.nodes {
		p.await()
	}
	return r
}

// giveUp has all that waits give up: what is wrong is known to the oracle.
func (r *rig) giveUp() { r.breaking.Do(func() { close(r.broken) }) }

// stuck tells of a process that does not do what it should, with what its goroutines do, in its log, and ends it.
func (r *rig) stuck(q *process, what string, after time.Duration) {
	r.oracle.fault("%s: %s, after %v; its log ends with its goroutines", q.life, what, after)
	q.meant.Store(true)
	_ = q.cmd.Process.Signal(syscall.SIGCONT) // it may be stopped, or gone
	_ = q.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-q.heard:
	case <-time.After(killedIn):
	}
	r.giveUp()
}

func (r *rig) place(kind, name string) *place {
	r.t.Helper()
	h, err := r.lab.Host(name)
	if err != nil {
		r.t.Fatal(err)
	}
	p := &place{r: r, kind: kind, host: h}
	if kind == "nats" {
		p.dir = nodelab.Disk(r.t, 64<<20)
	}
	return p
}

func (r *rig) close() {
	var ended sync.WaitGroup
	for _, p := range append(append([]*place{}, r.nodes...), r.servers...) {
		ended.Go(p.kill)
	}
	ended.Wait()
	if err := r.lab.Close(); err != nil {
		r.t.Error(err)
	}
}

func hosts(places ...*place) (all []*nodelab.Host) {
	for _, p := range places {
		all = append(all, p.host)
	}
	return all
}

// role is what the next process of a place is.
func (p *place) role() role {
	r := p.r
	life := r.lives.Add(1)
	o := role{Kind: p.kind, Name: p.host.Name(), Life: fmt.Sprintf("%s#%d", p.host.Name(), life), Seed: r.seed + life, Careless: p.careless}
	var urls []string
	for _, s := range r.servers {
		urls = append(urls, "nats://"+netip.AddrPortFrom(s.host.Addr(), clientPort).String())
		if s != p {
			o.Routes = append(o.Routes, s.host.Addr().String())
		}
	}
	for _, n := range r.nodes {
		o.Peers = append(o.Peers, n.host.Name())
	}
	o.URL, o.Addr, o.Dir = strings.Join(urls, ","), p.host.Addr().String(), filepath.Join(p.dir, "js")
	return o
}

// start starts a process on the place's host.
func (p *place) start() {
	t := p.r.t
	t.Helper()
	o := p.role()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), roleEnv+"="+string(text))
	cmd.Stderr = p.r.oracle.log(o.Life)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = killedIn
	var files [4]*os.File
	for i := 0; i < 4; i += 2 {
		if files[i], files[i+1], err = os.Pipe(); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Stdin, cmd.Stdout = files[0], files[3]
	if err := p.host.Start(cmd); err != nil {
		t.Fatal(err)
	}
	files[0].Close()
	files[3].Close()
	q := &process{
		pipe: &pipe{in: files[2], out: files[1]}, life: o.Life, cmd: cmd, stdin: files[1], ready: make(chan struct{}), heard: make(chan struct{}),
	}
	go func() {
		defer close(q.heard)
		defer files[2].Close()
		if err := q.serve(func(l line) { p.r.oracle.take(q, l) }); err != nil {
			p.r.oracle.fault("%s: what it told can't be read: %v", q.life, err)
		}
		if !q.meant.Load() {
			p.r.oracle.fault("%s has ended by itself", q.life)
			p.r.giveUp()
		}
	}()
	p.mu.Lock()
	p.p = q
	playing := p.playing
	p.mu.Unlock()
	if playing {
		go func() { _, _ = p.tell(doPlay) }() // it ends with the process at the latest
	}
}

// process is the one that the place has now.
func (p *place) process() *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.p
}

// ready waits until the process is ready.
func (p *place) ready(q *process) error {
	select {
	case <-q.ready:
		return nil
	default:
	}
	select {
	case <-q.ready:
		return nil
	case <-q.heard:
		return errGone
	case <-p.r.broken:
		return errBroken
	case <-time.After(startsIn):
		p.r.stuck(q, "it is not ready", startsIn)
		return errBroken
	}
}

var errBroken = errors.New("something else has failed")

// await waits until the process is ready, or ends the test.
func (p *place) await() {
	p.r.t.Helper()
	if err := p.ready(p.process()); err != nil {
		p.r.oracle.clean() // tells why
		p.r.t.Fatalf("%s: waiting until it is ready: %v", p.process().life, err)
	}
}

// tell has the process do something, when it is ready, and returns its answer.
func (p *place) tell(what string) (line, error) {
	q := p.process()
	if err := p.ready(q); err != nil {
		return line{}, err
	}
	a, err := q.ask(line{Kind: what}, doesIn, p.r.broken)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.r.stuck(q, "it has not done what it was told: "+what, doesIn)
	}
	return a, err
}

func (p *place) signal(s os.Signal) {
	if err := p.process().cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.r.oracle.fault("%s: %v", p.process().life, err)
	}
}

// kill ends the process in the middle of whatever it does, and returns when all that it has told is noted.
func (p *place) kill() {
	if q := p.process(); q != nil {
		q.once.Do(func() {
			q.meant.Store(true)
			p.signal(syscall.SIGKILL)
			p.gone(q, killedIn, false)
		})
	}
}

// leave has the node leave as it should.
func (p *place) leave() {
	q := p.process()
	q.once.Do(func() {
		q.meant.Store(true)
		q.stdin.Close()
		p.gone(q, endsIn, true)
	})
}

// gone waits for the end of a process.
func (p *place) gone(q *process, within time.Duration, left bool) {
	select {
	case <-q.heard:
	case <-time.After(within):
		p.r.stuck(q, "it is still there", within)
	}
	q.stdin.Close()
	_ = q.cmd.Wait() // it was killed, or has ended with 1, as the child does always
	p.r.oracle.died(q.life, left)
}

// play has all nodes work, those too that are started later, or rest.
func (r *rig) play() {
	r.each(doPlay, func(p *place) { p.playing = true })
}

func (r *rig) rest() {
	r.each(doRest, func(p *place) { p.playing = false })
}

// each tells all nodes at once, and waits for what they say.
func (r *rig) each(what string, before func(p *place)) (all []line) {
	r.t.Helper()
	all = make([]line, len(r.nodes))
	var done sync.WaitGroup
	for i, p := range r.nodes {
		p.mu.Lock()
		if before != nil {
			before(p)
		}
		p.mu.Unlock()
		done.Go(func() {
			a, err := p.tell(what)
			if err == nil && a.Text != "" {
				err = errors.New(a.Text)
			}
			if err != nil && !errors.Is(err, errBroken) {
				r.oracle.fault("%s: %s: %v", p.process().life, what, err)
			}
			all[i] = a
		})
	}
	done.Wait()
	return all
}

// luck is that of SKUA_SEED, or a random one. It decides about faults and loads, not about what the scheduler makes of them.
func luck(t *testing.T) uint64 {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("SKUA_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("SKUA_SEED=%d", seed)
	return seed
}
