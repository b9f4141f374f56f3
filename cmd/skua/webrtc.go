package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"

	"github.com/skua-go/skua/net/rtc"
)

// openWebRTC opens the door for media that [media.webrtc] names; nil if it is off.
func (n *node) openWebRTC(ctx context.Context) (*rtc.Server, error) {
	w := &n.project.cfg.Media.WebRTC
	if !Listens(w.UDP) {
		return nil, nil //nolint:nilnil // nothing is what was asked for
	}
	cfg, err := w.server()
	if err != nil {
		return nil, err
	}
	rules := &tokenRules{publish: w.PublishToken, play: w.PlayToken, log: n.log.With("part", "webrtc")}
	cfg.Rules, cfg.Log, cfg.Metrics = rules, rules.log, rtc.NewMetrics()
	server, err := rtc.Listen(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("media.webrtc: %w", err)
	}
	rules.room = server
	n.metrics.MustRegister(cfg.Metrics)
	return server, nil
}

// tokenRules are those of rooms without a script: who has the token comes in, and what members say all of the room hears.
type tokenRules struct {
	publish, play Secret
	room          *rtc.Server
	log           *slog.Logger
}

// Admit compares tokens. Whom a viewer sees is its own choice: ?watch=NAME, several times perhaps.
func (t *tokenRules) Admit(_ context.Context, r rtc.Request) (rtc.Permit, error) {
	want := t.play
	if r.Direction == rtc.Publish {
		want = t.publish
	}
	found, expected := sha256.Sum256([]byte(r.Token)), sha256.Sum256([]byte(want.Reveal()))
	if want != "" && subtle.ConstantTimeCompare(found[:], expected[:]) != 1 {
		return rtc.Permit{}, &rtc.RefusalError{Unknown: true, Reason: fmt.Sprintf("to %s here takes a token", r.Direction)}
	}
	query, err := url.ParseQuery(r.Query)
	if err != nil {
		return rtc.Permit{}, &rtc.RefusalError{Reason: "the query can't be read"}
	}
	return rtc.Permit{Who: r.Name, Watch: query["watch"]}, nil
}

// Joined is for the log.
func (t *tokenRules) Joined(s rtc.Session) {
	t.log.Debug("joined", "room", s.Room, "who", s.Who, "direction", s.Direction)
}

// Left is for the log.
func (t *tokenRules) Left(s rtc.Session, reason string) {
	t.log.Debug("left", "room", s.Room, "who", s.Who, "direction", s.Direction, "reason", reason)
}

// Speaking concerns no rule.
func (t *tokenRules) Speaking(string, []rtc.Speaker) {}

// Message passes on what somebody says.
func (t *tokenRules) Message(s rtc.Session, text []byte) {
	said, err := json.Marshal(map[string]string{"from": s.Who, "text": string(text)})
	if err == nil {
		t.room.Tell(s.Room, "", said)
	}
}
