package cron

import (
	"fmt"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

// fromScript takes the messages of scripts/cron.lua: add, remove and next, each with a name, add with an expression and a zone. Times are Unix seconds. The
// script knows which names its functions have; a job that it does not know is one of its VM before a restart.
func (s *Service) fromScript(c *actor.Context, m lua.Message) {
	var cmd, name, expr, zone string
	if err := m.Args.Scan(&cmd, &name); err != nil {
		c.Reply(nil, fmt.Errorf("cron: a command and the name of a job are expected: %w", err))
		return
	}
	switch cmd {
	case "add":
		if err := m.Args.Scan(&cmd, &name, &expr, &zone); err != nil {
			c.Reply(nil, fmt.Errorf("cron: job %q: a name, an expression and a zone are expected: %w", name, err))
			return
		}
		due, err := s.add(c, Add{Name: name, Replace: true, Expr: expr, Zone: zone}, true)
		if err != nil {
			s.refuse(c, err)
			return
		}
		c.Reply(value.Of(due.Unix()), nil)
	case "remove":
		err := s.remove(c, Remove{Name: name, To: c.From()})
		c.Reply(value.Of(err == nil), nil) // there is no other reason than that there is none
	case "next":
		j, err := s.find(Remove{Name: name, To: c.From()})
		switch {
		case err != nil:
			c.Reply(value.Of(nil), nil)
		case j.last.IsZero():
			c.Reply(value.Of(j.next.Unix()), nil)
		default:
			c.Reply(value.Of(j.next.Unix(), j.last.Unix()), nil)
		}
	default:
		c.Reply(nil, fmt.Errorf("cron: %q is no command of the cron service: add, remove or next is expected", cmd))
	}
}
