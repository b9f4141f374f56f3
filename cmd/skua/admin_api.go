package main

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/services/admin"
	"github.com/skua-go/skua/services/gate"
)

// adminAPI is what operators see of the node.
func (n *node) adminAPI(peers admin.Peers) *admin.API {
	settings := n.project.cfg.settings(environMap(os.Environ()))
	api := &admin.API{
		System: n.sys, Nodes: n.nodes, Sessions: clients{n.sessions}, Dead: n.dead,
		Store:    func() (admin.Store, error) { return storeState(n.metrics) },
		Settings: func() []admin.Setting { return settings }, Reload: n.reload,
		Peers: peers, Log: n.lines, Directory: directory{n},
	}
	n.observable(api)
	return api
}

// nodes are the cluster's.
func (n *node) nodes() []admin.Node {
	members := n.members.List()
	all := make([]admin.Node, 0, len(members))
	for _, m := range members {
		all = append(all, admin.Node{
			Name: m.Name, Incarnation: m.Incarnation, State: m.State.String(), Draining: m.Draining, Version: m.Version, Started: m.Started,
			Actors: m.Load.Actors, Sessions: m.Load.Sessions, Grains: m.Load.Grains, CPU: m.Load.CPU, Memory: m.Load.Memory,
		})
	}
	return all
}

// clients shows the sessions of all gates.
type clients struct{ of *gate.Sessions }

// List is part of admin.Sessions.
func (c clients) List(uid string, after uint64, limit int) (list []admin.Session, total int) {
	seen, total := c.of.Look(uid, after, limit)
	for i := range seen {
		v := &seen[i]
		s := admin.Session{
			ID: v.ID, Gate: v.Gate, UID: v.UID, State: v.State, Transport: v.Transport, Address: v.Address, Backlog: v.Backlog, Unacked: v.Unacked,
			BytesIn: v.BytesIn, BytesOut: v.BytesOut, RTT: v.Way.RTT.Microseconds(), Sent: v.Way.Sent, Resent: v.Way.Resent,
		}
		if v.Way.Sent > 0 {
			s.Loss = min(1, float64(v.Way.Resent)/float64(v.Way.Sent))
		}
		if !v.Opened.IsZero() {
			at := v.Opened.UTC()
			s.Since = &at
		}
		list = append(list, s)
	}
	return list, total
}

// Kick is part of admin.Sessions.
func (c clients) Kick(id uint64, code, reason string) bool {
	s := c.of.Find(id)
	if s == nil {
		return false
	}
	s.Kick(code, reason)
	return true
}

// storeState reads the store's own metrics, so that all who look see the same.
func storeState(from prometheus.Gatherer) (s admin.Store, err error) {
	families, err := from.Gather()
	if err != nil && len(families) == 0 {
		return s, fmt.Errorf("metrics: %w", err)
	}
	value := map[string]float64{}
	for _, f := range families {
		if name, ok := strings.CutPrefix(f.GetName(), "skua_store_"); ok && len(f.GetMetric()) == 1 {
			m := f.GetMetric()[0]
			value[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			if h := m.GetHistogram(); h.GetSampleCount() > 0 {
				value[name] = h.GetSampleSum() / float64(h.GetSampleCount())
			}
		}
	}
	lag := 0.0
	if due := value["due_timestamp_seconds"]; due > 0 {
		lag = max(0, float64(time.Now().UnixMilli())/1000-due)
	}
	return admin.Store{
		LagSeconds: lag, Pending: int(value["pending_documents"]), PendingBytes: int(value["pending_bytes"]), Down: value["database_down"] > 0, Retries: int(value["retries_total"]),
		Refused: int(value["refused_total"]), Writes: int(value["writes_total"]), Quarantined: int(value["quarantined_total"]), BatchSeconds: value["batch_seconds"],
	}, nil
}

// settings are all keys with their values, secrets hidden, and where each comes from.
func (c *Config) settings(env map[string]string) []admin.Setting {
	usual := DefaultConfig()
	defaults := map[string]reflect.Value{}
	for _, k := range configKeys(&usual) {
		defaults[k.path] = k.value
	}
	keys := configKeys(c)
	all := make([]admin.Setting, 0, len(keys))
	for i := range keys {
		k := &keys[i]
		s := admin.Setting{Key: k.path, Value: shownValue(k), Source: "file or flag"}
		usually, known := defaults[k.path] // not in tables that have a name, as [gates.NAME] and [grains.NAME]
		switch {
		case env[k.env] != "":
			s.Source = "environment"
		case known && reflect.DeepEqual(k.value.Interface(), usually.Interface()):
			s.Source = "default"
		}
		all = append(all, s)
	}
	return all
}

// shownValue is a value as text, without secrets: also those inside of URIs, which are secret as a whole.
func shownValue(k *configKey) string {
	if secrets, ok := k.value.Interface().(map[string]Secret); ok {
		words := make([]string, 0, len(secrets))
		for _, name := range slices.Sorted(maps.Keys(secrets)) {
			words = append(words, name+"="+secrets[name].String())
		}
		return strings.Join(words, " ")
	}
	if text, ok := k.value.Interface().(fmt.Stringer); ok {
		return text.String()
	}
	return fmt.Sprint(k.value.Interface())
}
