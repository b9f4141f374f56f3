package store

import (
	"errors"
	"fmt"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

// script takes the messages of scripts: claim, load, save, commit and release, each with a kind and an id, save and commit with a table.
func (s *Service) script(c *actor.Context, m lua.Message) {
	var cmd, kind, id string
	if err := m.Args.Scan(&cmd, &kind, &id); err != nil {
		c.Reply(nil, fmt.Errorf("store: a command, a kind and an id are expected: %w", err))
		return
	}
	n := name{kind, id}
	switch cmd {
	case "claim":
		s.claim(c, n, claimer{script: true, answer: asTable})
	case "load":
		s.load(c, Load{Kind: kind, ID: id}, asTable)
	case "release":
		c.Reply(nil, s.release(c, n))
	case "save", "commit":
		body, err := FromValue(m.Args.At(3))
		if err != nil {
			c.Reply(nil, fmt.Errorf("%w: %s: %w", ErrInvalid, n, err))
			return
		}
		if cmd == "save" {
			c.Reply(nil, s.save(c, n, body, 0))
			return
		}
		s.commit(c, n, body)
	default:
		c.Reply(nil, fmt.Errorf("store: %q is no command of the store: claim, load, save, commit or release is expected", cmd))
	}
}

// asTable answers a script with the content of a document, or nil.
func asTable(doc Doc, err error) (any, error) {
	if errors.Is(err, ErrNotFound) || err == nil && !doc.Exists() {
		return value.Of(nil), nil
	}
	if err != nil {
		return nil, err
	}
	l, err := ToValue(doc.Body)
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", Name(doc.Kind, doc.ID), err)
	}
	return l, nil
}
