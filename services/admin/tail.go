package admin

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
)

// Bounds of looking at live messages.
const (
	maxTails    = 16  // actors at a time
	keptTail    = 500 // messages of each
	tailRate    = 200 // messages of one actor that are kept in a second
	tailContent = 1 << 10
	// tailLease is for how long messages are kept that nobody has asked for.
	tailLease = 10 * time.Second
	// maxWait is how long a request may wait for something new.
	maxWait = 2000
)

// TailMessage is a message as an actor was about to handle it.
type TailMessage struct {
	Time    time.Time `json:"time"`
	From    string    `json:"from,omitempty" doc:"Address of its sender; none for messages from outside of all actors."`
	Type    string    `json:"type"`
	Request bool      `json:"request" doc:"Whether its sender waits for an answer."`
	Content string    `json:"content,omitempty" doc:"Of messages of scripts: the arguments as Lua writes them, up to 1 KiB."`

	skipped uint64 // before it
}

// TailPage is some of the messages, the oldest first.
type TailPage struct {
	Messages []TailMessage `json:"messages"`
	Next     string        `json:"next" doc:"Cursor of what comes behind them."`
	Skipped  uint64        `json:"skipped,omitempty" doc:"Messages since the cursor that are not shown: more than 200 in a second, or the reader was too slow."`
	Ended    bool          `json:"ended,omitempty" doc:"The actor has ended."`
	Stuck
}

// tails are the actors whose messages somebody looks at.
type tails struct {
	mu  sync.Mutex
	all map[actor.Ref]*tail
}

// tail keeps the newest messages of one actor.
type tail struct {
	ended  <-chan struct{}
	remove func()
	lease  *time.Timer // the lock of all is its, and that of until
	until  time.Time

	mu      sync.Mutex
	ring    []TailMessage
	n       uint64 // of those that were kept
	skipped uint64 // since the newest of them
	second  int64
	kept    int
	news    chan struct{}
}

// tailRoutes follow what happens.
func (s *Server) tailRoutes() []route {
	follow := []param{
		pageParams()[0],
		{name: "cursor", kind: "string", doc: "Next of the page before; without one, the newest that are kept."},
		{name: "wait", kind: "integer", most: maxWait, def: 1, doc: "How many milliseconds to wait if there is nothing."},
	}
	messages := route{
		method: http.MethodGet, path: "/actors/{id}/tail", id: "tail", role: Operate, path1: &param{name: "id", doc: "An actor's id, its name, or a script that no other one runs."},
		summary: "The messages of an actor as they come, from the first request on until nobody has asked for 10 s", query: follow, answer: TailPage{}, serve: s.tail,
	}
	if s.API.Log == nil {
		return []route{messages}
	}
	return []route{messages, {
		method: http.MethodGet, path: "/log", id: "log", role: Operate, summary: "The newest lines of the node's log", answer: LogPage{}, serve: s.readLog,
		query: append(follow[:len(follow):len(follow)],
			param{name: "level", kind: "string", options: []string{"debug", "info", "warn", "error"}, doc: "Only lines of this level and above, of those that the node logs."},
			param{name: "actor", kind: "string", doc: "Only lines of an actor, by its name or address, or of a script."},
			param{name: "contains", kind: "string", doc: "Only lines with this text in the message or in an attribute."}),
	}}
}

// readLog answers with what is there, or waits for it.
func (s *Server) readLog(q *query) (any, error) {
	f := logFilter{level: slog.LevelDebug, actor: q.text["actor"], contains: q.text["contains"]}
	if text := q.text["level"]; text != "" {
		if err := f.level.UnmarshalText([]byte(text)); err != nil {
			return nil, failure(codeBad, "level: %v", err)
		}
	}
	cursor, missed := q.text["cursor"], uint64(0)
	ctx, cancel := q.patience()
	defer cancel()
	for {
		p, more, err := s.API.Log.page(cursor, q.number["limit"], &f)
		if err != nil {
			return nil, err
		}
		p.Missed += missed
		if len(p.Lines) > 0 {
			return p, nil
		}
		select {
		case <-more:
			cursor, missed = p.Next, p.Missed
		case <-ctx.Done():
			return p, nil
		}
	}
}

// patience ends when a request has waited for long enough.
func (q *query) patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(q.r.Context(), time.Duration(q.number["wait"])*time.Millisecond)
}

