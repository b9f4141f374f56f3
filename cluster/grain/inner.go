package grain

import (
	"github.com/skua-go/skua/actor"
)

// inner is the actor of a kind, which tells its front when it has started.
type inner struct {
	actor.Actor
	front actor.Ref
	told  bool
}

func newInner(a actor.Actor, front actor.Ref) actor.Actor { return &inner{Actor: a, front: front} }

// Start starts the actor, and has it load.
func (i *inner) Start(c *actor.Context) error {
	if s, ok := i.Actor.(actor.Starter); ok {
		if err := s.Start(c); err != nil {
			return err
		}
	}
	if l, ok := i.Actor.(Loader); ok {
		l.Load(c, func(err error) { i.tell(c, err) })
		return nil
	}
	i.tell(c, nil)
	return nil
}

func (i *inner) tell(c *actor.Context, err error) {
	if !i.told {
		i.told = true
		c.Send(i.front, ready{err})
	}
}

// Stop has the actor end.
func (i *inner) Stop(c *actor.Context, reason error) {
	if s, ok := i.Actor.(actor.Stopper); ok {
		s.Stop(c, reason)
	}
}

// Inherit has it take over from the one that failed.
func (i *inner) Inherit(from actor.Actor, failure error) {
	former, ok := from.(*inner)
	if h, is := i.Actor.(actor.Inheritor); is && ok {
		h.Inherit(former.Actor, failure)
	}
}
