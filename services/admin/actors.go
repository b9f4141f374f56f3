package admin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

// askTimeout is how long an actor may take to tell of itself.
const askTimeout = 3 * time.Second

// maxStacks bounds the waiting handlers that are listed, and maxStack the text of each stack.
const (
	maxStacks = 100
	maxStack  = 8 << 10
)

// Actor is what an actor of the node does. The counters are since it was spawned.
type Actor struct {
	ID          string `json:"id" doc:"Its address: hexadecimal digits, by which it is asked for."`
	Name        string `json:"name,omitempty"`
	Kind        string `json:"kind,omitempty" doc:"lua:SCRIPT for a service of a script."`
	Parent      string `json:"parent,omitempty" doc:"Id of who has spawned it."`
	Waiting     int    `json:"waiting" doc:"Messages that wait."`
	MostWaiting int    `json:"most_waiting" doc:"Messages that waited at once, at most."`
	Processed   uint64 `json:"processed" doc:"Messages that were handled."`
	Dropped     uint64 `json:"dropped" doc:"Messages that a bounded mailbox has dropped."`
	BusyMicros  int64  `json:"busy_us" doc:"Time in handlers, in microseconds."`
	State       string `json:"state" enum:"alive,restarting,stopping,quarantined"`
}

// ActorPage is some of the actors.
type ActorPage struct {
	Actors []Actor `json:"actors"`
	Total  int     `json:"total" doc:"How many match, on all pages."`
	Next   string  `json:"next,omitempty" doc:"Cursor of the next page; none on the last."`
}

// ActorDetail is an actor from near.
type ActorDetail struct {
	Actor
	// Asked is set if the actor was asked; Busy says then why it has not answered.
	Memory   int64     `json:"memory_bytes,omitempty" doc:"Of the script's VM, which it may share."`
	Handlers []Waiting `json:"handlers,omitempty" doc:"Handlers of a script that wait for something, up to 100."`
	Busy     string    `json:"busy,omitempty" doc:"Why the actor did not tell of itself within 3 s."`
	Stack    string    `json:"stack,omitempty" doc:"Where in Go it has been for so long."`
	LuaStack string    `json:"lua_stack,omitempty" doc:"Where in the script it is, if it is not in a function of Go."`
}

// Waiting is a handler that waits.
type Waiting struct {
	Name  string `json:"name"`
	Stack string `json:"stack"`
}

// Reason is why something is ended.
type Reason struct {
	Reason string `json:"reason,omitempty" doc:"Why, for logs and whoever is told."`
}

// Nothing is the answer to a change that has nothing to say.
type Nothing struct{}

func (s *Server) actorRoutes() []route {
	one := &param{name: "id", doc: "An actor's id, or its name."}
	list := append(pageParams(),
		param{name: "prefix", kind: "string", doc: "Only those whose name or kind begins so."},
		param{name: "parent", kind: "string", doc: "Only those that this one has spawned."},
		param{name: "sort", kind: "string", options: []string{"id", "waiting", "processed", "busy"}, doc: "The largest first; cursors are for id, the default, only."})
	return []route{
		{method: http.MethodGet, path: "/actors", id: "actors", role: View, summary: "The actors of the node", query: list, answer: ActorPage{}, serve: s.listActors},
		{method: http.MethodGet, path: "/actors/{id}", id: "actor", role: View, summary: "One actor", path1: one, answer: ActorDetail{}, serve: s.oneActor},
		{
			method: http.MethodGet, path: "/services", id: "services", role: View, summary: "The actors that have a name", query: pageParams()[:1], answer: ActorPage{},
			serve: func(q *query) (any, error) {
				return s.page(q.number["limit"], 0, "id", func(i *actor.Info) bool { return i.Name != "" }), nil
			},
		},
		{
			method: http.MethodPost, path: "/actors/{id}/kill", id: "kill", role: Operate, summary: "End an actor after the message that it handles, and its children with it", path1: one,
			body: Reason{}, answer: Nothing{}, serve: s.kill,
		},
	}
}

func actorOf(i *actor.Info) Actor {
	a := Actor{
		ID: idText(i.Ref), Name: i.Name, Kind: i.Kind, Waiting: i.Waiting, MostWaiting: i.MostWaiting, Processed: i.Processed, Dropped: i.Dropped,
		BusyMicros: i.Busy.Microseconds(), State: "alive",
	}
	if !i.Parent.IsZero() {
		a.Parent = idText(i.Parent)
	}
	switch {
	case i.Stopping:
		a.State = "stopping"
	case i.Restarting:
		a.State = "restarting"
	case i.Quarantined:
		a.State = "quarantined"
	}
	return a
}

func idText(r actor.Ref) string { return strconv.FormatUint(r.ID(), 16) }

func parseID(text string) (uint64, bool) {
	id, err := strconv.ParseUint(text, 16, 64)
	return id, err == nil && id > 0 && id <= actor.MaxID
}

// find is the actor that a text means: a name or an id. A name that looks like an id is a name.
func (s *Server) find(text string) (actor.Info, error) {
	ref, ok := s.API.System.Lookup(text)
	if !ok {
		id, isID := parseID(text)
		if !isID {
			return actor.Info{}, failure(codeNotFound, "no actor is called %q, and it is no id", clip(text))
		}
		ref = s.API.System.RefOf(id)
	}
	info, ok := s.API.System.Inspect(ref)
	if !ok {
		return actor.Info{}, failure(codeNotFound, "there is no actor %q on this node", clip(text))
	}
	return info, nil
}

