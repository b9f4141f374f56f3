package gate

import (
	"errors"
	"fmt"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/login"
)

// players is the actor that knows who is in: a player has at most one agent, and an agent at most one session. It never waits for anybody: a player
// is in a stage, and whatever changes that ends in advance, which finds out what can be done now.
type players struct {
	gate    *Gate
	byUID   map[string]*player
	byAgent map[actor.Ref]*player
	stopped bool
}

type player struct {
	uid, name string
	stamp     stamp     // of the newest login
	came      time.Time // when that came here
	agent     actor.Ref
	stage     stage
	session   actor.Ref // who is attached; zero while there is no client
	closing   bool      // the session is asked to close, and may still send requests until it has answered
	next      waiter    // the newest login; those before it have been replaced
	linger    *actor.Timer
	rehomed   bool            // its session is to get another agent: this node drains
	asking    int             // gates of other nodes that may have the player, and have not answered
	yields    []actor.Promise // of other nodes, where the player is to be
	anew      bool            // another node has it, or had, since the others were asked: they are asked again before an agent starts
}

// stage is how far a player's agent is.
type stage uint8

const (
	absent   stage = iota // there is none
	starting              // its start has not returned
	ready                 // it takes sessions
	ending                // it saves; there is no next one before it is gone
)

type waiter struct {
	session  actor.Ref
	promise  actor.Promise
	inflates bool
}

// open asks for a session of a connection that has shaken hands: answered when the connection has it.
type open struct{ link *link }

// watch tells that sessions wait for their clients.
type watch struct{}

// Expendable: a gate that ends, ends all sessions.
func (watch) Expendable() {}

// detach tells that a session sends nothing more.
type detach struct{ UID, Reason string }

// attachTimeout bounds the wait for an agent: an old one saves, a new one loads.
const attachTimeout = 15 * time.Second

// Expendable: a gate that ends, ends all agents.
func (detach) Expendable() {}

var loggedInElsewhere = packet.Reason{Code: kickReplaced, Msg: "the player has logged in elsewhere"} //nolint:gochecknoglobals // a constant

// Start listens to who has to go.
func (p *players) Start(c *actor.Context) error {
	c.Subscribe(login.Topic)
	return nil
}

// Stop ends the agents in shared VMs; others end with the gate, whose children they are.
func (p *players) Stop(c *actor.Context, reason error) {
	p.stopped = true
	if p.gate.cfg.SharedVMs {
		for ref := range p.byAgent {
			c.Stop(ref, reason)
		}
	}
}

// Receive handles what sessions ask for.
func (p *players) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case open:
		p.open(c, m)
	case attach:
		p.attach(c, m)
	case login.Out:
		p.out(c, m)
	case detach:
		p.detach(c, c.From(), m)
	case watch:
		p.watch(c)
	case take:
		p.taken(c, m)
	case arrive:
		p.arrive(c, m)
	case yield:
		p.yield(c, m)
	case drain:
		p.drain(c)
	case toPlayer, who, agentsOf, everywhere, anywhere:
		p.forPlayer(c, m)
	case actor.Terminated:
		if pl := p.byAgent[m.Ref]; pl != nil {
			p.agentEnded(c, pl, m.Reason)
		} else {
			p.sessionEnded(c, m.Ref)
		}
	default:
		c.Reply(nil, fmt.Errorf("gate: %T is no message of the gate", msg))
	}
}

func (p *players) open(c *actor.Context, m open) {
	g, l := p.gate, m.link
	place := &Session{gate: g, link: l, opened: c.Promise(), state: state{resumes: l.resumes, inflates: l.inflates}}
	if l.resumes {
		place.state.keys = &keys{known: l.token}
	}
	g.cfg.Metrics.sessions.Inc() // until the place's end
	l.place.Store(place)
	ref, err := c.Spawn(actor.Spec{
		Kind: sessionKind, New: func() actor.Actor { return &session{Session: place} },
		// What panics here is a defect; the client has to begin anew, since nobody knows which of its requests were handled.
		Supervision: actor.Supervision{Limit: -1},
	})
	if err != nil {
		place.end(err)
		c.Reply(nil, err)
		return
	}
	c.Watch(ref)
}

// watch ends the sessions whose clients did not come back, and waits for the next one.
func (p *players) watch(c *actor.Context) {
	now := c.System().Now()
	ended, next := p.gate.waiting.due(now)
	for _, s := range ended {
		s.expired(errExpired)
	}
	if !next.IsZero() {
		c.Detached(func() { c.After(max(next.Sub(now), 0), func() { p.watch(c) }) })
	}
}

