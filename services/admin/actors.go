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

// askTimeout is how long an actor may take to tell of itself, so that every answer is there within 3 s; killTimeout how long one may take to end until that is said of it.
const (
	askTimeout  = 2500 * time.Millisecond
	killTimeout = time.Second
)

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
	Paged
}

// ActorDetail is an actor from near.
type ActorDetail struct {
	Actor
	// Asked is set if the actor was asked; Busy says then why it has not answered.
	Memory    int64     `json:"memory_bytes,omitempty" doc:"Of the script's VM, which it may share."`
	Handlers  []Waiting `json:"handlers,omitempty" doc:"Handlers of a script that wait for something, up to 100."`
	LastError *Failure  `json:"last_error,omitempty" doc:"The last error that it has logged."`
	Rates     *Rates    `json:"rates,omitempty" doc:"If over was given."`
	Stuck
}

// Rates are what an actor did for a moment.
type Rates struct {
	Messages float64 `json:"messages_per_second"`
	Busy     float64 `json:"busy_share" doc:"Time in handlers, as a share of one core's."`
	Handler  int64   `json:"handler_us" doc:"Time of a message in its handler, in microseconds, waits left out; 0 if none was handled."`
}

// Stuck is what holds an actor up.
type Stuck struct {
	Busy  string `json:"busy,omitempty" doc:"Why the actor did not answer within 2.5 s."`
	Stack string `json:"stack,omitempty" doc:"Where in Go it has been for so long."`
	// LuaStack is empty for an actor in Go, and for a script that is in a function of Go.
	LuaStack string `json:"lua_stack,omitempty" doc:"Where in the script it is, if it is not in a function of Go."`
}

// Failure is an error that an actor has logged.
type Failure struct {
	Time      time.Time `json:"time"`
	Message   string    `json:"message" doc:"What the log says has failed."`
	Error     string    `json:"error,omitempty"`
	Traceback string    `json:"traceback,omitempty"`
}

// Killed is the answer to a kill.
type Killed struct {
	Ended bool `json:"ended" doc:"Whether it has ended within 1 s; if not it is to end after the message that it handles."`
	Stuck
}

// Reason is why something is ended.
type Reason struct {
	Reason string `json:"reason,omitempty" doc:"Why, for logs and whoever is told."`
}

// Nothing is the answer to a change that has nothing to say.
type Nothing struct{}

func (s *Server) actorRoutes() []route {
	one := &param{name: "id", doc: "An actor's id, its name, or a script that no other one runs."}
	list := append(pageParams(),
		param{name: "prefix", kind: "string", doc: "Only those whose name or kind begins so."},
		param{name: "parent", kind: "string", doc: "Only those that this one has spawned."},
		param{name: "sort", kind: "string", options: []string{"id", "waiting", "processed", "busy"}, doc: "The largest first; cursors are for id, the default, only."})
	return []route{
		{method: http.MethodGet, path: "/actors", id: "actors", role: View, summary: "The actors of the node", query: list, answer: ActorPage{}, serve: s.listActors},
		{method: http.MethodGet, path: "/actors/{id}", id: "actor", role: View, summary: "One actor", path1: one, answer: ActorDetail{}, serve: s.oneActor, query: over()},
		{
			method: http.MethodGet, path: "/services", id: "services", role: View, summary: "The actors that have a name", query: pageParams()[:1], answer: ActorPage{},
			serve: func(q *query) (any, error) {
				return s.page(q.number["limit"], 0, "id", func(i *actor.Info) bool { return i.Name != "" }), nil
			},
		},
		{
			method: http.MethodPost, path: "/actors/{id}/kill", id: "kill", role: Operate, summary: "End an actor after the message that it handles, and its children with it", path1: one,
			body: Reason{}, answer: Killed{}, serve: s.kill,
		},
	}
}

// over is for how long rates are measured.
func over() []param {
	return []param{{name: "over", kind: "integer", most: maxWait, def: 1, doc: "For how many milliseconds to look at it for its rates; below 100 they are left out."}}
}

// rates measures what an actor does; nil if nobody has asked for that, or it has ended meanwhile.
func (s *Server) rates(q *query, before *actor.Info) *Rates {
	const least = 100
	over := time.Duration(q.number["over"]) * time.Millisecond
	if over < least*time.Millisecond {
		return nil
	}
	begun, wait := time.Now(), time.NewTimer(over)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-q.r.Context().Done():
	}
	now, ok := s.API.System.Inspect(before.Ref)
	if !ok {
		return nil
	}
	passed, n, busy := time.Since(begun).Seconds(), now.Processed-before.Processed, now.Busy-before.Busy
	r := &Rates{Messages: float64(n) / passed, Busy: busy.Seconds() / passed}
	if n > 0 {
		r.Handler = busy.Microseconds() / int64(n)
	}
	return r
}

