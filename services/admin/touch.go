package admin

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

const (
	// maxAnswer bounds the text of what a script answers.
	maxAnswer = 64 << 10
	// snaxScript runs snax services.
	snaxScript = "snaxd"
)

// Call is what a service of a script is asked. Args or Lua has the arguments, not both.
type Call struct {
	Type string            `json:"type,omitempty" doc:"Protocol of the message: lua, the default, text, client or debug."`
	Args []json.RawMessage `json:"args,omitempty" doc:"The arguments as JSON. Integers stay integers of 64 bits; null is nil."`
	Lua  string            `json:"lua,omitempty" doc:"The arguments as Lua writes them, such as 'set', {x = 1}."`
}

// CallAnswer is what it answers.
type CallAnswer struct {
	Values []any  `json:"values" doc:"As JSON: tables are arrays if they have a list only, else objects, numbers that JSON has not are strings."`
	Text   string `json:"text" doc:"As Lua writes them, up to 64 KiB."`
	Micros int64  `json:"took_us"`
}

// Injection is code for a service.
type Injection struct {
	Source string            `json:"source" doc:"Its text. It finds the upvalues of the service's handlers in _U, and those of each protocol in _P, as in Skynet."`
	Name   string            `json:"name,omitempty" doc:"What errors call it."`
	Args   []json.RawMessage `json:"args,omitempty"`
}

// Injected is what became of it.
type Injected struct {
	Output string `json:"output" doc:"What it has printed, up to 64 KiB."`
	Micros int64  `json:"took_us"`
}

// Launch is a service to be started.
type Launch struct {
	Script string            `json:"script"`
	Args   []json.RawMessage `json:"args,omitempty"`
	Lua    string            `json:"lua,omitempty" doc:"The arguments as Lua writes them, instead."`
	Snax   bool              `json:"snax,omitempty" doc:"Whether it is a snax service."`
}

// Launched is the service that was started.
type Launched struct {
	ID string `json:"id"`
}

// Waiting is a handler that waits.
type Waiting struct {
	Name  string `json:"name" doc:"Its coroutine, and the session that it waits for."`
	Stack string `json:"stack"`
}

// Tasks are the handlers of a script that wait.
type Tasks struct {
	Handlers []Waiting `json:"handlers" doc:"Up to 100."`
	Stuck
}

// touchRoutes are about services of scripts.
func (s *Server) touchRoutes() []route {
	one := &param{name: "id", doc: "An actor's id, its name, or a script that no other one runs."}
	return []route{
		{method: http.MethodGet, path: "/actors/{id}/tasks", id: "tasks", role: View, summary: "What each handler of a script waits for", path1: one, answer: Tasks{}, serve: s.tasks},
		{
			method: http.MethodPost, path: "/actors/{id}/call", id: "call", role: Operate, summary: "Ask a service of a script, as skynet.call does", path1: one, body: Call{}, answer: CallAnswer{},
			serve: s.call,
		},
		{
			method: http.MethodPost, path: "/actors/{id}/inject", id: "inject", role: Admin, summary: "Run code inside of a service of a script, as the command inject of Skynet's console does", path1: one, body: Injection{},
			answer: Injected{}, serve: s.inject,
		},
		{
			method: http.MethodPost, path: "/services", id: "start", role: Operate, summary: "Start a service of a script", body: Launch{}, answer: Launched{}, serve: s.start,
		},
	}
}

// script is the service of a script that a text means.
func (s *Server) script(text string) (actor.Info, error) {
	info, err := s.find(text)
	if err == nil && !strings.HasPrefix(info.Kind, lua.KindPrefix) {
		err = failure(codeBad, "%s is no service of a script: its kind is %q", clip(text), info.Kind)
	}
	return info, err
}

// debug has a service of a script do a command of Skynet's debug protocol.
func (s *Server) debug(ctx context.Context, ref actor.Ref, args value.List) (value.List, error) {
	return s.ask(ctx, ref, lua.Message{Type: lua.TypeDebug, Args: args})
}