// sessionEnded cleans up behind a session, which has done it itself unless it panicked.
func (p *players) sessionEnded(c *actor.Context, ref actor.Ref) {
	s := p.gate.cfg.Sessions.Find(ref.ID())
	if s == nil {
		return
	}
	uid := s.UID()
	if s.isElsewhere() {
		s.end(&refusal{packet.Reason{Code: kickInternal, Msg: "internal error"}})
	}
	s.endHere(&refusal{packet.Reason{Code: kickInternal, Msg: "internal error"}})
	p.detach(c, ref, detach{uid, goneFailed})
}

func (p *players) attach(c *actor.Context, m attach) {
	if why := p.unfit(c, m); why != nil {
		c.Reply(nil, why)
		return
	}
	pl := p.byUID[m.UID]
	unknown := pl == nil
	if unknown {
		pl = &player{uid: m.UID, name: m.Name}
		p.byUID[m.UID] = pl
	}
	if pl.linger != nil {
		pl.linger.Cancel()
		pl.linger = nil
	}
	if !m.Old.IsZero() && m.Stamp.before(pl.stamp) { // it comes back for another agent, and its player has logged in anew
		c.Reply(nil, &refusal{loggedInElsewhere})
		return
	}
	p.refuse(c, pl, &refusal{loggedInElsewhere})
	pl.stamp, pl.came = m.Stamp, c.System().Now()
	pl.next = waiter{c.From(), c.Promise(), m.Inflates}
	if !pl.session.IsZero() && !pl.closing {
		p.evict(c, pl)
	}
	if unknown {
		p.inquire(c, pl, m.Old)
	}
	p.advance(c, pl)
}

// refuse tells the session that waits that there will be no agent for it. One that is replaced is closed, too.
func (p *players) refuse(c *actor.Context, pl *player, why error) {
	if pl.next.session.IsZero() {
		return
	}
	var replaced *refusal
	if errors.As(why, &replaced) && replaced.Code == kickReplaced {
		p.gate.cfg.Metrics.replaced.Inc()
		c.Send(pl.next.session, kick{replaced.Reason})
	}
	pl.next.promise.Reply(nil, why)
	pl.next = waiter{}
}

// evict closes the session that is attached. When it has answered, all that it ever sent to the agent is in the agent's mailbox, so the agent hears of
// the next session behind the last request of this one.
func (p *players) evict(c *actor.Context, pl *player) {
	p.gate.cfg.Metrics.replaced.Inc()
	pl.closing = true
	old := pl.session
	c.Detached(func() {
		c.Ask(old, kick{loggedInElsewhere}, func(any, error) { p.detach(c, old, detach{pl.uid, kickReplaced}) })
	})
}

// detach ends what ties a session to its player. It may come more than once.
func (p *players) detach(c *actor.Context, session actor.Ref, m detach) {
	pl := p.byUID[m.UID]
	if pl == nil {
		return
	}
	if pl.next.session == session {
		p.refuse(c, pl, errLeft)
	}
	if pl.session == session {
		p.tell(c, pl, "disconnect", m.Reason)
		pl.session, pl.closing = actor.Ref{}, false
	}
	p.advance(c, pl)
}

// advance does what can be done for a player now. A player who is starting or ending advances when the agent has.
func (p *players) advance(c *actor.Context, pl *player) {
	waits, attached := !pl.next.session.IsZero(), !pl.session.IsZero()
	switch {
	case attached, pl.asking > 0: // a next one has to wait until this one has closed, also on another node
	case pl.stage == absent && waits && (len(pl.yields) > 0 || pl.anew): // somebody has logged in here behind one there
		p.yielded(pl)
		pl.anew = false
		p.inquire(c, pl, actor.Ref{})
		p.advance(c, pl)
	case pl.stage == absent && waits:
		p.startAgent(c, pl)
	case pl.stage == absent && p.byUID[pl.uid] == pl:
		delete(p.byUID, pl.uid)
		p.yielded(pl)
	case pl.stage == ready && waits:
		p.welcome(c, pl)
	case pl.stage == ready && (len(pl.yields) > 0 || p.gate.draining.Load()):
		p.end(c, pl, nil)
	case pl.stage == ready:
		p.startLinger(c, pl)
	}
}

func (p *players) startAgent(c *actor.Context, pl *player) {
	cfg, args := &p.gate.cfg, value.Of(map[string]any{"uid": pl.uid, "name": pl.name})
	pl.stage = starting
	if !cfg.SharedVMs {
		ref, err := c.Spawn(cfg.Runtime.Spec(cfg.Agent, args))
		p.begun(c, pl, ref, err)
		return
	}
	launcher, ok := c.System().Lookup(lua.LauncherName)
	if !ok {
		p.begun(c, pl, actor.Ref{}, errNoLauncher)
		return
	}
	c.Detached(func() {
		c.AskFor(launcher, lua.Launch{Script: cfg.Agent, Args: args, Shared: true, Soon: true}, attachTimeout, func(v any, err error) {
			ref, _ := v.(actor.Ref)
			p.begun(c, pl, ref, err)
		})
	})
}

