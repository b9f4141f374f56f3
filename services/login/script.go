package login

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

// script takes the messages of scripts/login.lua. Times are Unix seconds, durations seconds; what a script may pass over is nil.
func (s *Service) script(c *actor.Context, m lua.Message) {
	cmd, _ := m.Args.At(0).Str()
	args := m.Args.Rest(1)
	if cmd == "maintenance" {
		s.scriptMaintenance(c, args)
		return
	}
	if cmd == "revoke_token" || cmd == "check" {
		s.scriptToken(c, cmd, args.At(0))
		return
	}
	uid, err := uidOf(args.At(0))
	if err != nil {
		c.Reply(nil, fmt.Errorf("%s: %w", cmd, err))
		return
	}
	switch cmd {
	case "ban":
		reason, _ := args.At(1).Get("reason").Str()
		until, err := ending(args.At(1).Get("seconds"), s.cfg.Now())
		if err != nil {
			c.Reply(nil, err)
			return
		}
		s.ban(c, Ban{UID: uid, Reason: reason, Until: until})
	case "unban":
		s.unban(c, Unban{uid})
	case "banned":
		s.whenRead(c, func() { c.Reply(s.scriptBanned(uid), nil) })
	case "revoke":
		s.revoke(c, Revoke{UID: uid})
	case "issue":
		name, _ := args.At(1).Str()
		until, err := ending(args.At(2), s.cfg.Now())
		if err != nil {
			c.Reply(nil, err)
			return
		}
		issue := Issue{UID: uid, Name: name}
		if !until.IsZero() {
			issue.For = until.Sub(s.cfg.Now())
		}
		v, err := s.issue(issue)
		acc, _ := v.(Account)
		c.Reply(value.Of(acc.Token, acc.Expires.Unix()), err)
	case "link":
		name, _ := args.At(1).Str()
		password, _ := args.At(2).Str()
		s.link(c, Link{uid, name, password})
	default:
		c.Reply(nil, fmt.Errorf("login: %q is no command of the login service: ban, unban, banned, revoke, revoke_token, check, issue, link or maintenance is expected", cmd))
	}
}

// scriptAnswer gives a script what a message from Go is answered by, in the form that it understands.
func scriptAnswer(v any, err error) (any, error) {
	var refused *Error
	switch {
	case errors.As(err, &refused):
		return value.Of(nil, map[string]any{"code": string(refused.Code), "msg": refused.Msg}), nil
	case err != nil:
		return nil, err
	}
	if acc, ok := v.(Account); ok {
		return value.Of(map[string]any{"uid": acc.UID, "name": acc.Name}), nil
	}
	return value.Of(v), nil
}

func (s *Service) scriptToken(c *actor.Context, cmd string, v value.Value) {
	text, ok := v.Str()
	if !ok {
		c.Reply(nil, fmt.Errorf("login: %s: a token is expected, got a %s", cmd, v.Kind()))
		return
	}
	if cmd == "revoke_token" {
		s.revoke(c, Revoke{Token: text})
		return
	}
	s.whenRead(c, func() {
		t, err := s.check(text)
		if err != nil {
			c.Reply(scriptAnswer(nil, err))
			return
		}
		c.Reply(value.Of(map[string]any{"uid": t.UID, "name": t.Name, "expires": t.Expires / 1000}), nil)
	})
}

func (s *Service) scriptBanned(uid string) value.List {
	b := s.book.ban(uid, s.cfg.Now())
	if b == nil {
		return value.Of(nil)
	}
	t := map[string]any{"reason": b.reason, "since": b.since.Unix()}
	if !b.until.IsZero() {
		t["ends"] = b.until.Unix()
	}
	return value.Of(t)
}

// scriptMaintenance asks for it (no argument), ends it (false), or begins it (a table).
func (s *Service) scriptMaintenance(c *actor.Context, args value.List) {
	arg := args.At(0)
	switch {
	case args.Len() == 0 || arg.IsNil():
		u := &s.upkeep
		if !u.shut(s.cfg.Now()) {
			c.Reply(value.Of(nil), nil)
			return
		}
		t := map[string]any{"msg": u.msg}
		if !u.until.IsZero() {
			t["ends"] = u.until.Unix()
		}
		c.Reply(value.Of(t), nil)
	case arg.Kind() == value.Bool && !arg.Bool():
		s.upkeep.set(c, Maintain{})
	case arg.Kind() == value.Table:
		until, err := ending(arg.Get("seconds"), s.cfg.Now())
		if err != nil {
			c.Reply(nil, err)
			return
		}
		m := Maintain{On: true, Until: until, Kick: arg.Get("kick").Bool()}
		m.Msg, _ = arg.Get("msg").Str()
		for _, v := range arg.Get("except").Items {
			uid, err := uidOf(v)
			if err != nil {
				c.Reply(nil, fmt.Errorf("maintenance: except: %w", err))
				return
			}
			m.Except = append(m.Except, uid)
		}
		s.upkeep.set(c, m)
	default:
		c.Reply(nil, fmt.Errorf("login: maintenance: a table, false or nothing is expected, got a %s", arg.Kind()))
	}
}

// uidOf reads a uid, which is a string; an integer is its digits, so that ids of 64 bits stay what they are.
func uidOf(v value.Value) (string, error) {
	uid, ok := v.Str()
	if v.Kind() == value.Int {
		n, _ := v.Int()
		uid, ok = strconv.FormatInt(n, 10), true
	}
	if !ok {
		return "", fmt.Errorf("login: a uid is a string, got a %s", v.Kind())
	}
	return uid, checkUID(uid)
}

// maxEnding is the longest time from now: a century is for ever.
const maxEnding = 100 * 365 * 24 * time.Hour

// ending is the time after so many seconds, zero for nil.
func ending(v value.Value, now time.Time) (time.Time, error) {
	if v.IsNil() {
		return time.Time{}, nil
	}
	n, ok := v.Float()
	if !ok || !(n > 0) || n > maxEnding.Seconds() {
		return time.Time{}, fmt.Errorf("login: seconds are more than 0 and at most %.0f, got %v", maxEnding.Seconds(), v)
	}
	return now.Add(time.Duration(n * float64(time.Second))), nil
}
