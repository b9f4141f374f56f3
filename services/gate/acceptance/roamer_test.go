package acceptance_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// question is what clients ask in the torture: who asks, in which of its sessions, the number of the request there.
type question struct {
	Client int `json:"c"`
	Epoch  int `json:"e"`
	Number int `json:"n"`
	Pushes int `json:"p,omitempty"` // that the handler is to send
	Later  int `json:"d,omitempty"` // ms until it answers
}

// reply is what they get: the number of the request, and how many pushes the session had been sent when it was answered.
type reply struct {
	Number int `json:"n"`
	Pushed int `json:"k"`
}

// news is a push: the number of the session, and of the push in it. Those that are sent where the session was first are numbered by themselves.
type news struct {
	Epoch  int  `json:"e"`
	Number int  `json:"k"`
	Passed bool `json:"o,omitempty"`
}

// counted is how many pushes a session has got, or was sent.
type counted struct{ here, passed int }

// take counts a push; in order tells whether it is the one that had to be next.
func (c *counted) take(n news) (inOrder bool) {
	of := &c.here
	if n.Passed {
		of = &c.passed
	}
	inOrder = n.Number == *of+1
	*of = n.Number
	return inOrder
}

// roamer is a client that loses its connection all the time, and keeps its session if it can. It is written from docs/protocol.md.
type roamer struct {
	name int
	t    *torture
	rnd  *rand.Rand // of the goroutine that connects
	ask  *rand.Rand // of the one that asks

	mu       sync.Mutex
	line     *line  // the connection that the session has; nil while there is none
	token    string // of the session; empty before the first
	ringSize int
	received uint64 // data packages of the server in this session
	acked    uint64 // up to which they have been acknowledged,
	bytes    int    // and the bytes behind that
	base     uint64 // the number of the last own data package that the server has acknowledged
	ring     [][]byte
	id       uint64

	// What the oracle asks for, of this epoch.
	epoch   int
	number  int // of the last request,
	last    int // and of the last that was answered
	pending []pendingRequest
	pushed  counted
	bye     bool
	wrong   []string
}

type pendingRequest struct {
	id     uint64
	number int
}

// line is a connection's way out: what is sent never waits for the network.
type line struct {
	conn net.Conn
	mu   sync.Mutex
	out  []byte
	bye  bool
	wake chan struct{}
	done chan struct{}
}

func (l *line) send(b []byte) {
	l.mu.Lock()
	l.out = append(l.out, b...)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// write sends until the connection ends.
func (l *line) write(r *roamer, beat time.Duration) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-l.wake:
		case <-tick.C:
			r.acknowledge(l)
			l.send(pack(typeHeartbeat, nil))
		case <-l.done:
			return
		}
		l.mu.Lock()
		out, bye := l.out, l.bye
		l.out = nil
		l.mu.Unlock()
		_ = l.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
		if len(out) > 0 {
			if _, err := l.conn.Write(out); err != nil {
				_ = l.conn.Close() // the reader sees it
				return
			}
		}
		if bye {
			return
		}
	}
}

func (r *roamer) fail(format string, args ...any) {
	if len(r.wrong) < 5 {
		r.wrong = append(r.wrong, fmt.Sprintf("client %d, session %d: ", r.name, r.epoch)+fmt.Sprintf(format, args...))
	}
}

func (r *roamer) complaints() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wrong
}

