package actor

import (
	"context"
	"errors"
	"fmt"
)

// Spawn starts an actor and waits for its Start, whose error it returns. It blocks: actors use [Context.Spawn].
func (s *System) Spawn(spec Spec) (Ref, error) {
	p, err := s.spawn(spec, nil)
	if err != nil {
		return Ref{}, err
	}
	begin := p.whenBegun()
	s.disp.push(p)
	if err := s.awaitStart(p, begin); err != nil {
		return Ref{}, err
	}
	return p.self, nil
}

func (s *System) awaitStart(p *process, begin *beginning) error {
	if begin == nil {
		return nil
	}
	s.await(context.Background(), begin.done, nil)
	if begin.err == nil {
		return nil
	}
	s.await(context.Background(), p.whenEnded(), nil) // its name is free again
	return fmt.Errorf("actor: start %s: %w", p.name(), begin.err)
}

// Unique is the actor with the Spec's name: the one that has the name, when its Start is over, or else a new one. Whoever comes first starts it; all
// get the error of its Start. It blocks.
func (s *System) Unique(spec Spec) (Ref, error) {
	if spec.Name == "" {
		return Ref{}, errors.New("actor: a unique actor needs a name")
	}
	for {
		ref, err := s.Spawn(spec)
		if !errors.Is(err, ErrNameTaken) {
			return ref, err
		}
		s.mu.RLock()
		p := s.names[spec.Name]
		s.mu.RUnlock()
		if p == nil {
			continue // it has ended since
		}
		if err := s.awaitStart(p, p.whenBegun()); err != nil {
			return Ref{}, err
		}
		if !p.isStopping() {
			return p.self, nil
		}
		s.await(context.Background(), p.whenEnded(), nil)
	}
}

// spawn makes a process that is found by others. It runs when it is given to the dispatcher, or gets its first message.
func (s *System) spawn(spec Spec, parent *process) (*process, error) {
	if spec.New == nil {
		return nil, errors.New("actor: Spec.New is nil")
	}
	p := &process{sys: s, named: spec.Name, anew: spec.New, parent: parent}
	p.warnAt = firstWarning
	p.limits = newLimits(&spec)
	p.ctx.p = p
	p.observed = s.cfg.Tracer != nil
	p.scheduled = true // its maker sees to that
	p.urgent.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed && parent == nil {
		return nil, ErrShutdown
	}
	if _, taken := s.names[spec.Name]; taken { // never for the empty name
		return nil, fmt.Errorf("%w: %q", ErrNameTaken, spec.Name)
	}
	kind := spec.Kind
	if kind == "" && parent == nil {
		kind = spec.Name // of the few that a node begins with
	}
	s.opts = spec.options(s.opts, s.timesOf(kind))
	p.opts = s.opts
	if !s.table.add(p, s.node) {
		return nil, &Error{Code: Overloaded, Actor: spec.Name, Text: "16 million actors are alive"}
	}
	if spec.Name != "" {
		s.names[spec.Name] = p
	}
	if parent == nil {
		s.addRoot(p)
	}
	return p, nil
}

func (s *System) addRoot(p *process) {
	p.prevRoot = s.last
	if s.last != nil {
		s.last.nextRoot = p
	}
	s.last = p
}

func (s *System) removeRoot(p *process) {
	if p.prevRoot != nil {
		p.prevRoot.nextRoot = p.nextRoot
	}
	if p.nextRoot != nil {
		p.nextRoot.prevRoot = p.prevRoot
	} else {
		s.last = p.prevRoot
	}
	p.nextRoot, p.prevRoot = nil, nil
}

// Lookup finds an actor of this node by name.
func (s *System) Lookup(name string) (Ref, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, ok := s.names[name]
	if !ok {
		return Ref{}, false
	}
	return p.self, true
}

// Register gives an actor of this node a name, beside the one it may have, until it ends.
func (s *System) Register(name string, to Ref) error {
	if name == "" {
		return errors.New("actor: register: the name is empty")
	}
	p := s.process(to)
	if p == nil || p.sys != s {
		return &Error{Code: NoActor, Actor: to.String()}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if holder, taken := s.names[name]; taken {
		if holder == p {
			return nil
		}
		return fmt.Errorf("%w: %q", ErrNameTaken, name)
	}
	if p.gone {
		return &Error{Code: NoActor, Actor: to.String()}
	}
	s.names[name] = p
	if p.aliases == nil {
		p.aliases = new([]string)
	}
	*p.aliases = append(*p.aliases, name)
	return nil
}
