package main

import (
	"context"
	"time"

	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/services/admin"
)

// maxLeases is how many leases a status lists.
const maxLeases = 1000

// clusterStatus is what a node knows of its cluster: the answer of /cluster.
type clusterStatus struct {
	Node    string         `json:"node"` // that was asked
	Members []memberStatus `json:"members"`
	Leases  []leaseStatus  `json:"leases"`
	// AllLeases is how many leases are held, of which up to 1,000 are listed.
	AllLeases int `json:"all_leases"`
}

type memberStatus struct {
	Name        string            `json:"name"`
	Incarnation uint64            `json:"incarnation"`
	State       string            `json:"state"`
	Draining    bool              `json:"draining"`
	Held        bool              `json:"held"` // whether it can prove that its name is its own
	Version     string            `json:"version"`
	Started     time.Time         `json:"started"`
	Roles       []string          `json:"roles"`
	Labels      map[string]string `json:"labels"`
	Load        cluster.Load      `json:"load"`
}

type leaseStatus struct {
	Key         string    `json:"key"`
	Node        string    `json:"node"`
	Incarnation uint64    `json:"incarnation"`
	Epoch       uint64    `json:"epoch"`
	Since       time.Time `json:"since"`
}

// Status tells what the node knows.
func (c *control) Status(context.Context) (any, error) {
	s := clusterStatus{Node: c.n.project.cfg.Name, Members: []memberStatus{}, Leases: []leaseStatus{}}
	for _, m := range c.n.members.List() {
		s.Members = append(s.Members, memberStatus{
			Name: m.Name, Incarnation: m.Incarnation, State: m.State.String(), Draining: m.Draining, Held: m.Held, Version: m.Version, Started: m.Started,
			Roles: m.Roles, Labels: m.Labels, Load: m.Load,
		})
	}
	held, all := c.n.leases.List(maxLeases)
	s.AllLeases = all
	for _, h := range held {
		s.Leases = append(s.Leases, leaseStatus{Key: h.Key, Node: h.Node, Incarnation: h.Incarnation, Epoch: h.Epoch, Since: h.Since})
	}
	return s, nil
}

// Drain drains this node, or has another one drain itself.
func (c *control) Drain(ctx context.Context, o admin.DrainOrder, tell func(admin.DrainProgress)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	forget := context.AfterFunc(c.life, cancel) // whoever has asked may be gone, and the node may end
	defer forget()
	if own := c.n.project.cfg.Name; o.Node == "" || o.Node == own {
		o.Node = own
		return c.n.drainer.order(ctx, o, tell)
	}
	return c.order(ctx, o, tell)
}