// tail answers with messages of an actor. The first request begins to look at them, which is audited, since players' own words may be in them.
func (s *Server) tail(q *query) (any, error) {
	info, err := s.find(q.path1)
	if err != nil {
		return nil, err
	}
	t, begun, err := s.tails.of(s.API.System, info.Ref)
	if err != nil {
		return nil, err
	}
	if begun {
		s.record(Entry{
			Node: s.Version.Node, Who: q.who.Name, Role: q.who.Role.String(), From: q.r.RemoteAddr, Action: "tail", Target: clip(q.path1), Outcome: Begun,
		})
	}
	ctx, cancel := q.patience()
	defer cancel()
	for {
		p, more, err := t.page(q.text["cursor"], q.number["limit"])
		if err != nil || len(p.Messages) > 0 {
			return p, err
		}
		select {
		case <-more:
		case <-t.ended:
			if p, _, err = t.page(q.text["cursor"], q.number["limit"]); err == nil {
				p.Ended = len(p.Messages) == 0
			}
			return p, err
		case <-ctx.Done():
			p.Stuck = s.stuck(info.Ref, nil)
			return p, nil
		}
	}
}

// of begins to look at an actor's messages, or goes on for a while more.
func (all *tails) of(sys *actor.System, ref actor.Ref) (t *tail, begun bool, err error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if t = all.all[ref]; t != nil {
		t.until = time.Now().Add(tailLease)
		t.lease.Reset(tailLease)
		return t, false, nil
	}
	if len(all.all) >= maxTails {
		return nil, false, failure(codeBusy, "messages of %d actors are looked at already, as many as may be; one that nobody asks for is given up after %v", maxTails, tailLease)
	}
	t = &tail{ended: sys.Ended(ref), until: time.Now().Add(tailLease)}
	if t.remove, err = sys.Tap(ref, t.see); err != nil {
		return nil, false, err
	}
	if all.all == nil {
		all.all = map[actor.Ref]*tail{}
	}
	all.all[ref] = t
	t.lease = time.AfterFunc(tailLease, func() {
		all.mu.Lock()
		defer all.mu.Unlock()
		if all.all[ref] != t || time.Until(t.until) > 0 { // it was asked for at the last moment
			return
		}
		delete(all.all, ref)
		t.remove()
	})
	return t, true, nil
}

// close ends all.
func (all *tails) close() {
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, t := range all.all {
		t.lease.Stop()
		t.remove()
	}
	all.all = nil
}

// see takes a message. It is called by the actor, which waits meanwhile.
func (t *tail) see(in actor.Inbound) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if second := in.At.Unix(); second != t.second {
		t.second, t.kept = second, 0
	}
	if t.kept++; t.kept > tailRate {
		t.skipped++
		return
	}
	if t.ring == nil {
		t.ring = make([]TailMessage, keptTail)
	}
	m := seen(&in)
	m.skipped, t.skipped = t.skipped, 0
	t.ring[t.n%keptTail] = m
	t.n++
	if t.news != nil {
		close(t.news)
		t.news = nil
	}
}

// seen is a message as it is shown. Only what scripts say is: other messages belong to whoever handles them, and may hold secrets.
func seen(in *actor.Inbound) TailMessage {
	m := TailMessage{Time: in.At.UTC(), Type: clip(typeOf(in.Message)), Request: in.Request}
	if !in.From.IsZero() {
		m.From = in.From.String()
	}
	if script, ok := in.Message.(lua.Message); ok {
		m.Content = textOf(script.Args, tailContent)
	}
	return m
}

// page has up to limit messages behind a cursor, without one all that are kept; and what is closed when there are more.
func (t *tail) page(cursor string, limit int) (p TailPage, more <-chan struct{}, err error) {
	p.Messages = []TailMessage{}
	t.mu.Lock()
	defer t.mu.Unlock()
	first := t.n - min(t.n, keptTail)
	from := first
	if cursor != "" {
		if from, err = strconv.ParseUint(cursor, 10, 64); err != nil {
			return p, nil, failure(codeBad, "cursor: expected next of a page before")
		}
		switch {
		case from > t.n: // of a look before this one
			from = first
		case from < first:
			p.Skipped, from = first-from, first
		}
	}
	at := from
	for ; at < t.n && len(p.Messages) < limit; at++ {
		m := t.ring[at%keptTail]
		p.Skipped += m.skipped
		p.Messages = append(p.Messages, m)
	}
	p.Next = strconv.FormatUint(at, 10)
	if t.news == nil {
		t.news = make(chan struct{})
	}
	return p, t.news, nil
}
