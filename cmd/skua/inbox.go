package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/cluster"
)

// A node is told and asked by others at skua.ctl.NAME: HMAC-SHA256 of the rest by a key made of cluster.secret, then JSON. A letter names who has sent it, which incarnation of which node is meant, when it was
// written, and a nonce. So one that somebody has heard is of no use: not against another node or a successor, not later, and not a second time.
const (
	letterVersion = 2
	// maxLetter bounds what is read, and maxBody what is put into it.
	maxLetter = maxBody + 1<<10
	maxBody   = 256 << 10
	// maxLetters is how many may wait.
	maxLetters = 256
	// letterAge is how far the time of a letter may be from this node's: its way, and what their clocks differ by.
	letterAge = 30 * time.Second
	// maxNonces is how many letters are remembered, for as long as they could come again. More in that time are refused, since it could not be told whether they have come before.
	maxNonces = 16 << 10
	// inboxReport is how often a refusal is logged.
	inboxReport = 5 * time.Second
	// inboxFlush bounds the wait for the server to know the subscription.
	inboxFlush = 5 * time.Second
	// refusedHeader has the reason of the answer to a letter that was refused.
	refusedHeader = "Skua-Refused"
	maxRefusal    = 1 << 10
	// maxSender is how much of a name is logged: without a secret anybody writes it.
	maxSender = 64
)

func inboxSubject(name string) string { return "skua.ctl." + name }

// letter is what one node sends another.
type letter struct {
	V           int             `json:"v"`
	From        string          `json:"from"`
	To          string          `json:"to"`
	Incarnation uint64          `json:"inc"`  // of the node that is meant
	Sent        int64           `json:"sent"` // Unix time in milliseconds
	Nonce       string          `json:"nonce"`
	Kind        string          `json:"kind"`
	Body        json.RawMessage `json:"body"`
}

// letterKind is what is done about the letters of a kind. It runs on the goroutine of the subscription, and says why it refuses one.
type letterKind struct {
	// open is set for what may be asked in a cluster without a secret, where anybody could have sent it.
	open bool
	take func(m *nats.Msg, l *letter) (reason string, err error)
}

var errNoSecret = errors.New("nodes take orders of each other only where both have cluster.secret (SKUA_CLUSTER_SECRET): ask the node itself, at its listen.admin")

// inbox is where a node gets what others tell and ask it.
type inbox struct {
	name    string
	members *cluster.Members
	conn    *nats.Conn
	seal    seal
	log     *slog.Logger
	kinds   map[string]letterKind // complete before serve
	heard   nonces                // of the goroutine of the subscription
	refused *prometheus.CounterVec
	told    time.Time // of the goroutine of the subscription

	tasks sync.WaitGroup // of letters that take long
	mu    sync.Mutex
	ended bool // no more tasks begin
}

// newInbox makes it. Nothing is taken before serve.
func (n *node) newInbox() (*inbox, error) {
	b := &inbox{name: n.project.cfg.Name, members: n.members, conn: n.peers.Conn(), log: n.log.With("part", "control"), kinds: map[string]letterKind{}, heard: nonces{}}
	b.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "skua_control_refused_total", Help: "Orders and requests of other nodes that were not taken, by reason.",
	}, []string{"reason"})
	if err := n.metrics.Register(b.refused); err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	var err error
	b.seal, err = n.newSeal("orders")
	return b, err
}

// serve takes letters until stop is called, which waits for what they have begun.
func (b *inbox) serve() (stop func() error, err error) {
	sub, err := b.conn.Subscribe(inboxSubject(b.name), b.take)
	if err == nil {
		err = sub.SetPendingLimits(maxLetters, maxLetters*maxLetter)
	}
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	// Whoever reads that this node is ready may send letters over another connection. Without a connection the subscription goes out with the next one.
	_ = b.conn.FlushTimeout(inboxFlush)
	return func() error {
		err := sub.Unsubscribe()
		b.mu.Lock()
		b.ended = true
		b.mu.Unlock()
		b.tasks.Wait()
		if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
			return nil
		}
		return err
	}, nil
}

// take runs on the goroutine of the subscription.
func (b *inbox) take(m *nats.Msg) {
	l, reason, err := b.read(m.Data, time.Now())
	if err == nil {
		kind, known := b.kinds[l.Kind]
		switch {
		case !known:
			reason, err = "kind", fmt.Errorf("found a letter of the kind %.20q: it is of a newer version", l.Kind)
		case b.seal.key == nil && !kind.open:
			reason, err = "no_secret", errNoSecret
		default:
			reason, err = kind.take(m, &l)
		}
	}
	if err != nil {
		b.refuse(m, l.From, reason, err)
	}
}

