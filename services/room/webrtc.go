package room

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtc"
)

// WebRTC are the rooms as rtc.Server asks for them: who comes by WHIP or WHEP is a member like any, whose media goes through the server. The zero value is what a server
// is told as its rules; Use has to follow before that serves anybody.
type WebRTC struct{ rooms *Rooms }

// Use joins the rooms and the server that has these rules: it asks them, and they give it orders.
func (r *Rooms) Use(rules *WebRTC, server *rtc.Server) {
	rules.rooms = r
	r.webrtc.Store(server)
}

// guest is a member who comes by WebRTC, as the server knows it.
type guest struct {
	// Set by the room before the server has heard of it.
	id   uint64
	room actor.Ref

	// The room's own.
	session rtc.Session // once it has got through
	out     error       // why it is put out as soon as it does
	mute    map[media.Kind]bool
	notes   []string
}

// What the server tells of guests.
type (
	arrived struct {
		id      uint64
		session rtc.Session
	}
	speaking struct {
		room     string
		speakers []rtc.Speaker
	}
	said struct {
		room string
		from rtc.Session
		text string
	}
)

// Admit is part of rtc.Rules. A bearer's token is the parameter token of the URL, for scripts. Whom a viewer sees is its own choice: ?watch=NAME, several times perhaps.
func (w *WebRTC) Admit(ctx context.Context, asked rtc.Request) (rtc.Permit, error) {
	query, err := url.ParseQuery(asked.Query)
	if err != nil {
		return rtc.Permit{}, &rtc.RefusalError{Status: http.StatusBadRequest, Reason: "the query of the URL can't be read"}
	}
	if asked.Token != "" {
		query.Set("token", asked.Token)
	}
	a := &admission{
		entry:  Entry{Room: asked.Room, Protocol: "whep", Addr: asked.Remote.String(), Agent: asked.Agent, Query: query},
		action: Play, guest: new(guest),
	}
	if asked.Direction == rtc.Publish {
		a.entry.Protocol, a.action = "whip", Publish
	}
	if err := w.rooms.admit(ctx, a); err != nil {
		return rtc.Permit{}, &rtc.RefusalError{Status: HTTPStatus(err), Reason: err.Error()}
	}
	g := a.guest
	if a.who == "" {
		a.who = fmt.Sprintf("#%d", g.id) // which nobody can call themselves
	}
	return rtc.Permit{Who: a.who, Watch: query["watch"], MuteAudio: g.mute[media.Audio], MuteVideo: g.mute[media.Video], Notes: g.notes, Tag: g}, nil
}

// Joined is part of rtc.Rules.
func (w *WebRTC) Joined(s rtc.Session) {
	if g, ok := s.Tag.(*guest); ok {
		w.rooms.sys.Send(g.room, arrived{g.id, s})
	}
}

// Left is part of rtc.Rules.
func (w *WebRTC) Left(s rtc.Session, reason string) {
	g, ok := s.Tag.(*guest)
	if !ok {
		return
	}
	var err error
	if reason != rtc.ReasonLeft {
		err = errors.New(reason)
	}
	w.rooms.sys.Send(g.room, left{g.id, err})
}

// Speaking is part of rtc.Rules.
func (w *WebRTC) Speaking(room string, speakers []rtc.Speaker) {
	w.send(speaking{room, speakers})
}

// Message is part of rtc.Rules.
func (w *WebRTC) Message(s rtc.Session, text []byte) {
	w.send(said{s.Room, s, string(text)})
}

func (w *WebRTC) send(msg any) {
	if service, ok := w.rooms.sys.Lookup(ServiceName); ok {
		w.rooms.sys.Send(service, msg)
	}
}

// HTTPStatus is the one for why somebody is not let in.
func HTTPStatus(err error) int {
	for _, s := range []struct {
		err    error
		status int
	}{
		{ErrOffline, http.StatusNotFound},
		{ErrName, http.StatusBadRequest},
		{ErrSignature, http.StatusForbidden},
		{ErrDenied, http.StatusForbidden},
	} {
		if errors.Is(err, s.err) {
			return s.status
		}
	}
	return http.StatusServiceUnavailable
}
