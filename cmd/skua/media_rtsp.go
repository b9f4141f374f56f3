package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtsp"
	"github.com/skua-go/skua/services/room"
)

// buildRTSP makes the server of rooms over RTSP. unagreed counts packets that are left out.
func buildRTSP(cfg *MediaConfig, rooms *room.Rooms, unagreed func(), log *slog.Logger) (*rtsp.Server, error) {
	return rtsp.New(rtsp.Config{
		Rooms: rtspRooms{rooms}, Status: mediaStatus, MaxConns: cfg.MaxConnections, WriteTimeout: cfg.WriteTimeout.Duration, WriteBuffer: cfg.WriteBuffer, MaxFrame: cfg.MaxFrame, Unagreed: unagreed, Log: log,
	})
}

// rtspRooms are the rooms as RTSP asks for them: rtsp://HOST/live/NAME.
type rtspRooms struct{ rooms *room.Rooms }

// Publish is part of rtsp.Rooms.
func (r rtspRooms) Publish(ctx context.Context, asked rtsp.Request, ended func(error)) (*media.Publisher, error) {
	e, err := rtspEntry(asked)
	if err != nil {
		return nil, err
	}
	return r.rooms.Publish(ctx, e, ended)
}

// Play is part of rtsp.Rooms.
func (r rtspRooms) Play(ctx context.Context, asked rtsp.Request) (*media.Viewer, error) {
	e, err := rtspEntry(asked)
	if err != nil {
		return nil, err
	}
	return r.rooms.Join(ctx, e, media.ViewerConfig{})
}

func rtspEntry(asked rtsp.Request) (room.Entry, error) {
	name, ok := strings.CutPrefix(asked.Path, livePath)
	if !ok {
		return room.Entry{}, fmt.Errorf("%w: %s, expected rtsp://HOST%sNAME", errNoPage, asked.Path[:min(len(asked.Path), room.MaxName)], livePath)
	}
	return room.Entry{Room: name, Protocol: "rtsp", Addr: asked.Addr.String(), Agent: asked.Agent, Query: asked.Query}, nil
}
