package sharedata

import (
	"context"
	"errors"
	"fmt"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

// loader is the actor that has tables made of texts and files, those of one name in the order in which they were asked for.
type loader struct {
	srv     *Service
	busy    map[target][]load // names for which something is being made, and what waits behind it
	waiting int

	stopping context.Context //nolint:containedctx // of the actor
	stop     context.CancelFunc
}

func newLoader(srv *Service) *loader {
	l := &loader{srv: srv, busy: map[target][]load{}}
	l.stopping, l.stop = context.WithCancel(context.Background())
	return l
}

// Stop gives up what is being made: nobody will read it.
func (l *loader) Stop(*actor.Context, error) { l.stop() }

// target is a name of one of the modules.
type target struct {
	kind kind
	name string
}

// load is a request to make a table.
type load struct {
	target
	mode    mode
	source  string // a text, or @ and the name of a file
	args    value.List
	promise actor.Promise
}

// Receive takes the messages of the scripts: load, with the kind of the table, how it is to be published, its name, the source, and arguments for that.
func (l *loader) Receive(c *actor.Context, msg any) {
	m, ok := msg.(lua.Message)
	if !ok {
		c.Reply(nil, fmt.Errorf("sharedata: %T is no message of this service", msg))
		return
	}
	job, err := l.read(m)
	if err == nil {
		err = l.srv.reg.allowed(job.kind, job.name, job.mode)
	}
	if err != nil {
		c.Reply(nil, err)
		return
	}
	job.promise = c.Promise()
	if queue, busy := l.busy[job.target]; busy {
		if l.waiting >= l.srv.cfg.MaxLoads {
			text := fmt.Sprintf("%s %s: %d tables wait to be made", job.kind, job.name, l.waiting)
			c.Reply(nil, &actor.Error{Code: actor.Overloaded, Actor: ServiceName, Text: text})
			return
		}
		l.waiting++
		l.busy[job.target] = append(queue, job)
		return
	}
	l.busy[job.target] = nil
	l.run(c, job)
}

func (l *loader) read(m lua.Message) (load, error) {
	var cmd, kindName, modeName string
	job := load{}
	if err := m.Args.Scan(&cmd, &kindName, &modeName, &job.name, &job.source, &job.args); err != nil || cmd != "load" {
		return job, errors.New("sharedata: load, a kind, a mode, a name, a source and its arguments are expected")
	}
	var known, knownMode bool
	job.kind, known = kindOf(kindName)
	job.mode, knownMode = modeOf(modeName)
	switch {
	case !known || !knownMode:
		return job, fmt.Errorf("sharedata: %q and %q are no kind of table and no way to publish one", kindName, modeName)
	case job.name == "" || len(job.name) > maxName:
		return job, fmt.Errorf("%s: a name of 1 to %d bytes is expected, this one has %d", job.kind, maxName, len(job.name))
	}
	return job, nil
}

// run makes a table off the actor. It is no part of the request that is handled: that may be the one of somebody who waited in front.
func (l *loader) run(c *actor.Context, job load) {
	c.Detached(func() {
		c.Go(func(ctx context.Context) (any, error) {
			ctx, cancel := context.WithTimeout(ctx, l.srv.cfg.LoadTimeout)
			defer cancel()
			defer context.AfterFunc(l.stopping, cancel)() //nolint:contextcheck // the actor ends, not the request
			m := newMaker(l.srv, l.srv.cfg.Files)
			root, err := m.make(ctx, job)
			switch {
			case l.stopping.Err() != nil:
				return nil, fmt.Errorf("%s %s: the node stops", job.kind, job.name)
			case err != nil:
				return nil, fmt.Errorf("%s %s: %w", job.kind, job.name, err)
			}
			return nil, l.srv.reg.put(job.kind, job.name, job.mode, root, m.origin(job))
		}, func(_ any, err error) {
			if err != nil {
				job.promise.Reply(nil, err)
			} else {
				job.promise.Reply(value.List{}, nil)
			}
			l.next(c, job.target)
		})
	})
}

// next goes on with what waits for a name. Whoever does not wait for the answer any more has given up.
func (l *loader) next(c *actor.Context, t target) {
	for len(l.busy[t]) > 0 {
		job := l.busy[t][0]
		l.busy[t] = l.busy[t][1:]
		l.waiting--
		if err := l.srv.reg.allowed(job.kind, job.name, job.mode); err != nil {
			job.promise.Reply(nil, err)
			continue
		}
		l.run(c, job)
		return
	}
	delete(l.busy, t)
}
