//go:build linux

package faulttest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/grain"
	"github.com/skua-go/skua/cluster/lease"
	"github.com/skua-go/skua/cluster/mesh"
	"github.com/skua-go/skua/cluster/names"
	"github.com/skua-go/skua/cluster/topics"
)

// The times of nodes: shorter than the defaults, in about the same proportions, so that a minute has more in it.
const (
	beatEach  = 100 * time.Millisecond
	suspectAt = 500 * time.Millisecond
	deadAt    = 1500 * time.Millisecond
	grace     = 1500 * time.Millisecond
	leaseTTL  = 8 * time.Second
	nameTTL   = 6 * time.Second
	callLimit = 2 * time.Second
	grainCut  = time.Second
	settle    = time.Second
)

// node is all that a node has in its process.
type node struct {
	role
	*pipe

	log     *slog.Logger
	node    *cluster.Node
	members *cluster.Members
	sys     *actor.System
	mesh    *mesh.Mesh
	leases  *lease.Leases
	names   *names.Names
	topics  *topics.Topics
	grains  *grain.Grains
	others  []string

	ctx   context.Context // the time for which it plays
	rest  context.CancelFunc
	tasks sync.WaitGroup // goroutines that play

	mu   sync.Mutex
	done map[string]int64
}

// runNode runs a node until the test is gone: then it leaves as it should.
func runNode(r role, p *pipe) error {
	n := &node{role: r, pipe: p, done: map[string]int64{}, log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	for _, name := range r.Peers {
		if name != r.Name {
			n.others = append(n.others, name)
		}
	}
	n.ctx, n.rest = context.WithCancel(context.Background())
	n.rest()
	wanted, end := context.WithCancelCause(context.Background())
	go func() { end(errors.Join(errGone, p.serve(n.told))) }()
	if err := n.open(wanted); err != nil {
		return err
	}
	if err := p.say(line{Kind: saysReady}); err != nil {
		return err
	}
	select {
	case <-wanted.Done():
	case <-n.node.Done():
		n.wrong("the node has lost its name for ever: %v", n.node.Err())
	}
	n.rest()
	n.tasks.Wait()
	return errors.Join(context.Cause(wanted), n.close())
}

// open joins the cluster, as soon as it lets it, while the test wants that.
func (n *node) open(wanted context.Context) error {
	for {
		ctx, cancel := context.WithTimeout(wanted, time.Minute)
		err := n.join(ctx)
		cancel()
		if err == nil {
			return n.spawn()
		}
		n.log.Warn("not joined, it is tried again", "error", err)
		select {
		case <-wanted.Done():
			return context.Cause(wanted)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (n *node) join(ctx context.Context) (err error) {
	var undo []func() error
	defer func() {
		for i := len(undo) - 1; err != nil && i >= 0; i-- {
			err = errors.Join(err, undo[i]())
		}
	}()
	if n.node, err = cluster.Open(ctx, cluster.Config{URL: n.URL, Name: n.Name, Lease: nameTTL, Version: n.Life, Log: n.log}); err != nil {
		return err
	}
	undo = append(undo, n.node.Close)
	if n.members, err = cluster.Join(n.node, cluster.MembersConfig{Beat: beatEach, Suspect: suspectAt, Dead: deadAt}); err != nil {
		return err
	}
	undo = append(undo, func() error { n.members.Leave(); return nil })
	types := wire.NewTypes()
	names.WireTypes(types)
	topics.WireTypes(types)
	grain.WireTypes(types)
	wireTypes(types)
	n.sys = actor.New(actor.Config{Node: n.Name, Log: n.log, CallTimeout: callLimit})
	if n.mesh, err = mesh.Open(mesh.Config{Node: n.node, Members: n.members, System: n.sys, Types: types, Log: n.log, Silent: deadAt}); err != nil {
		return err
	}
	undo = append(undo, func() error { return errors.Join(n.sys.Shutdown(ctx), n.mesh.Close()) })
	if n.leases, err = lease.Open(ctx, n.node, n.members, lease.Config{TTL: leaseTTL, Dead: deadAt, Grace: grace, Log: n.log}); err != nil {
		return err
	}
	undo = append(undo, n.leases.Close)
	n.grains, err = grain.Open(grain.Config{
		Node: n.node, Members: n.members, Mesh: n.mesh, System: n.sys, Kinds: n.kinds(), Cut: grainCut, Settle: settle, Log: n.log,
	})
	return err
}

// close leaves the cluster.
func (n *node) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	moving, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	if err := n.grains.Drain(moving); err != nil {
		n.log.Warn("not all grains have moved", "error", err) // as when nobody can take them
	}
	err := errors.Join(n.sys.Shutdown(ctx), n.grains.Close(), n.leases.Close())
	n.members.Leave()
	return errors.Join(err, n.mesh.Close(), n.node.Close())
}

// spawn starts what the node has for others.
func (n *node) spawn() (err error) {
	n.names, err = names.New(names.Config{Node: n.node, Members: n.members, System: n.sys, Mesh: n.mesh, Log: n.log})
	if err != nil {
		return err
	}
	n.topics = topics.New(n.names, 0)
	counter, err := names.Singleton(names.SingletonConfig{Name: "counter", Leases: n.leases, Names: n.names, New: n.counter, Again: 100 * time.Millisecond})
	if err != nil {
		return err
	}
	for _, s := range []actor.Spec{n.names.Spec(), n.topics.Spec(), n.sink(), n.echo(), n.ledger(), n.reader(), counter} {
		ref, err := n.sys.Spawn(s)
		if err != nil {
			return err
		}
		if s.Name == "echo" {
			err = n.names.Register("echo", ref, names.Options{})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// told does what the test wants. It must not wait.
func (n *node) told(l line) {
	a := line{Kind: saysAnswer, ID: l.ID}
	switch l.Kind {
	case doPlay:
		n.ctx, n.rest = context.WithCancel(context.Background())
		n.play()
	case doRest:
		n.rest()
		go func() {
			n.tasks.Wait()
			n.answer(a)
		}()
		return
	case doProbe:
		go func() {
			if err := n.probe(); err != nil {
				a.Text = err.Error()
			}
			n.answer(a)
		}()
		return
	case doShow:
		if err := pprof.Lookup("goroutine").WriteTo(os.Stderr, 1); err != nil {
			a.Text = err.Error()
		}
	case doState:
		go func() {
			a.State = n.state()
			n.answer(a)
		}()
		return
	}
	n.answer(a)
}

func (n *node) answer(l line) { _ = n.say(l) } // nobody hears it if it fails

// wrong tells of a promise that was broken.
func (n *node) wrong(format string, args ...any) {
	_ = n.say(line{Kind: saysWrong, Text: fmt.Sprintf(format, args...)})
}

// count notes that something was done.
func (n *node) count(what string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.done[what]++
}

func (n *node) counted(what string) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.done[what]
}

func (n *node) state() *state {
	runtime.GC()
	runtime.GC() // what pools had is free after the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := &state{Goroutines: goroutines(), Heap: int64(m.HeapAlloc), Done: map[string]int64{}}
	n.mu.Lock()
	defer n.mu.Unlock()
	for what, times := range n.done {
		s.Done[what] = times
	}
	return s
}

// goroutines is how many there are, without the workers that actors keep for later, of which there may be 256.
func goroutines() (count int) {
	var text strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&text, 1); err != nil {
		return runtime.NumGoroutine()
	}
	for _, alike := range strings.Split(text.String(), "\n\n") {
		if head, rest, _ := strings.Cut(alike, "\n"); strings.HasPrefix(head, "goroutine profile") {
			alike = rest
		}
		n, _, _ := strings.Cut(alike, " @ ")
		if many, err := strconv.Atoi(n); err == nil && !strings.Contains(alike, "(*dispatcher).park") {
			count += many
		}
	}
	return count
}

// random is luck of one's own.
func (n *node) random(of uint64) *rand.Rand { return rand.New(rand.NewPCG(n.Seed, of)) }

// other is one of the other nodes.
func (n *node) other(r *rand.Rand) string { return n.others[r.IntN(len(n.others))] }

// pause waits for up to d, and tells whether to go on.
func (n *node) pause(ctx context.Context, r *rand.Rand, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Duration(r.Int64N(int64(d)))):
		return true
	}
}

// play starts all that works until rest.
func (n *node) play() {
	ctx := n.ctx
	for i := range uint64(3) {
		n.tasks.Go(func() { n.lockClient(ctx, i) })
		n.tasks.Go(func() { n.depositor(ctx, i) })
		n.tasks.Go(func() { n.saver(ctx, i) })
	}
	n.tasks.Go(func() { n.adder(ctx) })
	for i, to := range n.others {
		n.perform(ctx, n.sender(to))
		n.perform(ctx, n.asker(uint64(i)))
	}
	n.perform(ctx, n.publisher())
}

// perform has an actor live until ctx ends.
func (n *node) perform(ctx context.Context, spec actor.Spec) {
	ref, err := n.sys.Spawn(spec)
	if err != nil {
		n.wrong("an actor can't be spawned: %v", err)
		return
	}
	n.tasks.Go(func() {
		<-ctx.Done()
		n.sys.Stop(ref, nil)
		<-n.sys.Ended(ref)
	})
}

// register asks the test's register, which nothing cuts off.
func (n *node) register(l line) (int64, error) {
	l.Kind = saysRPC
	a, err := n.ask(l, registerIn, nil)
	if err == nil && a.Text != "" {
		err = fmt.Errorf("%w: %s", errFenced, a.Text)
	}
	return a.N, err
}

// registerIn is far more than the test takes for an answer.
const registerIn = time.Minute

var errFenced = errors.New("a higher epoch was there")
