package actor_test

import (
	"context"
	"slices"
	"testing"

	"github.com/skua-go/skua/actor"
)

func TestAnActorCountsWhatWaitsBehindTheMessageThatItHandles(t *testing.T) {
	for name, box := range map[string]actor.Mailbox{"unbounded": {}, "bounded": {Limit: 10}} {
		t.Run(name, func(t *testing.T) {
			sys := actor.New(actor.Config{})
			defer func() { _ = sys.Shutdown(context.WithoutCancel(t.Context())) }()
			begin, sent := make(chan struct{}), make(chan []int, 1)
			var seen []int
			ref, err := sys.Spawn(actor.Spec{Mailbox: box, New: func() actor.Actor {
				return actor.Func(func(c *actor.Context, _ any) {
					if seen == nil {
						<-begin // until the others wait
					}
					if seen = append(seen, c.Waiting()); len(seen) == 5 {
						sent <- seen
					}
				})
			}})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 5 {
				sys.Send(ref, i)
			}
			close(begin)
			if got, want := <-sent, []int{4, 3, 2, 1, 0}; !slices.Equal(got, want) {
				t.Errorf("waiting: %v, want %v", got, want)
			}
		})
	}
}