// errNoLauncher is for a node that has no launcher, or whose launcher has stopped.
var errNoLauncher = errors.New("gate: agents that share VMs need the launcher, which is not running")

// begun waits until the agent is ready.
func (p *players) begun(c *actor.Context, pl *player, ref actor.Ref, err error) {
	if err == nil && p.stopped {
		c.Stop(ref, nil)
		err = actor.ErrStopped
	}
	if err != nil {
		pl.stage = absent
		p.refuse(c, pl, err)
		p.advance(c, pl)
		return
	}
	pl.agent = ref
	p.byAgent[ref] = pl
	c.Watch(ref)
	c.Detached(func() {
		c.AskFor(ref, lua.Ready{}, attachTimeout, func(_ any, err error) {
			switch {
			case pl.agent != ref: // it has ended, and that was dealt with
			case err != nil:
				p.refuse(c, pl, err)
				p.end(c, pl, err)
			default:
				pl.stage = ready
				p.advance(c, pl)
			}
		})
	})
}

// welcome attaches the session that waits: itself, or what stands in for it on this node.
func (p *players) welcome(c *actor.Context, pl *player) {
	w, agent := pl.next, pl.agent
	handle := w.session
	if w.session.IsRemote() {
		var err error
		if handle, err = p.standIn(c, w.session, pl.uid, w.inflates); err != nil {
			p.refuse(c, pl, err)
			p.advance(c, pl)
			return
		}
		c.Watch(handle)
	}
	pl.session, pl.next = handle, waiter{}
	c.Detached(func() {
		c.Ask(agent, lua.Command("connect", int64(handle.ID())), func(_ any, err error) {
			in := false
			if err != nil && !noHandler(err) {
				w.promise.Reply(nil, err)
			} else {
				in = w.promise.Reply(attached{agent, handle}, nil) // false: it has given up
			}
			if !in && handle != w.session { // the session knows nothing of what stands in for it
				c.Send(handle, ended{packet.Reason{Code: goneFailed}, packet.ResumeUnknown})
			}
		})
	})
}

// noHandler tells whether the script simply has no function for it, which is its good right.
func noHandler(err error) bool {
	var none *lua.NoHandlerError
	return errors.As(err, &none)
}

// tell calls a function of the agent that it may have, about the session that is attached.
func (p *players) tell(c *actor.Context, pl *player, what, reason string) {
	if pl.agent.IsZero() {
		return
	}
	msg := lua.Command(what, int64(pl.session.ID()), reason)
	c.Detached(func() {
		c.Ask(pl.agent, msg, func(_ any, err error) {
			if err != nil && !noHandler(err) && !errors.Is(err, actor.ErrStopped) && !errors.Is(err, actor.ErrNoActor) {
				c.Log().Warn("agent's "+what+" failed", "player", pl.uid, "error", err)
			}
		})
	})
}

func (p *players) startLinger(c *actor.Context, pl *player) {
	if p.gate.cfg.Linger <= 0 {
		p.end(c, pl, nil)
		return
	}
	if pl.linger != nil {
		return
	}
	c.Detached(func() {
		pl.linger = c.After(p.gate.cfg.Linger, func() {
			pl.linger = nil
			if pl.stage == ready {
				p.end(c, pl, nil)
			}
		})
	})
}

// end stops the agent; agentEnded hears when it has saved and is gone.
func (p *players) end(c *actor.Context, pl *player, why error) {
	pl.stage = ending
	if why == nil {
		c.Drain(pl.agent, 0) // behind its disconnect and the last requests
		return
	}
	c.Stop(pl.agent, why)
}

// agentEnded forgets an agent. Whoever waits for the player gets the next one, unless this one did not even start: then there is nothing to hope for.
func (p *players) agentEnded(c *actor.Context, pl *player, reason error) {
	was := pl.stage
	delete(p.byAgent, pl.agent)
	pl.agent, pl.stage = actor.Ref{}, absent
	if pl.linger != nil {
		pl.linger.Cancel()
		pl.linger = nil
	}
	if was == starting {
		p.refuse(c, pl, fmt.Errorf("gate: the agent ended before it was ready: %w", cause(reason)))
	}
	if !pl.session.IsZero() && !p.stopped {
		c.Log().Error("agent ended while its player was in", "player", pl.uid, "reason", reason)
		c.Send(pl.session, kick{packet.Reason{Code: kickAgentEnded, Msg: "the game had to end your session; log in again"}})
		pl.session, pl.closing = actor.Ref{}, false
	}
	p.advance(c, pl)
}

func cause(reason error) error {
	if reason == nil {
		return actor.ErrStopped
	}
	return reason
}
