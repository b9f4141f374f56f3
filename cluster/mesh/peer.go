package mesh

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
)

// peer is one incarnation of another node: the actor.Remote of its Refs.
type peer struct {
	m       *Mesh
	name    string
	subject string
	node    *actor.Node
	coder   *wire.Coder

	out     outlet
	in      inlet
	calls   calls
	acks    acks
	chokes  chokes
	served  served
	watched watched
	noting  noting

	up    atomic.Bool
	armed atomic.Bool   // its goroutine comes around by itself
	wake  chan struct{} // to come around now

	mu     sync.Mutex // of going up and down
	stop   chan struct{}
	linked uint64 // the incarnation of this node that has had a link
	gone   bool   // for good: it has left, or another incarnation has its name
}

func newPeer(m *Mesh, name string, incarnation uint64) *peer {
	p := &peer{m: m, name: name, subject: subjectOf(name, incarnation), wake: make(chan struct{}, 1)}
	p.node = actor.NewNode(name, incarnation, p)
	p.coder = wire.NewCoder(m.cfg.Types, m.sys.Node(), p.node, m.sys.NodeOf)
	p.out.p, p.in.p, p.acks.p, p.chokes.p, p.served.p, p.watched.p = p, p, p, p, p, p
	return p
}

// poke has the peer's goroutine come around now.
func (p *peer) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// arm has it come around soon, to look after what is on the way.
func (p *peer) arm() {
	if !p.armed.Load() && p.armed.CompareAndSwap(false, true) {
		p.poke()
	}
}

// goUp begins to reach the node.
func (p *peer) goUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop != nil || p.gone || !p.m.enter() {
		return
	}
	p.stop = make(chan struct{})
	own := p.m.own.Load()
	p.acks.begin(p.linked == own) // then the other node knows this one as the same, and may not know that the link was down
	p.linked = own
	p.up.Store(true)
	go p.run(p.stop)
}

// goDown ends what was on the way to and from the node. forGood says that this incarnation does not come back.
func (p *peer) goDown(why string, forGood bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = p.gone || forGood
	p.up.Store(false)
	p.out.end()
	if p.stop != nil {
		close(p.stop)
		p.stop = nil
	}
	p.in.reset()
	p.forsake(why)
	if forGood {
		p.acks.fail(p.unreachable(why))
	}
}

// bounce begins the link to the node anew: what was on the way there may be lost, so all who wait for an answer are told. What comes from there goes on.
func (p *peer) bounce(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop == nil {
		return
	}
	if !p.out.onlyGreets() {
		p.m.metrics.bounced.Inc()
		p.m.log.Warn("cluster: what was on the way to a node is lost", "to", p.name, "reason", why)
	}
	p.acks.begin(true)
	p.forsakenBy(why)
}

// forsake fails all that waits for the node, and gives up what it waits for here.
func (p *peer) forsake(why string) {
	p.forsakenBy(why)
	p.forsakeIts()
}

// forsakenBy fails all that waits for the node. Whoever watches an actor there hears of its end before a call to it fails, so that it does not call again in vain.
func (p *peer) forsakenBy(why string) {
	err := p.unreachable(why)
	lost := p.calls.takeAll() // not those that watchers make now: the node may be within reach again
	p.watched.fail(err)
	for _, who := range lost {
		who.Reply(nil, err)
	}
	p.chokes.clear()
}

// forsakeIts gives up what the node waits for here.
func (p *peer) forsakeIts() {
	p.served.giveUp()
	p.m.tell(dropWatches{p})
}

func (p *peer) unreachable(why string) error {
	return &actor.Error{Code: actor.Unreachable, Actor: p.name, Text: why}
}

// comeAround is how often a peer's goroutine looks after what is on the way.
const comeAround = 10 * time.Millisecond

// run publishes what others have left to it, and looks after what is on the way, until stop is closed.
func (p *peer) run(stop chan struct{}) {
	defer p.m.leave()
	var lastTry, swept time.Time
	tick := time.NewTimer(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-p.wake:
		case <-tick.C:
		}
		now := time.Now()
		silent, busy := p.out.serve(now, &lastTry)
		if silent > p.m.cfg.Silent {
			p.bounce("it acknowledges nothing")
		}
		owes, urgent := p.in.owes(now)
		if urgent {
			p.sayOnly(0)
			owes = false
		}
		busy = p.chokes.look() || busy
		if now.Sub(swept) > time.Second {
			swept = now
			p.served.sweep(now)
		}
		p.armed.Store(busy || owes || p.served.any())
		if p.armed.Load() {
			tick.Reset(comeAround)
		} else if busy, _ := p.in.owes(now); busy || p.out.busy() {
			p.arm() // it came while it was decided that there is nothing
		}
	}
}

// sayOnly publishes a batch that has no frames, only news of the link the other way.
func (p *peer) sayOnly(flags byte) {
	link, number := p.in.acknowledge()
	p.say(flags, link, number)
}

func (p *peer) say(flags byte, ackLink, ack uint64) {
	p.out.mu.Lock()
	own := p.out.link
	flags |= p.out.known()
	p.out.mu.Unlock()
	b := p.m.newHead(nil)
	setHead(b, flags, max(own, 1), 0, ackLink, ack)
	p.m.publish(p.subject, b)
}

func (o *outlet) busy() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.sent) > 0 || o.pending > 0
}