// ask asks a service of a script, for askTimeout at most.
func (s *Server) ask(ctx context.Context, ref actor.Ref, m lua.Message) (value.List, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer, err := s.API.System.Ask(ctx, ref, m)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, actor.ErrDeadline) {
			return value.List{}, failure(codeBusy, "no answer within %v", askTimeout)
		}
		return value.List{}, err
	}
	switch answer := answer.(type) {
	case nil:
		return value.List{}, nil
	case value.List:
		return answer, nil
	case lua.Bytes:
		return value.Of(string(answer)), nil
	}
	return value.List{}, failure(codeFailed, "the answer is a %T, which is no list", answer)
}

// handlers are what waits in a service.
func (s *Server) handlers(ctx context.Context, ref actor.Ref) ([]Waiting, error) {
	tasks, err := s.debug(ctx, ref, value.Of("TASK"))
	if err != nil {
		return nil, err
	}
	found := []Waiting{}
	for name, stack := range tasks.At(0).Pairs {
		key, _ := name.Str()
		text, _ := stack.Str()
		found = append(found, Waiting{Name: key, Stack: clipTo(text, maxStack)})
		if len(found) == maxStacks {
			break
		}
	}
	slices.SortFunc(found, func(a, b Waiting) int { return cmp.Compare(a.Name, b.Name) })
	return found, nil
}

func (s *Server) tasks(q *query) (any, error) {
	info, err := s.script(q.path1)
	if err != nil {
		return nil, err
	}
	t := Tasks{Handlers: []Waiting{}}
	found, err := s.handlers(q.r.Context(), info.Ref)
	if err != nil {
		t.Stuck = s.stuck(info.Ref, err)
		return t, nil
	}
	t.Handlers = found
	return t, nil
}

// call asks a service as skynet.call does. What it asks by is what the audit log keeps.
func (s *Server) call(q *query) (any, error) {
	info, err := s.script(q.path1)
	if err != nil {
		return nil, err
	}
	b := q.body.(*Call) //nolint:forcetypeassert // what the route says
	args, err := arguments(b.Args, b.Lua)
	if err != nil {
		return nil, err
	}
	m := lua.Message{Args: args}
	switch cmp.Or(b.Type, "lua") {
	case "lua":
		m.Type = lua.TypeLua
	case "debug":
		m.Type = lua.TypeDebug
	case "client":
		m.Type = lua.TypeClient
	case "text":
		m.Type, m.Raw = lua.TypeText, true
		if _, ok := args.At(0).Str(); !ok || args.Len() != 1 {
			return nil, failure(codeBad, "args: a message of type text is one string")
		}
	default:
		return nil, failure(codeBad, "type: found %q, expected lua, text, client or debug", clip(b.Type))
	}
	q.detail = m.MessageType()
	begun := time.Now()
	answer, err := s.ask(q.r.Context(), info.Ref, m)
	if err != nil {
		return nil, s.blame(info.Ref, err)
	}
	return answerOf(answer, time.Since(begun)), nil
}

// inject has a service run code. The audit log has the name of the code and the hash of its text.
func (s *Server) inject(q *query) (any, error) {
	info, err := s.script(q.path1)
	if err != nil {
		return nil, err
	}
	b := q.body.(*Injection) //nolint:forcetypeassert // what the route says
	if b.Source == "" {
		return nil, failure(codeBad, "source: expected the text of a script")
	}
	args, err := arguments(b.Args, "")
	if err != nil {
		return nil, err
	}
	name := cmp.Or(b.Name, "inject")
	q.detail = fmt.Sprintf("%s sha256:%x", clip(name), sha256.Sum256([]byte(b.Source)))
	all := []any{"RUN", b.Source, name}
	for i := range args.Len() {
		all = append(all, args.At(i))
	}
	begun := time.Now()
	answer, err := s.debug(q.r.Context(), info.Ref, value.Of(all...))
	if err != nil {
		return nil, s.blame(info.Ref, err)
	}
	output, _ := answer.At(1).Str()
	if !answer.At(0).Bool() {
		return nil, failure(codeFailed, "%s", cut(output, maxStack))
	}
	return Injected{Output: cut(output, maxAnswer), Micros: time.Since(begun).Microseconds()}, nil
}

