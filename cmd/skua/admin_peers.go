package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/nats-io/nats.go"

	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/services/admin"
)

// passedKind is the kind of letter by which a node passes on a request to the admin API: an admin.Passed, answered by a message of JSON, compressed. Whoever has let somebody in says with which role; without a
// cluster.secret that can't be believed, so there is nothing to be had but what the role view may see.
const (
	passedKind = "admin"
	// maxAnswered is what one unpacks of an answer.
	maxAnswered = 16 << 20
	// maxServed is how many requests of others are served at a time.
	maxServed = 16
)

// adminPeers has the admin API of other nodes, and serves this one's to them.
type adminPeers struct {
	inbox  *inbox
	log    *slog.Logger
	server *admin.Server   // set before the inbox is served
	life   context.Context //nolint:containedctx // of requests that others have passed on
	places chan struct{}
}

// newAdminPeers makes them. They answer other nodes from when the inbox is served until ctx ends.
func (n *node) newAdminPeers(ctx context.Context) *adminPeers {
	p := &adminPeers{inbox: n.inbox, log: n.log.With("part", "admin"), life: ctx, places: make(chan struct{}, maxServed)}
	n.inbox.kinds[passedKind] = letterKind{open: true, take: p.take}
	return p
}

// Names is part of admin.Peers: all but those that have left.
func (p *adminPeers) Names() []string {
	names := []string{p.inbox.name}
	for _, m := range p.inbox.members.List() {
		if m.State != cluster.Left && m.Name != names[0] {
			names = append(names, m.Name)
		}
	}
	return names
}

// Ask is part of admin.Peers.
func (p *adminPeers) Ask(ctx context.Context, node string, r *admin.Passed) (*admin.PassedAnswer, error) {
	to, ok := p.inbox.members.Find(node)
	if !ok {
		return nil, errors.New("it is not known any more")
	}
	if !to.State.Reachable() {
		return nil, fmt.Errorf("it is %s", to.State)
	}
	data, err := p.inbox.ask(ctx, &to, passedKind, r)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, errors.New("it takes no requests of others: it has just begun, is about to stop, or is of an older version")
	case err != nil:
		return nil, err
	}
	a := new(admin.PassedAnswer)
	if err := unpack(data, a); err != nil {
		return nil, fmt.Errorf("what it answers is unreadable: %w", err)
	}
	if a.Status == http.StatusForbidden && p.inbox.seal.key == nil {
		return nil, errNoSecret
	}
	return a, nil
}

// take runs on the goroutine of the inbox.
func (p *adminPeers) take(m *nats.Msg, l *letter) (reason string, err error) {
	var r admin.Passed
	if err := json.Unmarshal(l.Body, &r); err != nil {
		return "order", errors.New("expected a request to the admin API")
	}
	if p.inbox.seal.key == nil { // anybody could have sent it
		r.Role = admin.View.String()
	}
	select {
	case p.places <- struct{}{}:
	default:
		return "busy", fmt.Errorf("%d requests of other nodes are served already", maxServed)
	}
	reason, err = p.inbox.begin(func() {
		defer func() { <-p.places }()
		p.answer(m, p.server.Answer(p.life, l.From, &r))
	})
	if err != nil {
		<-p.places
	}
	return reason, err
}

// answer sends an answer, or why it can't be sent.
func (p *adminPeers) answer(m *nats.Msg, a *admin.PassedAnswer) {
	conn := p.inbox.conn
	data, err := pack(a)
	if most := conn.MaxPayload() - 1<<10; err == nil && int64(len(data)) > most {
		err = fmt.Errorf("the answer has %d bytes, expected up to %d: ask for less at once", len(data), most)
		data, err = pack(&admin.PassedAnswer{Status: http.StatusInternalServerError, Body: problem("failed", err)})
	}
	if err == nil && m.Reply != "" {
		err = conn.Publish(m.Reply, data)
	}
	if err != nil {
		p.log.Debug("admin: the node that has asked is not told", "error", err)
	}
}

// problem is an error as the API answers it.
func problem(code string, err error) []byte {
	text, failed := json.Marshal(admin.CallError{Code: code, Message: err.Error()})
	if failed != nil { // strings only
		return []byte("{}")
	}
	return text
}

func pack(a *admin.PassedAnswer) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if err := json.NewEncoder(w).Encode(a); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

func unpack(data []byte, a *admin.PassedAnswer) error {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return json.NewDecoder(io.LimitReader(r, maxAnswered)).Decode(a)
}
