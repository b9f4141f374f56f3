package admin

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// Aside is an actor in quarantine.
type Aside struct {
	ID      string    `json:"id"`
	Name    string    `json:"name,omitempty"`
	Kind    string    `json:"kind,omitempty"`
	Since   time.Time `json:"since"`
	Reason  string    `json:"reason"`
	Waiting int       `json:"waiting" doc:"Messages that are kept, up to 10,000."`
	First   []Kept    `json:"first" doc:"The oldest of them, up to 100."`
}

// Kept is a message that waits for an actor in quarantine, without what it says.
type Kept struct {
	From    string `json:"from,omitempty" doc:"Id of its sender, none for one that is no actor of this node."`
	Type    string `json:"type"`
	Request bool   `json:"request" doc:"Its sender waits for an answer, or has until its deadline."`
}

// maxKept bounds the messages that are told of, and maxAsides the actors.
const (
	maxKept   = 100
	maxAsides = 100
)

func (s *Server) quarantined(*query) (any, error) {
	all := []Aside{}
	for ref, why := range s.API.System.InQuarantine() {
		info, alive := s.API.System.Inspect(ref)
		if !alive || len(all) == maxAsides {
			continue
		}
		a := Aside{ID: ActorID(ref), Name: info.Name, Kind: info.Kind, Since: why.Since.UTC(), Waiting: info.Waiting, First: []Kept{}}
		if why.Reason != nil {
			a.Reason = clip(why.Reason.Error())
		}
		for _, k := range s.API.System.Peek(ref, maxKept) {
			one := Kept{Type: clip(k.Type), Request: k.Request}
			if !k.From.IsZero() {
				one.From = ActorID(k.From)
			}
			a.First = append(a.First, one)
		}
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b Aside) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

func (s *Server) quarantine(q *query) (any, error) {
	info, err := s.find(q.path1)
	if err != nil {
		return nil, err
	}
	if nodesOwn(&info) {
		return nil, failure(codeBad, "%s is one of the node's own services, which it can't do without", clip(q.path1))
	}
	why := q.body.(*Reason).Reason //nolint:forcetypeassert // what the route says
	q.detail = why
	return s.stuck(info.Ref, nil), s.API.System.Quarantine(info.Ref, errors.New(cmp.Or(why, "by "+q.who.Name)))
}

func (s *Server) release(q *query) (any, error) {
	info, err := s.find(q.path1)
	if err != nil {
		return nil, err
	}
	q.detail = q.body.(*Reason).Reason //nolint:forcetypeassert // what the route says
	if !s.API.System.Release(info.Ref) {
		return nil, failure(codeBad, "%s is in no quarantine", clip(q.path1))
	}
	return s.stuck(info.Ref, nil), nil
}
