package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/hls"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/net/record"
	"github.com/skua-go/skua/net/relay"
	"github.com/skua-go/skua/net/rtmp"
	"github.com/skua-go/skua/net/rtsp"
	"github.com/skua-go/skua/net/transcode"
	"github.com/skua-go/skua/net/transport"
	"github.com/skua-go/skua/services/gate"
	skualive "github.com/skua-go/skua/services/live"
	"github.com/skua-go/skua/services/room"
)

// livePath is where viewers find rooms at the HTTP address, and liveApp what RTMP calls the same.
const (
	livePath = "/live/"
	liveApp  = "live"
)

// liveMedia is a node's rooms and the protocols by which they are reached. A nil one is of a node without rooms.
type liveMedia struct {
	rooms *room.Rooms
	rtmp  *rtmp.Server
	rtsp  *rtsp.Server
	flv   *flv.HTTP
	hls   *hls.Server
	own   *skualive.Server      // in the game's own connections
	tapes *record.Recorder      // nil without media.record_dir
	links *relay.Server         // nil without other nodes
	sound *transcode.Transcoder // nil without media.transcode_audio
}

// buildMedia makes what [media] says.
func (n *node) buildMedia() (*liveMedia, error) {
	cfg := &n.project.cfg.Media
	if cfg.Admit == admitOff {
		return nil, nil //nolint:nilnil // nothing is what was asked for
	}
	if cfg.Rules != "" && !n.rt.Has(cfg.Rules) {
		return nil, fmt.Errorf("media.rules = %q: there is no such script in %s", cfg.Rules, strings.Join(n.project.cfg.Lua.Path, ", "))
	}
	told := cfg.rooms()
	told.Metrics = room.NewMetrics()
	n.metrics.MustRegister(told.Metrics)
	log := n.log.With("part", "media")
	tapes, err := n.buildRecorder(log)
	if err != nil {
		return nil, err
	}
	told.Recorder = tapes
	unagreed := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "skua_media_rtsp_packets_unagreed_total", Help: "RTP packets over RTSP, of publishers and of what is pulled, that were left out, since their payload type is not the one that is taken of their track.",
	})
	n.metrics.MustRegister(unagreed)
	if told.Remotes, err = cfg.remotes(unagreed.Inc, log); err != nil {
		return nil, err
	}
	if told.Cluster, err = n.mediaCluster(); err != nil {
		return nil, err
	}
	sound := n.buildTranscoder(log)
	if sound != nil {
		told.Convert = sound.Convert
	}
	m := &liveMedia{rooms: room.New(n.sys, told), tapes: tapes, sound: sound}
	if m.links, err = n.buildLinks(m.rooms, told.Cluster, log); err != nil {
		return nil, err
	}
	if n.guests != nil {
		n.guests(m.rooms)
	}
	if m.rtmp, err = rtmp.New(rtmp.Config{
		Rooms: rtmpRooms{m.rooms}, MaxConns: cfg.MaxConnections, WriteTimeout: cfg.WriteTimeout.Duration, WriteBuffer: cfg.WriteBuffer, MaxMessage: cfg.MaxFrame, Log: log,
	}); err != nil {
		return nil, err
	}
	if m.rtsp, err = buildRTSP(cfg, m.rooms, unagreed.Inc, log); err != nil {
		return nil, err
	}
	n.countConnections("RTMP", m.rtmp.Conns)
	n.countConnections("RTSP", m.rtsp.Conns)
	m.flv, err = flv.NewHTTP(flv.HTTPConfig{Join: m.joinHTTP, Status: mediaStatus, WriteTimeout: cfg.WriteTimeout.Duration, WriteBuffer: cfg.WriteBuffer, Log: log})
	if err != nil {
		return nil, err
	}
	if m.own, err = skualive.New(skualive.Config{Rooms: m.rooms, MaxFrame: cfg.MaxFrame, Log: log}); err != nil {
		return nil, err
	}
	m.hls, err = hls.New(hls.Config{Join: m.joinHLS, Status: mediaStatus, MaxSessions: cfg.MaxHLSSessions, Log: log})
	return m, err
}

// countConnections has the connections of a protocol among the metrics.
func (n *node) countConnections(protocol string, conns func() (now int, accepted, refused uint64)) {
	name := "skua_media_" + strings.ToLower(protocol)
	n.metrics.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name + "_connections", Help: "Connections over " + protocol + "."}, func() float64 {
			now, _, _ := conns()
			return float64(now)
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name + "_refused_total", Help: "Connections over " + protocol + " that were closed since there were too many."}, func() float64 {
			_, _, refused := conns()
			return float64(refused)
		}),
	)
}

