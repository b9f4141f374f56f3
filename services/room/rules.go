package room

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/net/rtc"
)

// rules asks a script of the project. It is the unique service of that script, which the launcher starts with the first who comes, and again should it end.
type rules struct {
	script  string
	timeout time.Duration
	absent  map[string]bool // events that the script has no handler for, and hears no more of
}

// Bounds of what a script is shown of a URL, which anybody can make.
const (
	maxParams = 32
	maxParam  = 1 << 10
	maxReason = 256
)

// with gives the script's service, or why there is none.
func (r *rules) with(c *actor.Context, then func(ref actor.Ref, err error)) {
	launcher, ok := c.System().Lookup(lua.LauncherName)
	if !ok {
		then(actor.Ref{}, errors.New("the node has no launcher"))
		return
	}
	// Launch of a unique service that runs is a look into the launcher's table.
	c.AskFor(launcher, lua.Launch{Script: r.script, Unique: true}, r.timeout, func(v any, err error) {
		ref, _ := v.(actor.Ref)
		then(ref, err)
	})
}

// ask has on_publish or on_join decide; then gets nil for yes.
func (r *rules) ask(c *actor.Context, room string, id uint64, a *admission, then func(error)) {
	if r.script == "" {
		then(nil)
		return
	}
	handler := "on_join"
	if a.action == Publish {
		handler = "on_publish"
	}
	failed := func(err error) {
		c.Log().Error("the rules did not decide", "script", r.script, "handler", handler, "room", room, "error", err)
		then(fmt.Errorf("%w: room %s", ErrRules, room))
	}
	r.with(c, func(ref actor.Ref, err error) {
		if err != nil {
			failed(err)
			return
		}
		info := map[string]any{
			"id": int64(id), "protocol": a.entry.Protocol, "addr": a.entry.Addr, "agent": a.entry.Agent[:min(len(a.entry.Agent), maxParam)],
			"query": params(a.entry.Query),
		}
		if a.back {
			info["back"] = true
		}
		if a.post != nil {
			info["node"] = a.post.ref.Node()
		}
		c.AskFor(ref, lua.Command(handler, room, a.who, info), r.timeout, func(v any, err error) {
			if err != nil {
				failed(err)
				return
			}
			list, _ := v.(value.List)
			then(decision(room, list))
		})
	})
}

// decision reads what a handler says: true, or nothing that is, and why not.
func decision(room string, l value.List) error {
	if l.At(0).Bool() {
		return nil
	}
	reason, ok := l.At(1).Str()
	if !ok || reason == "" {
		return fmt.Errorf("%w: room %s", ErrDenied, room)
	}
	return fmt.Errorf("%w: room %s: %s", ErrDenied, room, reason[:min(len(reason), maxReason)])
}

// tell has the script hear of something that it does not decide.
func (r *rules) tell(c *actor.Context, handler string, args ...any) {
	if r.script == "" || r.absent[handler] {
		return
	}
	r.with(c, func(ref actor.Ref, err error) {
		if err != nil {
			c.Log().Warn("the rules were not told", "script", r.script, "handler", handler, "error", err)
			return
		}
		c.AskFor(ref, lua.Command(handler, args...), r.timeout, func(_ any, err error) {
			if none, ok := errors.AsType[*lua.NoHandlerError](err); ok && none.Name == handler {
				r.forget(handler)
				return
			}
			if err != nil {
				c.Log().Warn("the rules failed", "script", r.script, "handler", handler, "error", err)
			}
		})
	})
}

// edit has on_message decide on what a member says: it is passed on as it is for true or nothing, not at all for false, and a text is passed on instead.
func (r *rules) edit(c *actor.Context, room string, m *member, text string, then func(text string, ok bool)) {
	const handler = "on_message"
	r.with(c, func(ref actor.Ref, err error) {
		if err != nil {
			c.Log().Warn("a message was not passed on: the rules were not asked", "script", r.script, "room", room, "error", err)
			then("", false)
			return
		}
		c.AskFor(ref, lua.Command(handler, room, m.Who, text, m.table("")), r.timeout, func(v any, err error) {
			if none, ok := errors.AsType[*lua.NoHandlerError](err); ok && none.Name == handler {
				r.forget(handler)
				then(text, true)
				return
			}
			if err != nil {
				c.Log().Warn("a message was not passed on: the rules failed", "script", r.script, "room", room, "error", err)
				then("", false)
				return
			}
			list, _ := v.(value.List)
			said := list.At(0)
			if other, ok := said.Str(); ok {
				then(other[:min(len(other), rtc.MaxMessage)], true)
				return
			}
			then(text, said.IsNil() || said.Bool())
		})
	})
}

// forget notes that the script has no handler of this name.
func (r *rules) forget(handler string) {
	if r.absent == nil {
		r.absent = map[string]bool{}
	}
	r.absent[handler] = true
}

// params is a URL's query for scripts: the first value of each parameter but the signature.
func params(q url.Values) map[string]any {
	out := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(q)) {
		if key == paramSign || len(key) > maxParam || len(q[key]) == 0 {
			continue
		}
		if len(out) == maxParams {
			break
		}
		out[key] = q[key][0][:min(len(q[key][0]), maxParam)]
	}
	return out
}
