package kcp

import (
	"sync"
	"time"

	kcpgo "github.com/xtaci/kcp-go/v5"
)

// pulse lets a client's kcp-go session rest. kcp-go flushes each session every interval, for ever: 10,000 clients that do nothing keep a core busy with it. So the
// interval is long while nothing waits for an acknowledgement, and as configured from the first byte on. The flush that kcp-go has planned by then is still the late one, so until it
// is over the pulse flushes, too.
type pulse struct {
	s    *kcpgo.UDPSession
	link *link
	cfg  Config

	mu     sync.Mutex
	timer  *time.Timer
	awake  bool
	since  time.Time // when it woke
	last   time.Time // when there was something to do last
	closed bool
}

// restInterval is the longest that kcp-go takes to notice that it is awake; it notices by itself only what finds the send window full.
const restInterval = 500 * time.Millisecond

func newPulse(s *kcpgo.UDPSession, l *link) *pulse {
	p := &pulse{s: s, link: l, cfg: l.cfg}
	p.timer = time.AfterFunc(time.Hour, p.tick)
	p.timer.Stop()
	p.setInterval(max(restInterval, p.interval()))
	return p
}

func (p *pulse) setInterval(d time.Duration) {
	p.s.SetNoDelay(p.cfg.NoDelay, int(d.Milliseconds()), p.cfg.Resend, p.cfg.NC)
}

func (p *pulse) interval() time.Duration { return time.Duration(p.cfg.Interval) * time.Millisecond }

// wake is called when something is about to be sent, or has come that is to be acknowledged.
func (p *pulse) wake(now time.Time) {
	if p.interval() >= restInterval {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = now
	if p.awake || p.closed {
		return
	}
	p.awake, p.since = true, now
	p.setInterval(p.interval())
	p.timer.Reset(p.interval())
}

// tick flushes, until kcp-go does; then it looks now and then whether there is nothing to do any more.
func (p *pulse) tick() {
	const look = 100 * time.Millisecond
	now := time.Now()
	busy, room := p.link.unacknowledged(p.cfg.SndWnd)
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	flush := now.Sub(p.since) < restInterval+p.interval()
	if !busy && now.Sub(p.last) > 3*p.interval() {
		p.awake = false
		p.setInterval(restInterval)
		p.mu.Unlock()
		return
	}
	wait := look
	if flush {
		wait = p.interval()
	}
	p.timer.Reset(wait)
	p.mu.Unlock()
	if flush && room {
		_, _ = p.s.WriteBuffers(nil) // writes nothing, and flushes
	}
}

func (p *pulse) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.timer.Stop()
}