// ofGate is how the clients of a gate come to rooms; nil: it has none.
func (m *liveMedia) ofGate(g *GateConfig) *gate.Media {
	if m == nil || g.Codec != packet.CodecPomelo {
		return nil
	}
	return &gate.Media{
		Offer: m.own.Offer(g.MaxPacket),
		Join: func(c *transport.Conn, player func(context.Context) string) gate.MediaClient {
			return m.own.Join(c, player)
		},
	}
}

// specs are the actors, which end before the scripts that they ask.
func (m *liveMedia) specs() []actor.Spec {
	if m == nil {
		return nil
	}
	return []actor.Spec{m.rooms.Spec()}
}

// serve runs the protocols until ctx ends.
func (m *liveMedia) serve(ctx context.Context, doors *errgroup.Group, l *listeners) {
	if m == nil {
		return
	}
	doors.Go(func() error { return m.flv.Serve(ctx) })
	doors.Go(func() error { return m.hls.Serve(ctx) })
	doors.Go(func() error { return m.own.Serve(ctx) })
	if m.tapes != nil {
		doors.Go(func() error { return m.tapes.Serve(ctx) })
	}
	if m.sound != nil {
		doors.Go(func() error { return m.sound.Serve(ctx) })
	}
	if l.rtmp != nil {
		doors.Go(func() error { return m.rtmp.Serve(ctx, l.rtmp) })
	}
	if l.rtsp != nil {
		doors.Go(func() error { return m.rtsp.Serve(ctx, l.rtsp, l.rtspUDP) })
	}
	if m.links != nil && l.media != nil {
		doors.Go(func() error { return m.links.Serve(ctx, l.media) })
	}
}

// mount puts the rooms among the pages.
func (m *liveMedia) mount(mux *http.ServeMux) {
	if m != nil {
		mux.Handle(livePath, m.flv)
		mux.Handle(livePath+"{room}/{file}", m.hls)
	}
}

// joinHTTP lets a viewer of /live/NAME.flv in.
func (m *liveMedia) joinHTTP(r *http.Request) (*media.Viewer, error) {
	name, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, livePath), ".flv")
	if !ok {
		return nil, fmt.Errorf("%w: %s, expected %sNAME.flv", errNoPage, r.URL.Path, livePath)
	}
	e := room.Entry{Room: name, Protocol: "flv", Addr: r.RemoteAddr, Agent: r.UserAgent(), Query: r.URL.Query()}
	if r.Header.Get("Upgrade") != "" {
		e.Protocol = "ws-flv"
	}
	return m.rooms.Join(r.Context(), e, media.ViewerConfig{Sound: media.UsualSound()})
}

// joinHLS lets a viewer of /live/NAME/index.m3u8 in.
func (m *liveMedia) joinHLS(r *http.Request) (*media.Viewer, error) {
	e := room.Entry{Room: r.PathValue("room"), Protocol: "hls", Addr: r.RemoteAddr, Agent: r.UserAgent(), Query: r.URL.Query()}
	return m.rooms.Join(r.Context(), e, media.ViewerConfig{})
}

// errNoPage is what is asked for at a path that no room has.
var errNoPage = errors.New("media: no such page")

// mediaStatus is the HTTP status for why somebody is not let in.
func mediaStatus(err error) int {
	if errors.Is(err, errNoPage) {
		return http.StatusNotFound
	}
	return room.HTTPStatus(err)
}

// rtmpRooms are the rooms as RTMP asks for them: rtmp://HOST/live/NAME.
type rtmpRooms struct{ rooms *room.Rooms }

// Publish is part of rtmp.Rooms.
func (r rtmpRooms) Publish(ctx context.Context, asked rtmp.Request, ended func(error)) (*media.Publisher, error) {
	e, err := rtmpEntry(asked)
	if err != nil {
		return nil, err
	}
	return r.rooms.Publish(ctx, e, ended)
}

// Play is part of rtmp.Rooms.
func (r rtmpRooms) Play(ctx context.Context, asked rtmp.Request) (*media.Viewer, error) {
	e, err := rtmpEntry(asked)
	if err != nil {
		return nil, err
	}
	return r.rooms.Join(ctx, e, media.ViewerConfig{Sound: media.UsualSound()})
}

func rtmpEntry(asked rtmp.Request) (room.Entry, error) {
	if asked.App != liveApp {
		return room.Entry{}, fmt.Errorf("media: rtmp: app %q, expected rtmp://HOST/%s/NAME", asked.App[:min(len(asked.App), room.MaxName)], liveApp)
	}
	return room.Entry{Room: asked.Stream, Protocol: "rtmp", Addr: asked.Addr.String(), Agent: asked.Agent, Query: asked.Query}, nil
}
