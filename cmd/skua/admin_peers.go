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
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/services/admin"
)

// A node answers requests to the admin API that others pass on at skua.adm.NAME: a sealed JSON text that names the incarnation that is meant, answered by JSON, compressed. Whoever has let somebody in says with which role; without a
// cluster.secret that can't be believed, so there is nothing to be had but what the role view may see.
const (
	peersVersion = 1
	// maxPassed bounds a request, and maxAnswered what one unpacks of an answer.
	maxPassed   = 256 << 10
	maxAnswered = 16 << 20
	// maxServed is how many requests of others are served at a time, and maxUnserved how many more may wait.
	maxServed   = 16
	maxUnserved = 256
	peersReport = 5 * time.Second
)

func peersSubject(name string) string { return "skua.adm." + name }

// passedOn is a request on its way.
type passedOn struct {
	V           int          `json:"v"`
	From        string       `json:"from"`
	Incarnation uint64       `json:"inc"` // of the node that is asked
	Request     admin.Passed `json:"request"`
}

// adminPeers has the admin API of other nodes, and serves this one's to them.
type adminPeers struct {
	n      *node
	seal   seal
	log    *slog.Logger
	server *admin.Server   // set before anybody asks
	life   context.Context //nolint:containedctx // of requests that others have passed on
	places chan struct{}
	tasks  sync.WaitGroup

	refused *prometheus.CounterVec
	mu      sync.Mutex
	told    time.Time
}

// newAdminPeers makes them; nothing is served before serve.
func (n *node) newAdminPeers() (*adminPeers, error) {
	p := &adminPeers{n: n, log: n.log.With("part", "admin"), places: make(chan struct{}, maxServed)}
	p.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "skua_admin_passed_refused_total", Help: "Requests to the admin API that other nodes have passed on and this one has not served, by reason.",
	}, []string{"reason"})
	if err := n.metrics.Register(p.refused); err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	var err error
	p.seal, err = n.newSeal("admin")
	return p, err
}

// serve answers other nodes until stop is called.
func (p *adminPeers) serve(ctx context.Context, server *admin.Server) (stop func() error, err error) {
	p.life, p.server = ctx, server
	sub, err := p.n.peers.Conn().Subscribe(peersSubject(p.n.project.cfg.Name), p.take)
	if err == nil {
		err = sub.SetPendingLimits(maxUnserved, maxUnserved*maxPassed)
	}
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	// Whoever reads that this node is ready may ask it over another one. Without a connection the subscription goes out with the next one.
	_ = p.n.peers.Conn().FlushTimeout(controlFlush)
	return func() error {
		err := sub.Unsubscribe()
		p.tasks.Wait()
		if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
			return nil
		}
		return err
	}, nil
}

// Names is part of admin.Peers: all but those that have left.
func (p *adminPeers) Names() []string {
	names := []string{p.n.project.cfg.Name}
	for _, m := range p.n.members.List() {
		if m.State != cluster.Left && m.Name != names[0] {
			names = append(names, m.Name)
		}
	}
	return names
}

// Ask is part of admin.Peers.
func (p *adminPeers) Ask(ctx context.Context, node string, r *admin.Passed) (*admin.PassedAnswer, error) {
	to, ok := p.n.members.Find(node)
	if !ok {
		return nil, errors.New("it is not known any more")
	}
	if !to.State.Reachable() {
		return nil, fmt.Errorf("it is %s", to.State)
	}
	text, err := json.Marshal(passedOn{V: peersVersion, From: p.n.project.cfg.Name, Incarnation: to.Incarnation, Request: *r})
	if err != nil {
		return nil, err
	}
	if len(text) > maxPassed {
		return nil, fmt.Errorf("the request has %d bytes, expected up to %d", len(text), maxPassed)
	}
	m, err := p.n.peers.Conn().RequestWithContext(ctx, peersSubject(node), p.seal.sign(text))
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, errors.New("it takes no requests of others: it has just begun, is about to stop, or is of an older version")
	case err != nil:
		return nil, err
	}
	a := new(admin.PassedAnswer)
	if err := unpack(m.Data, a); err != nil {
		return nil, fmt.Errorf("what it answers is unreadable: %w", err)
	}
	if a.Status == http.StatusForbidden && p.seal.key == nil {
		return nil, errNoSecret
	}
	return a, nil
}

// take runs on the goroutine of the subscription.
func (p *adminPeers) take(m *nats.Msg) {
	r, reason, err := p.read(m.Data)
	if err != nil {
		p.refuse(reason, err)
		p.answer(m, &admin.PassedAnswer{Status: http.StatusForbidden, Body: problem("no_role", err)})
		return
	}
	select {
	case p.places <- struct{}{}:
	default:
		err := fmt.Errorf("%d requests of other nodes are served already", maxServed)
		p.refuse("busy", err)
		p.answer(m, &admin.PassedAnswer{Status: http.StatusGatewayTimeout, Body: problem("busy", err)})
		return
	}
	p.tasks.Go(func() {
		defer func() { <-p.places }()
		p.answer(m, p.server.Answer(p.life, r.From, &r.Request))
	})
}

// read takes a request apart, or says why it is none.
func (p *adminPeers) read(data []byte) (r passedOn, reason string, err error) {
	if len(data) > maxPassed+1<<10 {
		return r, "length", fmt.Errorf("%d bytes, expected up to %d", len(data), maxPassed)
	}
	text, err := p.seal.open(data)
	if err != nil {
		return r, "signature", err
	}
	if err := json.Unmarshal(text, &r); err != nil || r.V != peersVersion {
		return r, "version", fmt.Errorf("expected a request of version %d", peersVersion)
	}
	if own := p.n.members.Self().Incarnation; r.Incarnation != own {
		return r, "incarnation", fmt.Errorf("it is for incarnation %d, this node is %d", r.Incarnation, own)
	}
	if p.seal.key == nil { // anybody could have sent it
		r.Request.Role = admin.View.String()
	}
	return r, "", nil
}

// answer sends an answer, or why it can't be sent.
func (p *adminPeers) answer(m *nats.Msg, a *admin.PassedAnswer) {
	conn := p.n.peers.Conn()
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

func (p *adminPeers) refuse(reason string, err error) {
	p.refused.WithLabelValues(reason).Inc()
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.told) > peersReport {
		p.told = now
		p.log.Warn("admin: a request of another node is refused", "reason", reason, "error", err)
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
