// Package nodes measures messages between nodes beside bare nats.go: two nodes of one process, each with a connection of its own to a NATS server that listens on the
// loopback interface.
package nodes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/mesh"

	"github.com/skua-go/skua/tools/bench/measure"
)

// withServer calls f with the URL of a server that has just been started.
func withServer(f func(url string) (float64, error)) (v float64, err error) {
	dir, err := os.MkdirTemp("", "skua-bench-nats")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		return 0, err
	}
	srv.Start()
	defer srv.WaitForShutdown()
	defer srv.Shutdown()
	if !srv.ReadyForConnections(10 * time.Second) {
		return 0, errors.New("nodes: the NATS server is not ready")
	}
	return f(srv.ClientURL())
}

// node is one of two.
type node struct {
	sys     *actor.System
	members *cluster.Members
	mesh    *mesh.Mesh
	close   func() error
}

func open(ctx context.Context, url, name string, types *wire.Types, roles ...string) (*node, error) {
	n, err := cluster.Open(ctx, cluster.Config{URL: url, Name: name})
	if err != nil {
		return nil, err
	}
	m, err := cluster.Join(n, cluster.MembersConfig{Roles: roles})
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	sys := actor.New(actor.Config{Node: name, Log: slog.New(slog.DiscardHandler)})
	reach, err := mesh.Open(mesh.Config{Node: n, Members: m, System: sys, Types: types})
	if err != nil {
		m.Close()
		return nil, errors.Join(err, sys.Shutdown(ctx), n.Close())
	}
	return &node{sys, m, reach, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err := sys.Shutdown(ctx)
		m.Leave()
		return errors.Join(err, reach.Close(), n.Close())
	}}, nil
}

// Two calls f with two nodes that have the same NATS server, and whose messages of other kinds than those of every node are types; nil for none.
func Two(ctx context.Context, types *wire.Types, f func(here, there *actor.System) (float64, error)) (float64, error) {
	return withServer(func(url string) (v float64, err error) {
		a, err := open(ctx, url, "a", types)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, a.close()) }()
		b, err := open(ctx, url, "b", types)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, b.close()) }()
		return f(a.sys, b.sys)
	})
}

// See is an actor of another node as here has it, as soon as a request reaches it.
func See(ctx context.Context, here *actor.System, own actor.Ref, hello any) (actor.Ref, error) {
	to, err := here.ParseAddress(own.Address())
	if err != nil {
		return to, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		if _, err = here.Ask(ctx, to, hello); err == nil {
			return to, nil
		}
		if ctx.Err() != nil {
			return to, fmt.Errorf("nodes: they don't reach each other: %w", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// withNodes calls f with two nodes that reach each other, and an actor of the second as the first has it.
func withNodes(ctx context.Context, there actor.Func, f func(here *actor.System, to actor.Ref) (float64, error)) (float64, error) {
	return Two(ctx, nil, func(a, b *actor.System) (float64, error) {
		own, err := b.Spawn(actor.Spec{New: func() actor.Actor { return there }})
		if err != nil {
			return 0, err
		}
		to, err := See(ctx, a, own, "hello")
		if err != nil {
			return 0, err
		}
		return f(a, to)
	})
}

// Ask is ns for a request to an actor of another node and its answer, with inFlight requests of one actor at a time.
func Ask(inFlight int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return withNodes(ctx, func(c *actor.Context, msg any) { c.Reply(msg, nil) }, func(sys *actor.System, to actor.Ref) (float64, error) {
			return measure.PerOp(ctx, func(n int) error { return asks(sys, to, n, inFlight) })
		})
	}
}

// asks has an actor ask n times.
func asks(sys *actor.System, to actor.Ref, n, inFlight int) error {
	return asksWith(sys, func(c *actor.Context, then func(any, error)) { c.Ask(to, "ping", then) }, n, inFlight)
}

// asksWith has an actor ask n times.
func asksWith(sys *actor.System, ask func(c *actor.Context, then func(any, error)), n, inFlight int) error {
	done := make(chan error, n)
	left := n
	asker, err := sys.Spawn(actor.Spec{New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, _ any) {
			flying := 0
			var next func()
			next = func() {
				left--
				flying++
				ask(c, func(_ any, err error) {
					flying--
					switch {
					case err != nil:
						done <- err
					case left > 0:
						next()
					case flying == 0:
						done <- nil
					}
				})
			}
			for range min(inFlight, n) {
				next()
			}
		})
	}})
	if err != nil {
		return err
	}
	sys.Send(asker, "go")
	err = <-done
	sys.Stop(asker, nil)
	<-sys.Ended(asker)
	return err
}

// Send is ns for a small message of one actor to one of another node.
func Send(ctx context.Context) (float64, error) {
	var left atomic.Int64
	done := make(chan struct{}, 1)
	return withNodes(ctx, func(c *actor.Context, _ any) {
		if c.IsRequest() {
			c.Reply(nil, nil)
		} else if left.Add(-1) == 0 {
			done <- struct{}{}
		}
	}, func(sys *actor.System, to actor.Ref) (float64, error) {
		sender, err := sys.Spawn(actor.Spec{New: func() actor.Actor {
			return actor.Func(func(c *actor.Context, msg any) {
				n, _ := msg.(int)
				for range n {
					c.Send(to, "a small message")
				}
			})
		}})
		if err != nil {
			return 0, err
		}
		return measure.PerOp(ctx, func(n int) error {
			left.Store(int64(n))
			sys.Send(sender, n)
			select {
			case <-done:
				return nil
			case <-time.After(30 * time.Second):
				return fmt.Errorf("nodes: %d of %d messages have not arrived, %d were refused", left.Load(), n, sys.Stats().DeadLetters)
			}
		})
	})
}

// BareAsk is ns for a request and its answer between two connections of nats.go, with so many callers.
func BareAsk(callers int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return withServer(func(url string) (float64, error) {
			from, err := nats.Connect(url)
			if err != nil {
				return 0, err
			}
			defer from.Close()
			to, err := nats.Connect(url)
			if err != nil {
				return 0, err
			}
			defer to.Close()
			if _, err := to.Subscribe("bare", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil { // the asker hears of a failure by its timeout
				return 0, err
			}
			if err := to.Flush(); err != nil {
				return 0, err
			}
			return measure.PerOp(ctx, func(n int) error { return bareAsks(from, n, callers) })
		})
	}
}

func bareAsks(from *nats.Conn, n, callers int) error {
	var left atomic.Int64
	left.Store(int64(n))
	failed := make(chan error, callers)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := from.Request("bare", []byte("ping"), 5*time.Second); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(failed)
	return <-failed
}
