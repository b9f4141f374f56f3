package sharedata

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// maker makes one table of a text or a file.
type maker struct {
	srv   *Service
	files fs.FS
	asked map[string]bool // files that it has looked for
}

func newMaker(srv *Service, files fs.FS) *maker {
	return &maker{srv: srv, files: files, asked: map[string]bool{}}
}

// origin is what a table was made of, so that it can be made anew.
type origin struct {
	job   load
	files map[string]bool // that it was made of, or would have been if they had been there
}

// origin is nil for a text, which never changes.
func (m *maker) origin(job load) *origin {
	if !strings.HasPrefix(job.source, "@") {
		return nil
	}
	return &origin{job: load{target: job.target, source: job.source, args: job.args}, files: m.asked}
}

// Staged are tables that have been made anew, and that nobody reads yet.
type Staged struct{ tables []stagedTable }

type stagedTable struct {
	of     *object
	before *frozen
	was    *origin
	root   *frozen
	from   *origin
}

// Stage makes all tables anew that were made of files of which one has changed. Nothing is published. The error names the table that can't be made.
func (srv *Service) Stage(ctx context.Context, files fs.FS, changed func(file string) bool) (*Staged, error) {
	st := &Staged{}
	for k := range kinds {
		names := srv.reg.names(k)
		slices.Sort(names)
		for _, name := range names {
			o := srv.reg.find(k, name)
			if o == nil {
				continue
			}
			was := o.from.Load()
			if was == nil || !was.touched(changed) {
				continue
			}
			t := stagedTable{of: o, before: o.now.Load(), was: was}
			m := newMaker(srv, files)
			limited, cancel := context.WithTimeout(ctx, srv.cfg.LoadTimeout)
			root, err := m.make(limited, was.job)
			cancel()
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", k, name, err)
			}
			t.root, t.from = root, m.origin(was.job)
			st.tables = append(st.tables, t)
		}
	}
	return st, nil
}

func (o *origin) touched(changed func(file string) bool) bool {
	for file := range o.files {
		if changed(file) {
			return true
		}
	}
	return false
}

// Names are the tables, as "sharetable items".
func (st *Staged) Names() []string {
	names := make([]string, len(st.tables))
	for i, t := range st.tables {
		names[i] = t.of.kind.String() + " " + t.of.name
	}
	return names
}

// Publish has all read the new tables. One that a script has replaced since stays as the script has it. undo puts those before back.
func (st *Staged) Publish() (undo func()) {
	var done []stagedTable
	for _, t := range st.tables {
		if t.of.now.Load() == t.before && !t.of.gone.Load() {
			t.of.publish(t.root, t.from)
			done = append(done, t)
		}
	}
	return func() {
		for _, t := range done {
			if t.of.now.Load() == t.root {
				t.of.publish(t.before, t.was)
			}
		}
	}
}