func (s *Server) listActors(q *query) (any, error) {
	after, by, parent := uint64(0), cmp.Or(q.text["sort"], "id"), actor.Ref{}
	if text := q.text["cursor"]; text != "" {
		var ok bool
		if after, ok = parseID(text); !ok || by != "id" {
			return nil, failure(codeBad, "cursor: expected next of a page that is sorted by id")
		}
	}
	if text := q.text["parent"]; text != "" {
		info, err := s.find(text)
		if err != nil {
			return nil, err
		}
		parent = info.Ref
	}
	prefix := q.text["prefix"]
	return s.page(q.number["limit"], after, by, func(i *actor.Info) bool {
		return (strings.HasPrefix(i.Name, prefix) || strings.HasPrefix(i.Kind, prefix)) && (parent.IsZero() || i.Parent == parent)
	}), nil
}

// page has up to limit of the actors that match, those behind an id. It keeps twice as many at most while it looks at all.
func (s *Server) page(limit int, after uint64, by string, match func(*actor.Info) bool) ActorPage {
	first := func(a, b actor.Info) int {
		less := 0
		switch by {
		case "waiting":
			less = cmp.Compare(b.Waiting, a.Waiting)
		case "processed":
			less = cmp.Compare(b.Processed, a.Processed)
		case "busy":
			less = cmp.Compare(b.Busy, a.Busy)
		}
		return cmp.Or(less, cmp.Compare(a.Ref.ID(), b.Ref.ID()))
	}
	p, kept, left := ActorPage{Actors: []Actor{}}, make([]actor.Info, 0, 2*limit), 0
	for i := range s.API.System.Actors() {
		if !match(&i) {
			continue
		}
		p.Total++
		if i.Ref.ID() <= after {
			continue
		}
		left++
		if kept = append(kept, i); len(kept) == cap(kept) {
			slices.SortFunc(kept, first)
			kept = kept[:limit]
		}
	}
	slices.SortFunc(kept, first)
	kept = kept[:min(len(kept), limit)]
	for i := range kept {
		p.Actors = append(p.Actors, actorOf(&kept[i]))
	}
	if left > len(kept) && by == "id" {
		p.Next = p.Actors[len(p.Actors)-1].ID
	}
	return p
}

// oneActor tells of one from near. A script is asked, for 3 s at most.
func (s *Server) oneActor(q *query) (any, error) {
	info, err := s.find(q.path1)
	if err != nil {
		return nil, err
	}
	d := ActorDetail{Actor: actorOf(&info)}
	if !strings.HasPrefix(info.Kind, lua.KindPrefix) {
		s.stuck(&d, info.Ref)
		return d, nil
	}
	ctx, cancel := context.WithTimeout(q.r.Context(), askTimeout)
	defer cancel()
	if err := s.askScript(ctx, info.Ref, &d); err != nil {
		d.Busy = err.Error()
		s.stuck(&d, info.Ref)
	}
	return d, nil
}

// stuck says since when an actor is in one handler, if it is.
func (s *Server) stuck(d *ActorDetail, ref actor.Ref) {
	since, stack, ok := s.API.System.Stuck(ref)
	if !ok {
		return
	}
	d.Busy, d.Stack = "busy in one handler since "+since.UTC().Format(time.RFC3339), clipTo(stack, maxStack)
	d.LuaStack = clipTo(s.where(context.Background(), ref), maxStack)
}

// askScript has a service of a script tell its memory and what waits in it, by the commands of Skynet's console.
func (s *Server) askScript(ctx context.Context, ref actor.Ref, d *ActorDetail) error {
	memory, err := s.debug(ctx, ref, "MEM")
	if err != nil {
		return err
	}
	if kb, ok := memory.Float(); ok {
		d.Memory = int64(kb * 1024)
	}
	tasks, err := s.debug(ctx, ref, "TASK")
	if err != nil {
		return err
	}
	for name, stack := range tasks.Pairs {
		key, _ := name.Str()
		text, _ := stack.Str()
		d.Handlers = append(d.Handlers, Waiting{Name: key, Stack: clipTo(text, maxStack)})
		if len(d.Handlers) == maxStacks {
			break
		}
	}
	slices.SortFunc(d.Handlers, func(a, b Waiting) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

func (s *Server) debug(ctx context.Context, ref actor.Ref, command string) (value.Value, error) {
	answer, err := s.API.System.Ask(ctx, ref, lua.Message{Type: lua.TypeDebug, Args: value.Of(command)})
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, actor.ErrDeadline) {
			return value.Value{}, failure(codeBusy, "no answer within %v", askTimeout)
		}
		return value.Value{}, err
	}
	list, ok := answer.(value.List)
	if !ok {
		return value.Value{}, failure(codeFailed, "the answer is no list")
	}
	return list.At(0), nil
}

func (s *Server) kill(q *query) (any, error) {
	info, err := s.find(q.path1)
	if err != nil {
		return nil, err
	}
	why := q.body.(*Reason).Reason //nolint:forcetypeassert // what the route says
	q.detail = why
	s.API.System.Kill(info.Ref, errors.New(cmp.Or(why, "killed by "+q.who.Name)))
	return Nothing{}, nil
}

func clipTo(text string, most int) string {
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}
