package reload

import (
	"context"
	"errors"
	"fmt"

	code "github.com/skua-go/skua/lua/reload"
)

// boot is what the node has begun with.
type boot struct {
	version *code.Version
	stored  bool     // it was kept, and is not what lies in the folder
	current *Current // the record at that time
	instead string   // the current version, with which the node could not begin
}

// BootError is for a node that could not begin with a version that was kept. Fallback is the last one that a node has begun with.
type BootError struct {
	Version, Fallback string
	Err               error
}

func (e *BootError) Error() string {
	return fmt.Sprintf("reload: the node can't begin with version %s: %v", e.Version, e.Err)
}

func (e *BootError) Unwrap() error { return e.Err }

// Boot chooses the version that the node begins with, and has the runtime use it. After an BootError, instead says which one it is.
func (s *Service) Boot(ctx context.Context, instead *BootError) error {
	folder, err := Read(s.cfg.Scripts)
	if err != nil {
		return err
	}
	b := &s.boot
	if b.current, err = s.kept.current(ctx); err != nil {
		// Without it the node would not know what others run; what lies in the folder may be half of something.
		if s.cfg.Clustered || s.cfg.Start == Stored {
			return err
		}
		s.log.Error("reload: the node begins with the scripts in its folder", "error", err)
	}
	switch {
	case instead != nil:
		b.version, err = s.kept.load(ctx, instead.Fallback, "")
		b.stored, b.instead = true, instead.Version
	case s.takesFolder(folder):
		b.version = folder
		if b.current != nil && b.current.ID != folder.ID() {
			s.log.Info("reload: the scripts in the folder have changed since the node last ran, and are what it begins with", "version", folder.ID(), "before", b.current.ID)
		}
	default:
		b.version, err = s.kept.load(ctx, b.current.ID, b.current.Sum)
		b.stored = true
		if err == nil && b.current.ID != folder.ID() {
			s.log.Warn("reload: the node begins with the version that ran last, and not with the scripts in its folder: `skua reload` brings them in", "version", b.current.ID, "folder", folder.ID())
		}
	}
	if err != nil {
		return err
	}
	if b.instead != "" {
		s.refuse(fmt.Sprintf("it could not begin with version %s: %v", b.instead, instead.Err), b.instead)
		s.log.Error("reload: the node falls back to the last version that a node has begun with", "version", b.version.ID(), "instead_of", b.instead, "error", instead.Err)
	}
	s.cfg.Runtime.Use(b.version)
	s.metrics.fallback(b.instead != "")
	return nil
}

// refuse has the node stay away from a current version, and tells why.
func (s *Service) refuse(why, id string) {
	s.refused.Store(&id)
	s.part.mu.Lock()
	s.part.behind = why
	s.part.mu.Unlock()
}

func (s *Service) takesFolder(folder *code.Version) bool {
	current := s.boot.current
	switch {
	case current == nil:
		return true
	case s.cfg.Clustered || s.cfg.Start == Stored:
		return false
	}
	return s.cfg.Start == Folder || current.Dir != folder.ID()
}

// Failed says what is to be done about a node that could not begin: an BootError if that is to begin with another version, else the error. What lies in the folder fails in
// front of whoever has put it there.
func (s *Service) Failed(ctx context.Context, failure error) error {
	b := &s.boot
	if !b.stored || b.instead != "" {
		return failure
	}
	id := b.version.ID()
	m, err := s.kept.meta(ctx, id)
	if err != nil || m == nil || m.Booted { // a node has begun with it: something else is wrong
		return errors.Join(failure, err)
	}
	history, err := s.kept.history(ctx)
	if err != nil {
		return errors.Join(failure, err)
	}
	for i := range history {
		other := history[i].ID
		if other == id {
			continue
		}
		if m, err := s.kept.meta(ctx, other); err == nil && m != nil && m.Booted {
			return &BootError{Version: id, Fallback: other, Err: failure}
		}
	}
	return failure
}

// Booted says, once, that the node has begun; Serve runs. What it has begun with is kept. When it returns the node takes orders.
func (s *Service) Booted(ctx context.Context) error {
	select {
	case <-s.listening:
	case <-ctx.Done():
		return fmt.Errorf("reload: the node takes no orders: %w", context.Cause(ctx))
	}
	err := s.begin(ctx)
	if b := &s.boot; err != nil && !b.stored && b.current != nil {
		// Whoever has put something into the folder is not to find what was there before.
		s.refuse(fmt.Sprintf("it has begun with the scripts in its folder, which could not be made current: %v", err), b.current.ID)
	}
	close(s.begun)
	return err
}

func (s *Service) begin(ctx context.Context) error {
	b := &s.boot
	id := b.version.ID()
	if b.stored {
		err := s.kept.booted(ctx, id)
		if b.instead != "" {
			e := HistoryEntry{Action: "fallback", Outcome: "done", ID: id, From: b.instead, Node: s.cfg.Name}
			if why := s.part.why(); why != "" {
				e.Error = why
			}
			err = errors.Join(err, s.kept.note(ctx, &e))
		}
		return err
	}
	sum, err := s.kept.save(ctx, b.version)
	if err != nil {
		return err
	}
	if err := s.kept.booted(ctx, id); err != nil {
		return err
	}
	e := HistoryEntry{Action: "start", Outcome: "done", ID: id, Node: s.cfg.Name}
	revision := uint64(0)
	if b.current != nil {
		if revision = b.current.revision; b.current.ID == id && b.current.Dir == id {
			return nil
		}
		e.From = b.current.ID
		if before, err := s.kept.load(ctx, e.From, ""); err == nil {
			e.Files = changes(before, b.version, false)
		}
	}
	err = s.kept.setCurrent(ctx, Current{ID: id, Sum: sum, Dir: id}, revision)
	if errors.Is(err, ErrConflict) { // another node was faster: follow comes to what that has
		return nil
	}
	return errors.Join(err, s.kept.note(ctx, &e))
}

func (p *part) why() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.behind
}