// blame says with an error of an actor what holds it up, if that is known.
func (s *Server) blame(ref actor.Ref, err error) error {
	if e := callError(err); e.Code == codeBusy {
		if stuck := s.stuck(ref, nil); stuck.Busy != "" {
			return failure(codeBusy, "%s: it is %s", e.Message, stuck.Busy)
		}
		if aside, is := s.API.System.InQuarantine()[ref]; is {
			return failure(codeBusy, "%s: it is in quarantine since %s: %v", e.Message, aside.Since.UTC().Format(time.RFC3339), aside.Reason)
		}
		return failure(codeBusy, "%s: its handler waits, or others are before it", e.Message)
	}
	var script *lua.Error
	if errors.As(err, &script) && script.Traceback != "" {
		return failure(codeFailed, "%s\n%s", script.Message, clipTo(script.Traceback, maxStack))
	}
	return err
}

func answerOf(list value.List, took time.Duration) CallAnswer {
	a := CallAnswer{Values: []any{}, Micros: took.Microseconds()}
	room := maxAnswer
	for i := range list.Len() {
		a.Values = append(a.Values, jsonOf(list.At(i), &room))
	}
	a.Text = textOf(list, maxAnswer)
	return a
}

// start starts a service as skynet.newservice does.
func (s *Server) start(q *query) (any, error) {
	b := q.body.(*Launch) //nolint:forcetypeassert // what the route says
	args, err := arguments(b.Args, b.Lua)
	if err != nil {
		return nil, err
	}
	launcher, ok := s.API.System.Lookup(lua.LauncherName)
	if !ok {
		return nil, failure(codeNotFound, "this node starts no scripts")
	}
	if b.Script == "" {
		return nil, failure(codeBad, "script: expected the name of a script")
	}
	m := lua.Launch{Script: b.Script, Args: args}
	q.detail = clip(b.Script)
	if b.Snax {
		more := []any{b.Script, "init"}
		for i := range args.Len() {
			more = append(more, args.At(i))
		}
		m.Script, m.Args = snaxScript, value.Of(more...)
	}
	ctx, cancel := context.WithTimeout(q.r.Context(), askTimeout)
	defer cancel()
	answer, err := s.API.System.Ask(ctx, launcher, m)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, actor.ErrDeadline) {
		return nil, failure(codeBusy, "its start function has not returned within %v; it may be there later", askTimeout)
	}
	if err != nil {
		return nil, s.blame(launcher, err)
	}
	ref, ok := answer.(actor.Ref)
	if !ok {
		return nil, failure(codeFailed, "the launcher answers with a %T", answer)
	}
	return Launched{ID: ActorID(ref)}, nil
}

// arguments are those of a call, given as JSON or as Lua writes them.
func arguments(given []json.RawMessage, text string) (value.List, error) {
	if text != "" {
		if len(given) > 0 {
			return value.List{}, failure(codeBad, "args and lua: expected one of them")
		}
		list, err := parseLiterals(text)
		if err != nil {
			return list, failure(codeBad, "lua: %v", err)
		}
		return list, nil
	}
	values := make([]any, 0, len(given))
	for i, raw := range given {
		v, err := goOf(raw)
		if err != nil {
			return value.List{}, failure(codeBad, "args[%d]: %v", i, err)
		}
		values = append(values, v)
	}
	var b value.Builder
	for i, v := range values {
		if err := b.Any(v); err != nil {
			return value.List{}, failure(codeBad, "args[%d]: %v", i, err)
		}
	}
	return b.List(), nil
}

// goOf reads a value of JSON, whose integers stay exact.
func goOf(raw json.RawMessage) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return exact(v)
}

func exact(v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, fmt.Errorf("%s: expected a number that Lua has", clip(v.String()))
		}
		return f, nil
	case []any:
		for i := range v {
			var err error
			if v[i], err = exact(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			var err error
			if v[k], err = exact(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}
