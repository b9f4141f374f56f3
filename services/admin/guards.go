package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
)

// Scripts is what operators do to services while they run. It is a lua.Runtime.
type Scripts interface {
	// Where is the Lua stack of what runs in a service, until ctx ends.
	Where(ctx context.Context, sys *actor.System, of actor.Ref) (string, error)
	// Interrupt ends the handler that runs in a service with an error.
	Interrupt(ctx context.Context, sys *actor.System, of actor.Ref, why string) error
	// Profile watches a service until ctx ends.
	Profile(ctx context.Context, sys *actor.System, of actor.Ref) (samples []lua.Sample, every time.Duration, err error)
}

// StuckActor is one that is in one handler for long.
type StuckActor struct {
	ID       string    `json:"id"`
	Name     string    `json:"name,omitempty"`
	Kind     string    `json:"kind,omitempty"`
	Since    time.Time `json:"since" doc:"At least."`
	Waiting  int       `json:"waiting" doc:"Messages that wait meanwhile."`
	LuaStack string    `json:"lua_stack,omitempty" doc:"Where the script is; empty for an actor in Go, and for a script that is in a long function of Go."`
	GoStack  string    `json:"go_stack,omitempty"`
}

const (
	// maxStuck bounds those that are told of at once, and whereTimeout the time that their scripts, which are all asked at once, may take to say where they are. One that computes says it
	// within milliseconds, but on a machine whose cores have too much to do, which is when scripts get stuck, that may be a second.
	maxStuck     = 20
	whereTimeout = 1500 * time.Millisecond
	// whereLeft is what there is left for that behind askTimeout.
	whereLeft = 250 * time.Millisecond
	// signalTimeout bounds the wait for the end of a handler.
	signalTimeout = askTimeout
)

func (s *Server) guardRoutes() []route {
	all := []route{{
		method: http.MethodGet, path: "/stuck", id: "stuck", role: View, summary: "The actors that are in one handler for more than 5 s, up to 20, with their stacks", answer: []StuckActor{}, serve: s.stuckActors,
	}}
	one := &param{name: "id", doc: "An actor's id, its name, or a script that no other one runs."}
	all = append(all,
		route{method: http.MethodGet, path: "/quarantine", id: "quarantined", role: View, summary: "The actors in quarantine, with their first messages", answer: []Aside{}, serve: s.quarantined},
		route{
			method: http.MethodPost, path: "/actors/{id}/quarantine", id: "quarantine", role: Operate, summary: "Have an actor handle nothing until it is released; its messages are kept",
			path1: one, body: Reason{}, answer: Stuck{}, serve: s.quarantine,
		},
		route{
			method: http.MethodPost, path: "/actors/{id}/release", id: "release", role: Operate, summary: "Let an actor in quarantine go on with the messages that were kept",
			path1: one, body: Reason{}, answer: Stuck{}, serve: s.release,
		})
	if s.API.Scripts != nil {
		all = append(all, route{
			method: http.MethodPost, path: "/actors/{id}/signal", id: "signal", role: Operate, summary: "End the handler that a script is in for long with an error; the service lives on",
			path1: one, body: Reason{}, answer: Nothing{}, serve: s.signal,
		})
	}
	return all
}

// stuckActors tells of them, those that have been stuck for longest first.
func (s *Server) stuckActors(q *query) (any, error) {
	found := s.API.System.StuckActors()
	refs := make([]actor.Ref, 0, len(found))
	for ref := range found {
		refs = append(refs, ref)
	}
	slices.SortFunc(refs, func(a, b actor.Ref) int { return found[a].Compare(found[b]) })
	refs = refs[:min(len(refs), maxStuck)]
	scripts := s.where(q.r.Context(), refs, whereTimeout)
	all := []StuckActor{}
	for i, ref := range refs {
		info, alive := s.API.System.Inspect(ref)
		since, stack, still := s.API.System.Stuck(ref)
		if !alive || !still {
			continue
		}
		all = append(all, StuckActor{
			ID: ActorID(ref), Name: info.Name, Kind: info.Kind, Since: since.UTC(), Waiting: info.Waiting, LuaStack: clipTo(scripts[i], maxStack), GoStack: clipTo(stack, maxStack),
		})
	}
	return all, nil
}

// where are the Lua stacks of scripts that run, or nothing.
func (s *Server) where(ctx context.Context, refs []actor.Ref, within time.Duration) []string {
	stacks := make([]string, len(refs))
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var asked sync.WaitGroup
	for i, ref := range refs {
		if info, alive := s.API.System.Inspect(ref); alive && s.API.Scripts != nil && strings.HasPrefix(info.Kind, lua.KindPrefix) {
			asked.Go(func() { stacks[i] = s.whereOne(ctx, ref) })
		}
	}
	asked.Wait()
	return stacks
}

func (s *Server) whereOne(ctx context.Context, ref actor.Ref) string {
	where, err := s.API.Scripts.Where(ctx, s.API.System, ref)
	if err != nil {
		return "" // it is in Go
	}
	return where
}

func (s *Server) signal(q *query) (any, error) {
	info, err := s.find(q.path1)
	if err != nil {
		return nil, err
	}
	why := q.body.(*Reason).Reason //nolint:forcetypeassert // what the route says
	q.detail = why
	if why == "" {
		why = "by " + q.who.Name
	}
	if _, _, busy := s.API.System.Stuck(info.Ref); !busy {
		return nil, failure(codeBad, "%s is in no handler that has run for seconds: there is nothing to interrupt", clip(q.path1))
	}
	ctx, cancel := context.WithTimeout(q.r.Context(), signalTimeout)
	defer cancel()
	switch err := s.API.Scripts.Interrupt(ctx, s.API.System, info.Ref, why); {
	case errors.Is(err, lua.ErrNotScript):
		return nil, failure(codeBad, "%s is no service of a script: only those can be interrupted", clip(q.path1))
	case errors.Is(err, lua.ErrNotRunning):
		return nil, failure(codeBusy, "%s has not come to a step of its script within %v: it is in a function of Go, which can't be interrupted", clip(q.path1), signalTimeout)
	case err != nil:
		return nil, err
	}
	return Nothing{}, nil
}
