package reload

import (
	"fmt"
	"maps"
	"slices"
	"sort"
)

// Plan is what an update does.
type Plan struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Files are the scripts that change; those that are new and those that are gone change nothing in VMs that live, but for those that come to require them.
	Files   []string `json:"files"`
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
	// New, Changed and Gone are functions: "agent.lua:12 M.buy". One that has only moved is in none of them.
	New     []string `json:"new,omitempty"`
	Changed []string `json:"changed,omitempty"`
	Gone    []string `json:"gone,omitempty"`
	// State is what is added: variables and fields that get their initial value.
	State []string `json:"state,omitempty"`
	// Values are constants and tables of the source whose text has changed, and which follow where the game has not changed them.
	Values []string `json:"values,omitempty"`
	// Warnings are about what has changed in the source and is not going to be so in VMs that live.
	Warnings []string `json:"warnings,omitempty"`
}

func (u *Update) makePlan() Plan {
	p := Plan{From: u.from.ID(), To: u.to.ID(), Files: slices.Sorted(maps.Keys(u.files))}
	for _, file := range u.to.Files() {
		if _, was := u.from.Text(file); !was {
			p.Added = append(p.Added, file)
		}
	}
	for _, file := range u.from.Files() {
		if _, is := u.to.Text(file); !is {
			p.Removed = append(p.Removed, file)
		}
	}
	for _, file := range u.broken {
		p.Warnings = append(p.Warnings, file+" does not compile in that version: who has something from it keeps that")
	}
	for _, file := range p.Files {
		f := u.files[file]
		f.planFunctions(&p)
		f.planSlots(&p)
		f.planLoose(&p)
	}
	return p
}

func (f *fileUpdate) planFunctions(p *Plan) {
	f.main.all(func(fn *function) {
		old := f.before.backFns[fn]
		switch {
		case fn.parent == nil:
		case old == nil:
			p.New = append(p.New, f.at(fn))
		case old.hash != fn.hash:
			p.Changed = append(p.Changed, f.at(fn))
			f.planNested(p, old, fn)
		}
	})
	f.before.old.main.all(func(fn *function) {
		if fn.parent != nil && f.before.funcs[fn] == nil {
			p.Gone = append(p.Gone, fmt.Sprintf("%s %s", f.before.old.place(fn.line), fn.path))
		}
	})
}

func (f *fileUpdate) at(fn *function) string { return fmt.Sprintf("%s %s", f.place(fn.line), fn.path) }

// planNested warns of functions that can't be replaced where they have been made already.
func (f *fileUpdate) planNested(p *Plan, old, fn *function) {
	names := make([]string, 0, len(fn.ups))
	for name, v := range fn.ups {
		before := f.before.backVars[v]
		had := before != nil && old.ups[before.name] == before
		if !had && (v.of.parent != nil || v.block) && !v.creatable() {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		p.Warnings = append(p.Warnings, fmt.Sprintf(
			"%s: those that have been made already keep their code: they don't have %s, which is a variable of %s", f.at(fn), name, nameOf(fn.ups[name].of)))
	}
}

func nameOf(f *function) string {
	if f.parent == nil {
		return "a block of the chunk"
	}
	return f.path
}

func (f *fileUpdate) planSlots(p *Plan) {
	for _, s := range f.slots {
		old := f.before.slotBefore(s)
		at := fmt.Sprintf("%s %s", f.place(s.line), s)
		switch {
		case old == nil:
			if s.form == formFunction || s.v != nil && (!s.v.captured || f.before.backVars[s.v] != nil) {
				continue
			}
			p.State = append(p.State, at)
		case old.hash == s.hash || old.form == formFunction && s.form == formFunction:
		case s.v != nil && (s.v.assigned || old.v.assigned):
			p.Warnings = append(p.Warnings, at+" keeps its value: scripts assign to it, so its initial value, which has changed, is for new services only")
		case s.form == formCall:
			p.Warnings = append(p.Warnings, at+" keeps its value: its initial value, which has changed, is made by a call, which is not made again")
		default:
			p.Values = append(p.Values, at)
		}
	}
}

func (f *fileUpdate) planLoose(p *Plan) {
	had := map[uint64]int{}
	for _, l := range f.before.old.loose {
		had[l.hash]++
	}
	for _, l := range f.loose {
		if had[l.hash]--; had[l.hash] >= 0 || l.eval != nil {
			continue
		}
		const why = "is new or has changed, and is not run: statements of the chunk that have effects run when a service starts (see on_upgrade)"
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s: %s %s", f.place(l.line), l.text, why))
	}
}

// creatable tells whether a variable of a function that has returned can be made behind its back: with what its declaration gives it.
func (v *variable) creatable() bool { return !v.given && literal(v.init) }