// live connects again and again until ctx ends.
func (r *roamer) live(ctx context.Context) {
	for ctx.Err() == nil {
		transport := r.t.transports[r.rnd.IntN(len(r.t.transports))]
		dialing, cancel := context.WithTimeout(ctx, 5*time.Second)
		conn, err := r.t.gates[r.rnd.IntN(len(r.t.gates))].dial(dialing, transport)
		cancel()
		if err == nil {
			r.t.connections.Add(1)
			r.use(ctx, conn)
			_ = conn.Close()
			if r.t.quitting.Load() && r.said() {
				return
			}
		}
		pause := time.Duration(r.rnd.Int64N(int64(50 * time.Millisecond)))
		if r.rnd.IntN(20) == 0 && !r.t.knife.blunt.Load() {
			pause *= 30 // a tunnel
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// use makes the most of one connection.
func (r *roamer) use(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(conn)
	r.mu.Lock()
	resume := map[string]any{}
	if r.token != "" {
		resume["token"], resume["received"] = r.token, r.received
	}
	r.mu.Unlock()
	hello, err := greet(conn, in, resume)
	if err != nil {
		if k, ok := errors.AsType[*kicked](err); ok {
			r.t.kick(k.Code)
		}
		return
	}
	_ = conn.SetDeadline(time.Time{})
	l := &line{conn: conn, wake: make(chan struct{}, 1), done: make(chan struct{})}
	if !r.begin(l, &hello) {
		return
	}
	if r.t.quitting.Load() {
		r.leave()
	}
	beat := time.Duration(hello.Sys.Heartbeat * float64(time.Second))
	var writing sync.WaitGroup
	writing.Go(func() { l.write(r, beat) })
	r.read(l, in, beat)
	r.mu.Lock()
	if r.line == l {
		r.line = nil
	}
	r.mu.Unlock()
	close(l.done)
	_ = conn.Close()
	writing.Wait()
}

// begin takes a handshake, and sends again what the server has not got.
func (r *roamer) begin(l *line, hello *welcome) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := hello.Sys.Resume
	if s == nil || s.Token == "" || len(s.Token) > 200 {
		r.fail("the handshake has %+v for a resume", s)
		return false
	}
	switch {
	case s.Resumed && (s.Refused != nil || r.token == ""):
		r.fail("a resume that is none: %+v", s)
		return false
	case s.Resumed:
		r.t.resumed.Add(1)
		if s.Received < r.base || s.Received > r.base+uint64(len(r.ring)) {
			r.fail("the server has received %d data packages, %d to %d are possible", s.Received, r.base, r.base+uint64(len(r.ring)))
			return false
		}
		r.forget(s.Received)
	case r.token != "":
		if s.Refused == nil {
			r.fail("refused without a reason")
		} else {
			r.lose(s.Refused.Code)
		}
	}
	r.token, r.ringSize = s.Token, s.Ring.Packages
	l.send(pack(typeHandshakeAck, nil))
	for _, frame := range r.ring {
		l.send(frame)
	}
	r.line = l
	return true
}

// lose begins anew, with a session that the server has given instead of the one that is gone.
func (r *roamer) lose(code string) {
	r.t.oracle.lost(lostSession{
		client: r.name, epoch: r.epoch, code: code, sent: r.number, pushed: r.pushed, received: r.received, bye: r.bye,
		answered: r.last,
	})
	r.epoch++
	r.received, r.acked, r.bytes, r.base, r.ring = 0, 0, 0, 0, nil
	r.number, r.last, r.pending, r.pushed, r.bye = 0, 0, nil, counted{}, false
}

// forget drops what the server has.
func (r *roamer) forget(number uint64) {
	if number > r.base {
		r.ring = r.ring[number-r.base:]
		r.base = number
	}
}

// read takes what comes until the connection ends.
func (r *roamer) read(l *line, in *bufio.Reader, beat time.Duration) {
	for {
		_ = l.conn.SetReadDeadline(time.Now().Add(2 * beat))
		typ, body, err := unpack(in)
		if err != nil {
			return
		}
		switch typ {
		case typeHeartbeat:
		case typeData:
			r.data(l, body)
		case typeAck:
			r.mu.Lock()
			n, rest := uint64(0), body
			for i := 0; len(rest) > 0; i, rest = i+7, rest[1:] {
				n |= uint64(rest[0]&0x7f) << i
			}
			if r.line == l && n > r.base+uint64(len(r.ring)) {
				r.fail("an ack of %d, %d were sent", n, r.base+uint64(len(r.ring)))
			} else if r.line == l {
				r.forget(n)
			}
			r.mu.Unlock()
		case typeKick:
			var why reason
			_ = json.Unmarshal(body, &why)
			r.t.kick(why.Code)
			return
		default:
			r.mu.Lock()
			r.fail("a package of type %d", typ)
			r.mu.Unlock()
			return
		}
	}
}

// data takes a message: from here on it has been received.
func (r *roamer) data(l *line, body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.received++
	r.bytes += len(body) + 4
	m, err := parse(body)
	switch {
	case err != nil:
		r.fail("%v", err)
	case m.kind == messagePush:
		r.news(&m)
	default:
		r.answer(&m)
	}
	if r.received-r.acked >= 32 || r.bytes >= 16<<10 {
		r.acknowledgeLocked(l)
	}
}

func (r *roamer) news(m *message) {
	var n news
	if err := json.Unmarshal(m.body, &n); err != nil || m.route != "news" {
		r.fail("a push %q: %q, %v", m.route, m.body, err)
		return
	}
	if before := r.pushed; !r.pushed.take(n) || n.Epoch != r.epoch {
		r.fail("push %+v behind %+v of session %d", n, before, r.epoch)
	}
}

func (r *roamer) answer(m *message) {
	var a reply
	if err := json.Unmarshal(m.body, &a); err != nil || m.error {
		r.fail("answer %d: %q, %v", m.id, m.body, err)
		return
	}
	if len(r.pending) == 0 {
		r.fail("answer %d to request %d, none has none", m.id, a.Number)
		return
	}
	p := r.pending[0]
	r.pending = r.pending[1:]
	if p.id != m.id || p.number != a.Number {
		r.fail("answer %d to request %d, expected %d to %d", m.id, a.Number, p.id, p.number)
	}
	if a.Pushed > r.pushed.here {
		r.fail("the answer to request %d came behind push %d, expected %d pushes before it", a.Number, r.pushed.here, a.Pushed)
	}
	r.last = a.Number
	r.t.answered.Add(1)
}

func (r *roamer) acknowledge(l *line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.received > r.acked {
		r.acknowledgeLocked(l)
	}
}

func (r *roamer) acknowledgeLocked(l *line) {
	if r.line != l {
		return
	}
	r.acked, r.bytes = r.received, 0
	l.send(pack(typeAck, varint(nil, r.received)))
}

// invent makes a question of some kind.
func invent(rnd *rand.Rand, q question) question {
	switch luck := rnd.IntN(100); {
	case luck < 30:
		q.Pushes = 1 + rnd.IntN(4)
	case luck < 50:
		q.Later = 1 + rnd.IntN(200)
	case luck < 51 && rnd.IntN(4) == 0: // more than the server's ring holds, and a cut in the middle of it
		q.Pushes = 3 * tortureRing
	}
	return q
}

// request asks the next question, if there is room for it. A connection need not be there.
func (r *roamer) request() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.token == "" || len(r.ring) >= r.ringSize || len(r.pending) >= 16 {
		return
	}
	r.number++
	q := invent(r.ask, question{Client: r.name, Epoch: r.epoch, Number: r.number})
	body, err := json.Marshal(q)
	if err != nil {
		panic(err) // five integers always marshal
	}
	var frame []byte
	if r.ask.IntN(5) == 0 {
		frame = ask(0, "note", body)
	} else {
		r.id++
		frame = ask(r.id, "do", body)
		r.pending = append(r.pending, pendingRequest{r.id, r.number})
	}
	r.ring = append(r.ring, frame)
	if r.line == nil {
		return
	}
	r.line.send(frame)
	if q.Pushes > tortureRing && !r.t.knife.blunt.Load() {
		if d := below(r.line.conn); d != nil {
			d.down.Store(int64(1 + r.ask.IntN(500)))
		}
	}
}

// below finds what cuts a connection.
func below(c net.Conn) *doomed {
	switch c := c.(type) {
	case *doomed:
		return c
	case *socket:
		return below(c.Conn)
	}
	return nil
}

// leave says goodbye over the connection that is there, as a client does that is closed.
func (r *roamer) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.line == nil {
		return
	}
	r.bye = true
	r.line.mu.Lock()
	r.line.bye = true
	r.line.mu.Unlock()
	r.line.send(pack(typeKick, nil))
}

// said tells whether the client has said goodbye.
func (r *roamer) said() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bye
}

// unsettled tells what the client or the server still waits for; nothing when both agree that all is done.
func (r *roamer) unsettled() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	handled, pushed := r.t.oracle.counts(r.name, r.epoch)
	if len(r.pending) == 0 && handled == r.number && pushed == r.pushed {
		return ""
	}
	return fmt.Sprintf("client %d, session %d: %d of %d requests handled, %d without an answer, %+v of %+v pushes received",
		r.name, r.epoch, handled, r.number, len(r.pending), r.pushed, pushed)
}