func actorOf(i *actor.Info) Actor {
	a := Actor{
		ID: ActorID(i.Ref), Name: i.Name, Kind: i.Kind, Waiting: i.Waiting, MostWaiting: i.MostWaiting, Processed: i.Processed, Dropped: i.Dropped,
		BusyMicros: i.Busy.Microseconds(), State: "alive",
	}
	if !i.Parent.IsZero() {
		a.Parent = ActorID(i.Parent)
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

// ActorID is how an actor is called in the API.
func ActorID(r actor.Ref) string { return strconv.FormatUint(r.ID(), 16) }

func parseID(text string) (uint64, bool) {
	id, err := strconv.ParseUint(text, 16, 64)
	return id, err == nil && id > 0 && id <= actor.MaxID
}

// addressDigits are at least those of an address as the log writes it: shorter ones behind a colon are part of a name that nobody has.
const addressDigits = 8

// find is the actor that a text means: a name, an id, or the script that it is the only one to run, in this order. The log and lists call actors shop:0100001a, :0100001a and lua:shop: what is
// copied from there is understood.
func (s *Server) find(text string) (actor.Info, error) {
	sys := s.API.System
	ref, named := sys.Lookup(text)
	script, id, isID := text, uint64(0), false
	kind, address, has := strings.Cut(text, ":")
	switch {
	case !has:
		id, isID = parseID(text)
	case kind+":" == lua.KindPrefix:
		script = address
	case len(address) >= addressDigits:
		id, isID = parseID(address)
	}
	if !named && isID {
		ref = sys.RefOf(id)
	}
	if info, ok := sys.Inspect(ref); ok {
		return info, nil
	}
	of, running := actor.Info{}, 0
	for i := range sys.Actors() {
		if i.Kind == lua.KindPrefix+script {
			of, running = i, running+1
		}
	}
	switch {
	case running == 1:
		return of, nil
	case running > 1:
		return actor.Info{}, failure(codeConflict, "%d actors run the script %q: say which by its id", running, clip(script))
	case named || isID:
		return actor.Info{}, failure(codeNotFound, "there is no actor %q on this node", clip(text))
	}
	return actor.Info{}, failure(codeNotFound, "no actor is called %q, none runs a script of this name, and it is no id", clip(text))
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
	kept, total := make([]actor.Info, 0, 2*(limit+1)), 0
	for i := range s.API.System.Actors() {
		if !match(&i) {
			continue
		}
		total++
		if i.Ref.ID() <= after {
			continue
		}
		if kept = append(kept, i); len(kept) == cap(kept) {
			slices.SortFunc(kept, first)
			kept = kept[:limit+1]
		}
	}
	slices.SortFunc(kept, first)
	kept, p := paged(kept[:min(len(kept), limit+1)], total, limit, func(i *actor.Info) string { return ActorID(i.Ref) })
	if by != "id" {
		p.Next = ""
	}
	found := make([]Actor, len(kept))
	for i := range kept {
		found[i] = actorOf(&kept[i])
	}
	return ActorPage{found, p}
}

// oneActor tells of one from near. A script is asked while its rates are measured, so that both take no longer than one.
func (s *Server) oneActor(q *query) (any, error) {
	info, err := s.find(q.path1)
	if err != nil {
		return nil, err
	}
	measured := make(chan *Rates, 1)
	go func() { measured <- s.rates(q, &info) }()
	d := s.detail(q, &info)
	d.Rates = <-measured
	return d, nil
}

// detail is what an actor tells of itself, and what is known of it.
func (s *Server) detail(q *query, info *actor.Info) ActorDetail {
	d := ActorDetail{Actor: actorOf(info), LastError: s.API.Log.failureOf(info)}
	if !strings.HasPrefix(info.Kind, lua.KindPrefix) {
		d.Stuck = s.stuck(info.Ref, nil)
		return d
	}
	ctx, cancel := context.WithTimeout(q.r.Context(), askTimeout)
	defer cancel()
	if err := s.askScript(ctx, info.Ref, &d); err != nil {
		d.Stuck = s.stuck(info.Ref, err)
	}
	return d
}

// stuck says since when an actor is in one handler, if it is, and else why it has not answered, if anything.
func (s *Server) stuck(ref actor.Ref, why error) Stuck {
	since, stack, ok := s.API.System.Stuck(ref)
	switch {
	case ok:
		script := s.where(context.Background(), []actor.Ref{ref}, whereLeft)[0]
		return Stuck{Busy: "busy in one handler since " + since.UTC().Format(time.RFC3339), Stack: clipTo(stack, maxStack), LuaStack: clipTo(script, maxStack)}
	case why != nil:
		return Stuck{Busy: why.Error()}
	}
	return Stuck{}
}

// askScript has a service of a script tell its memory and what waits in it, by the commands of Skynet's console.
func (s *Server) askScript(ctx context.Context, ref actor.Ref, d *ActorDetail) error {
	memory, err := s.debug(ctx, ref, value.Of("MEM"))
	if err != nil {
		return err
	}
	if kb, ok := memory.At(0).Float(); ok {
		d.Memory = int64(kb * 1024)
	}
	d.Handlers, err = s.handlers(ctx, ref)
	return err
}

func (s *Server) kill(q *query) (any, error) {
	info, err := s.find(q.path1)
	if err != nil {
		return nil, err
	}
	if nodesOwn(&info) {
		return nil, failure(codeBad, "%s is one of the node's own services, with which it would end, and nothing be saved: drain the node and stop its process", clip(q.path1))
	}
	why := q.body.(*Reason).Reason //nolint:forcetypeassert // what the route says
	q.detail = why
	ended := s.API.System.Ended(info.Ref)
	s.API.System.Kill(info.Ref, errors.New(cmp.Or(why, "killed by "+q.who.Name)))
	wait := time.NewTimer(killTimeout)
	defer wait.Stop()
	select {
	case <-ended:
		return Killed{Ended: true}, nil
	case <-q.r.Context().Done():
	case <-wait.C:
	}
	return Killed{Stuck: s.stuck(info.Ref, errors.New("it has not ended within "+killTimeout.String()))}, nil
}

// nodesOwn tells whether an actor is a service that the node was started with, and can't do without.
func nodesOwn(info *actor.Info) bool { return info.Name != "" && info.Parent.IsZero() }

func clipTo(text string, most int) string {
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}
