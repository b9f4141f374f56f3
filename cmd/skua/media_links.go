package main

import (
	"cmp"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/net/relay"
	"github.com/skua-go/skua/services/room"
)

// mediaCluster is what rooms of several nodes stand on; nil: each node has its own.
func (n *node) mediaCluster() (*room.Cluster, error) {
	if n.mediaAt == nil {
		return nil, nil //nolint:nilnil // nothing is what was asked for
	}
	cfg := &n.project.cfg
	proof, err := n.newSeal("media")
	if err != nil {
		return nil, err
	}
	return &room.Cluster{
		Names: n.names, Node: cfg.Name, Addr: cmp.Or(cfg.Media.LinkAddress, n.mediaAt.Addr().String()),
		Log:  n.log.With("part", "media"),
		Link: relay.Config{Key: proof.key, MaxFrame: cfg.Media.MaxFrame, WriteTimeout: cfg.Media.WriteTimeout.Duration},
	}, nil
}

// buildLinks makes the door of other nodes' links; nil without other nodes.
func (n *node) buildLinks(rooms *room.Rooms, with *room.Cluster, log *slog.Logger) (*relay.Server, error) {
	if with == nil {
		return nil, nil //nolint:nilnil // nothing is what was asked for
	}
	links, err := relay.NewServer(relay.ServerConfig{Config: with.Link, Open: rooms.OpenLink, MaxLinks: n.project.cfg.Media.MaxLinks, Log: log})
	if err != nil {
		return nil, err
	}
	n.metrics.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "skua_media_links", Help: "Links of other nodes, which fetch or bring the frames of rooms."}, func() float64 {
			now, _ := links.Links()
			return float64(now)
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "skua_media_links_refused_total", Help: "Links that were refused: too many, no node of the cluster, or for what is not there any more."}, func() float64 {
			_, refused := links.Links()
			return float64(refused)
		}),
	)
	return links, nil
}
