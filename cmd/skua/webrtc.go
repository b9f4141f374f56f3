package main

import (
	"context"
	"fmt"

	"github.com/skua-go/skua/net/rtc"
	"github.com/skua-go/skua/services/room"
)

// openWebRTC opens the door for media that [media.webrtc] names; nil if it is off. Who comes in there is in the same rooms as all others.
func (n *node) openWebRTC(ctx context.Context) (*rtc.Server, error) {
	w := &n.project.cfg.Media.WebRTC
	if !Listens(w.UDP) {
		return nil, nil //nolint:nilnil // nothing is what was asked for
	}
	cfg, err := w.server()
	if err != nil {
		return nil, err
	}
	cfg.MaxRooms = n.project.cfg.Media.MaxRooms
	rules := new(room.WebRTC)
	cfg.Rules, cfg.Log, cfg.Metrics = rules, n.log.With("part", "webrtc"), rtc.NewMetrics()
	server, err := rtc.Listen(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("media.webrtc: %w", err)
	}
	n.guests = func(rooms *room.Rooms) { rooms.Use(rules, server) }
	n.metrics.MustRegister(cfg.Metrics)
	return server, nil
}
