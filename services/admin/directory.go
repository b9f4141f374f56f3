package admin

import (
	"context"
	"net/http"
	"time"
)

// Directory tells who is known by which name, in the cluster and on this node. Lists have up to limit of what is behind after, in order, and say how many there are in all. Methods are called from many goroutines.
type Directory interface {
	// Grains are those of this node, of a kind, or of all if that is empty.
	Grains(ctx context.Context, kind, after string, limit int) (list []Grain, total int, err error)
	// Names are those that services of the cluster have, with all that have each, as this node knows it.
	Names(after string, limit int) (list []Name, total int)
	// Leases are the locks, leases and singletons of the cluster that somebody holds, as this node knows it.
	Leases(after string, limit int) (list []Lease, total int)
}

// Grain is a grain that is on the node.
type Grain struct {
	Kind  string `json:"kind"`
	ID    string `json:"id"`
	Epoch uint64 `json:"epoch" doc:"Of this activation: writes of those before are refused."`
	Actor string `json:"actor" doc:"Id of the actor in front of it; what that has spawned does the work."`
	State string `json:"state" enum:"starting,active,ending"`
}

// GrainPage is some of the grains.
type GrainPage struct {
	Grains []Grain `json:"grains"`
	Paged
}

// Name is a name that services have.
type Name struct {
	Name      string     `json:"name"`
	Instances []Instance `json:"instances" doc:"Up to 100."`
	Total     int        `json:"total" doc:"How many have it."`
}

// Instance is a service that has a name.
type Instance struct {
	Node     string  `json:"node"`
	Actor    string  `json:"actor" doc:"Its id on that node."`
	Weight   float64 `json:"weight"`
	Meta     string  `json:"meta,omitempty"`
	Draining bool    `json:"draining,omitempty" doc:"Its node is to get nothing new."`
}

// NamePage is some of the names.
type NamePage struct {
	Names []Name `json:"names"`
	Paged
}

// Lease is a lock, a lease or a singleton that somebody holds.
type Lease struct {
	Key   string    `json:"key"`
	Node  string    `json:"node"`
	Epoch uint64    `json:"epoch" doc:"By which later holders are told from it."`
	Since time.Time `json:"since"`
}

// LeasePage is some of them.
type LeasePage struct {
	Leases []Lease `json:"leases"`
	Paged
}

func (s *Server) directoryRoutes() []route {
	if s.API.Directory == nil {
		return nil
	}
	return []route{
		{
			method: http.MethodGet, path: "/grains", id: "grains", role: View, summary: "The grains of the node", answer: GrainPage{}, serve: s.listGrains,
			query: append(pageParams(), param{name: "kind", kind: "string", doc: "Only those of this kind."}),
		},
		{
			method: http.MethodGet, path: "/names", id: "names", role: View, summary: "The names by which services are found in the cluster, and who has them", answer: NamePage{}, query: pageParams(),
			serve: func(q *query) (any, error) {
				list, total := s.API.Directory.Names(q.text["cursor"], q.number["limit"]+1)
				list, p := paged(list, total, q.number["limit"], func(n *Name) string { return n.Name })
				return NamePage{list, p}, nil
			},
		},
		{
			method: http.MethodGet, path: "/leases", id: "leases", role: View, summary: "The locks, leases and singletons of the cluster that somebody holds", answer: LeasePage{}, query: pageParams(),
			serve: func(q *query) (any, error) {
				list, total := s.API.Directory.Leases(q.text["cursor"], q.number["limit"]+1)
				list, p := paged(list, total, q.number["limit"], func(l *Lease) string { return l.Key })
				return LeasePage{list, p}, nil
			},
		},
	}
}

func (s *Server) listGrains(q *query) (any, error) {
	ctx, cancel := context.WithTimeout(q.r.Context(), askTimeout)
	defer cancel()
	list, total, err := s.API.Directory.Grains(ctx, q.text["kind"], q.text["cursor"], q.number["limit"]+1)
	list, p := paged(list, total, q.number["limit"], func(g *Grain) string { return g.Kind + "/" + g.ID })
	return GrainPage{list, p}, err
}

// paged cuts a list to what was asked for, if it has one more, whose page begins behind the key of the last one.
func paged[T any](list []T, total, limit int, key func(*T) string) ([]T, Paged) {
	p := Paged{Total: total}
	if len(list) > limit {
		list = list[:limit]
		p.Next = key(&list[limit-1])
	}
	if list == nil {
		list = []T{}
	}
	return list, p
}

// MaxInstances is how many services are listed of one name.
const MaxInstances = 100
