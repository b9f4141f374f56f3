package reload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skua-go/skua/actor"
	code "github.com/skua-go/skua/lua/reload"
)

// straggler is an actor that may not run what its node does: it has not answered, it is in quarantine, or it can't go back from a change that was undone.
type straggler struct {
	target
	down bool // what brings it to the node's version is a downgrade
	// why is what its hook has said; empty if it has not answered, and is looked at as soon as it does. due is when it is asked again.
	why string
	due time.Time
}

// missing notes an actor that has not answered: what it was asked for may still be done.
func (p *part) missing(t target, down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.late[t.ref] = straggler{target: t, down: down}
}

// refuses notes an actor that can't go back, since its hook has failed. Its state is that of the version that it runs, so it stays there, and is asked again: what was wrong
// may be over by then. An actor that has not answered is noted already.
func (p *part) refuses(t target, down bool, err error) {
	if errors.Is(err, ErrStuck) || errors.Is(err, context.Canceled) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.late[t.ref] = straggler{target: t, down: down, why: clip(err.Error()), due: time.Now().Add(p.cfg.TryEvery)}
}

// awake leaves out those in quarantine, who handle nothing until they are released: settle brings them over then, in the same direction.
func (p *part) awake(list []target, down bool) []target {
	aside := p.cfg.System.InQuarantine()
	if len(aside) == 0 {
		return list
	}
	awake := make([]target, 0, len(list))
	for _, t := range list {
		if _, is := aside[t.ref]; is {
			p.missing(t, down)
			continue
		}
		awake = append(awake, t)
	}
	if n := len(list) - len(awake); n > 0 {
		p.log.Warn("reload: actors in quarantine come over when they are released", "actors", n)
	}
	return awake
}

// refusing counts the actors that can't go back.
func (p *part) refusing() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.late {
		if s.why != "" {
			n++
		}
	}
	return n
}

// whyOld says why an actor does not run the node's version.
func (p *part) whyOld(t target, version string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.late[t.ref]; s.why != "" {
		return fmt.Sprintf("it can't come over to version %s, and is asked again each %v: %s", version, p.cfg.TryEvery, s.why)
	}
	return "it has not come over to version " + version + ": see the node's log"
}

// settleTime bounds one look at the stragglers.
const settleTime = time.Second

// settle looks at the stragglers: they may have come to what they were told since, and that may not be the node's version any more.
func (p *part) settle(ctx context.Context) {
	late := p.due()
	if len(late) == 0 {
		return
	}
	select {
	case p.turn <- struct{}{}:
	default:
		return // a change is under way, which brings them over itself
	}
	defer p.leave()
	p.mu.Lock()
	busy := p.change != nil
	p.mu.Unlock()
	if busy {
		return
	}
	to := p.cfg.Runtime.Version()
	text := func(id string) (*code.Version, error) {
		if id == to.ID() {
			return to, nil
		}
		return p.text(ctx, id)
	}
	ways := map[bool]*updates{}
	list := make([]target, 0, len(late))
	for _, s := range late {
		if list = append(list, s.target); ways[s.down] == nil {
			ways[s.down] = newUpdates(s.down, text)
		}
	}
	limited, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	p.each(limited, list, func(t target) {
		s := late[t.ref]
		report, err := p.bring(limited, t, to, ways[s.down], s.down)
		if err != nil {
			if limited.Err() == nil {
				p.refuses(t, s.down, err)
				p.log.Error("reload: an actor does not come over to the node's version, and is asked again", "actor", t.String(), "version", to.ID(), "after", p.cfg.TryEvery, "error", err)
			}
			return
		}
		if report != nil {
			p.log.Info("reload: an actor that was behind has come over", "actor", t.String(), "version", to.ID())
		}
		p.mu.Lock()
		delete(p.late, t.ref)
		p.mu.Unlock()
	})
	for _, u := range ways {
		u.leave(to.ID())
	}
}

// due are the stragglers that are to be asked now.
func (p *part) due() map[actor.Ref]straggler {
	p.mu.Lock()
	defer p.mu.Unlock()
	late := map[actor.Ref]straggler{}
	if len(p.late) == 0 {
		return late
	}
	aside := p.cfg.System.InQuarantine()
	for ref, s := range p.late {
		if _, is := aside[ref]; !is && !time.Now().Before(s.due) {
			late[ref] = s
		}
	}
	return late
}