// begin does what a letter asks for beside the subscription, unless the node is about to stop.
func (b *inbox) begin(f func()) (reason string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return "busy", errors.New("the node is about to stop")
	}
	b.tasks.Go(f)
	return "", nil
}

// read takes a letter apart, or says why it is none. Who sent it is known only if the signature is good.
func (b *inbox) read(data []byte, now time.Time) (l letter, reason string, err error) {
	if len(data) > maxLetter {
		return l, "length", fmt.Errorf("%d bytes, expected up to %d", len(data), maxLetter)
	}
	text, err := b.seal.open(data)
	if err != nil {
		return l, "signature", err
	}
	if err := json.Unmarshal(text, &l); err != nil || l.V != letterVersion {
		return letter{}, "version", fmt.Errorf("expected a letter of version %d: do both nodes run the same release?", letterVersion)
	}
	if own := b.members.Self().Incarnation; l.To != b.name || l.Incarnation != own {
		return l, "incarnation", fmt.Errorf("it is for incarnation %d of %.64q, this is %d of %q", l.Incarnation, l.To, own, b.name)
	}
	if b.seal.key == nil {
		return l, "", nil // anybody can write new ones
	}
	if age := now.Sub(time.UnixMilli(l.Sent)); age > letterAge || age < -letterAge {
		return l, "time", fmt.Errorf("it was sent %v ago by the clock of this node, expected up to %v: is the time right on both?", age.Round(time.Millisecond), letterAge)
	}
	reason, err = b.heard.add(l.Nonce, now)
	return l, reason, err
}

func (b *inbox) refuse(m *nats.Msg, from, reason string, why error) {
	b.refused.WithLabelValues(reason).Inc()
	if now := time.Now(); now.Sub(b.told) > inboxReport {
		b.told = now
		b.log.Warn("control: what another node says is refused", "reason", reason, "from", from[:min(len(from), maxSender)], "err", why)
	}
	if m.Reply == "" {
		return
	}
	text := strings.ReplaceAll(why.Error(), "\n", " ")
	answer := nats.NewMsg(m.Reply)
	answer.Header.Set(refusedHeader, strings.ToValidUTF8(text[:min(len(text), maxRefusal)], ""))
	if err := b.conn.PublishMsg(answer); err != nil {
		b.log.Debug("control: whoever is refused is not told", "err", err)
	}
}

// write makes a letter to a node.
func (b *inbox) write(to *cluster.Member, kind string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	if len(text) > maxBody {
		return nil, fmt.Errorf("the request has %d bytes, expected up to %d", len(text), maxBody)
	}
	text, err = json.Marshal(letter{
		V: letterVersion, From: b.name, To: to.Name, Incarnation: to.Incarnation, Sent: time.Now().UnixMilli(), Nonce: rand.Text(), Kind: kind, Body: text,
	})
	return b.seal.sign(text), err
}

// ask sends a letter, and waits for its one answer.
func (b *inbox) ask(ctx context.Context, to *cluster.Member, kind string, body any) ([]byte, error) {
	data, err := b.write(to, kind, body)
	if err != nil {
		return nil, err
	}
	m, err := b.conn.RequestWithContext(ctx, inboxSubject(to.Name), data)
	if err != nil {
		return nil, err
	}
	return m.Data, refusal(m)
}

// refusal says why a letter was refused, if this is what it is answered by.
func refusal(m *nats.Msg) error {
	if why := m.Header.Get(refusedHeader); why != "" {
		return errors.New(why)
	}
	return nil
}

// nonces are those of the letters that could come again, with when they no longer can.
type nonces map[string]time.Time

// nonceBytes is how long they are: rand.Text's 26 characters.
const nonceBytes = 26

// add notes one, or says why its letter is not to be taken.
func (h nonces) add(nonce string, now time.Time) (reason string, err error) {
	if len(nonce) != nonceBytes {
		return "version", fmt.Errorf("found a nonce of %d bytes, expected %d", len(nonce), nonceBytes)
	}
	if until, is := h[nonce]; is && now.Before(until) {
		return "replay", errors.New("it has come before")
	}
	if len(h) >= maxNonces {
		for old, until := range h {
			if !now.Before(until) {
				delete(h, old)
			}
		}
	}
	if len(h) >= maxNonces {
		return "busy", fmt.Errorf("%d others have come within %v", maxNonces, 2*letterAge)
	}
	// One whose sender's clock is ahead is good for longer.
	h[nonce] = now.Add(2 * letterAge)
	return "", nil
}
