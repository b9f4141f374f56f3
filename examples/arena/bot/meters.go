package bot

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/skua-go/skua/clients/go"
)

// meters count what a run does while it does it.
type meters struct {
	in, requests, answers, pushes, resumes    atomic.Int64
	relogins                                  atomic.Int64
	connect, login, request, back, lastSecond *histogram
}

func newMeters() *meters {
	return &meters{connect: newHistogram(), login: newHistogram(), request: newHistogram(), back: newHistogram(), lastSecond: newHistogram()}
}

func (m *meters) answered(took time.Duration) {
	m.answers.Add(1)
	m.request.add(took)
	m.lastSecond.add(took)
}

// event is Options.OnEvent of all clients.
func (m *meters) event(e client.Event) {
	switch e.Kind {
	case client.Resumed:
		m.resumes.Add(1)
		m.back.add(e.Away)
	case client.LoggedIn: // by token: the session is lost, and so is what was asked of it
		m.relogins.Add(1)
		m.back.add(e.Away)
	case client.Away, client.Lost, client.Kicked: // shows in what was asked
	}
}

// Snapshot is how far a run is.
type Snapshot struct {
	Since   time.Duration `json:"since"`   // the run has begun
	Clients int           `json:"clients"` // that are in
	Wanted  int           `json:"wanted"`
	Answers int64         `json:"answers"`
	Pushes  int64         `json:"pushes"`
	Resumes int64         `json:"resumes"`
	Errors  int           `json:"errors"`
	Latency Latency       `json:"latency"` // of the answers of the last second
}

// watch calls Progress every second until ctx ends.
func (r *run) watch(ctx context.Context) {
	began := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		m := r.meters
		r.cfg.Progress(Snapshot{
			Since: time.Since(began), Clients: int(m.in.Load()), Wanted: len(r.players), Answers: m.answers.Load(), Pushes: m.pushes.Load(),
			Resumes: m.resumes.Load(), Errors: r.errors.number(), Latency: m.lastSecond.take(),
		})
	}
}

// errorList collects errors up to a bound, and counts them by kind.
type errorList struct {
	mu    sync.Mutex
	texts []string
	count int
	kinds map[string]int
}

// add is for what the node did wrong: something that no order of events explains.
func (l *errorList) add(format string, args ...any) { l.kind("wrong", format, args...) }

func (l *errorList) kind(kind, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if l.kinds == nil {
		l.kinds = make(map[string]int)
	}
	if len(l.kinds) >= MaxErrors && l.kinds[kind] == 0 {
		kind = "other"
	}
	l.kinds[kind]++
	if len(l.texts) < MaxErrors {
		l.texts = append(l.texts, fmt.Sprintf(format, args...))
	}
}

func (l *errorList) number() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// kindOf names an error for the report: answer:CODE, kick:CODE, timeout, and so on.
func kindOf(err error) string {
	var answer *client.Error
	var kick *client.KickError
	switch {
	case errors.As(err, &answer):
		return "answer:" + answer.Code
	case errors.As(err, &kick):
		return "kick:" + kick.Code
	case errors.Is(err, client.ErrSessionLost):
		return "session_lost"
	case errors.Is(err, client.ErrServerSilent):
		return "silent"
	case errors.Is(err, client.ErrServerClosed), errors.Is(err, client.ErrWrite):
		return "connection"
	case errors.Is(err, client.ErrProtocol):
		return "protocol"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, client.ErrRing), errors.Is(err, client.ErrBacklog), errors.Is(err, client.ErrTooManyRequests):
		return "overload"
	}
	return "other"
}
