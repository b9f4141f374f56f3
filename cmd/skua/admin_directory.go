package main

import (
	"context"
	"math"
	"sort"

	"github.com/skua-go/skua/services/admin"
)

// directory tells operators who is known by which name.
type directory struct{ n *node }

// Grains is part of admin.Directory.
func (d directory) Grains(ctx context.Context, kind, after string, limit int) (list []admin.Grain, total int, err error) {
	g := d.n.grains.Load()
	if g == nil {
		return nil, 0, nil
	}
	found, total, err := g.List(ctx, kind, after, limit)
	for i := range found {
		one := &found[i]
		list = append(list, admin.Grain{Kind: one.Kind, ID: one.ID, Epoch: one.Epoch, Actor: admin.ActorID(one.Ref), State: one.State})
	}
	return list, total, err
}

// Names is part of admin.Directory.
func (d directory) Names(after string, limit int) (list []admin.Name, total int) {
	known, total := d.n.names.List(after, limit)
	for _, name := range known {
		one := admin.Name{Name: name, Instances: []admin.Instance{}}
		for _, in := range d.n.names.Query(name) {
			if one.Total++; one.Total > admin.MaxInstances {
				continue
			}
			one.Instances = append(one.Instances, admin.Instance{Node: in.Node, Actor: admin.ActorID(in.Ref), Weight: in.Weight, Meta: in.Meta, Draining: in.Draining})
		}
		list = append(list, one)
	}
	return list, total
}

// Leases is part of admin.Directory.
func (d directory) Leases(after string, limit int) (list []admin.Lease, total int) {
	held, total := d.n.leases.List(math.MaxInt)
	held = held[sort.Search(len(held), func(i int) bool { return held[i].Key > after }):]
	for _, h := range held[:min(len(held), limit)] {
		list = append(list, admin.Lease{Key: h.Key, Node: h.Node, Epoch: h.Epoch, Since: h.Since.UTC()})
	}
	return list, total
}
