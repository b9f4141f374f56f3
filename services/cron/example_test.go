package cron_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/cron"
)

// greeter adds its job when it starts, and so each time it starts.
type greeter struct{ done chan struct{} }

func (g *greeter) Start(c *actor.Context) error {
	service, _ := c.System().Lookup(cron.ServiceName)
	c.Ask(service, cron.Add{Name: "greet", Replace: true, Expr: "30 2 * * *", Zone: "Europe/Berlin", Msg: "good night"}, func(due any, err error) {
		if err != nil {
			c.Log().Error("no greetings", "error", err)
			return
		}
		fmt.Println("first:", due)
	})
	return nil
}

func (g *greeter) Receive(_ *actor.Context, msg any) {
	if tick, ok := msg.(cron.Tick); ok {
		fmt.Println(tick.Due, tick.Msg)
		close(g.done)
	}
}

func Example() {
	// A clock that shows, when it is first looked at, the moment before an hour is left out in Berlin. Without it, the service goes by the machine's.
	began := sync.OnceValue(time.Now)
	shows := time.Date(2026, time.March, 29, 0, 59, 59, 990_000_000, time.UTC)
	clock := func() time.Time { return shows.Add(time.Since(began())) }

	sys := actor.New(actor.Config{})
	defer func() { _ = sys.Shutdown(context.Background()) }()
	if _, err := sys.Spawn(cron.Spec(cron.Config{Now: clock})); err != nil {
		fmt.Println(err)
		return
	}
	g := &greeter{done: make(chan struct{})}
	if _, err := sys.Spawn(actor.Spec{Name: "greeter", New: func() actor.Actor { return g }}); err != nil {
		fmt.Println(err)
		return
	}
	<-g.done
	// Output:
	// first: 2026-03-29 03:00:00 +0200 CEST
	// 2026-03-29 03:00:00 +0200 CEST good night
}
