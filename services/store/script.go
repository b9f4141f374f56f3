package store

import (
	"errors"
	"fmt"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

// script takes the messages of scripts: claim, load, save and commit, each with a kind and an id, the latter two with a table.
func (s *Service) script(c *actor.Context, m lua.Message) {
	var cmd, kind, id string
	if err := m.Args.Scan(&cmd, &kind, &id); err != nil {
		c.Reply(nil, fmt.Errorf("store: a command, a kind and an id are expected: %w", err))
		return
	}
	n := name{kind, id}
	switch cmd {
	case "claim":
		s.claim(c, n, replyTable(c))
	case "load":
		s.load(c, n, replyTable(c))
	case "save", "commit":
		body, err := FromValue(m.Args.At(3))
		if err != nil {
			c.Reply(nil, fmt.Errorf("%w: %s: %w", ErrInvalid, Name(kind, id), err))
			return
		}
		if cmd == "save" {
			c.Reply(nil, s.save(c, n, body))
			return
		}
		s.commit(c, n, body)
	default:
		c.Reply(nil, fmt.Errorf("store: %q is no command of the store: claim, load, save or commit is expected", cmd))
	}
}

// replyTable answers a script with the content of a document, or nil.
func replyTable(c *actor.Context) func(any, error) {
	return func(v any, err error) {
		if errors.Is(err, ErrNotFound) {
			c.Reply(value.Of(nil), nil)
			return
		}
		if err != nil {
			c.Reply(nil, err)
			return
		}
		doc := v.(Doc) //nolint:forcetypeassert // what claim and load give
		if empty(doc.Body) {
			c.Reply(value.Of(nil), nil)
			return
		}
		l, err := ToValue(doc.Body)
		if err != nil {
			c.Reply(nil, fmt.Errorf("store: %s: %w", Name(doc.Kind, doc.ID), err))
			return
		}
		c.Reply(l, nil)
	}
}
