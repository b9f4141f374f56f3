// Package reload replaces the code of Lua VMs while they live: functions get new bodies wherever they are, and what they keep in variables and tables stays.
// docs/reload.md says what is replaced and what is kept.
//
// Prepare compiles two versions of a project's scripts and pairs their functions, once a node. Update.Apply brings one VM over, between two messages, or leaves
// it as it was. A VM's engine offers what that needs as a vm.Patcher.
package reload

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/skua-go/skua/lua/vm"
)

// Update replaces one version's code by another's in VMs of one engine. It is made once, by Prepare, and applied to each VM; several goroutines may do so
// at once.
type Update struct {
	engine vm.Patching
	from   *Version
	to     *Version
	down   bool
	files  map[string]*fileUpdate
	broken []string // files that change and don't compile
	plan   Plan
	keep   bool // applying it may fail half-way: what VMs have is remembered until it has not
}

// fileUpdate is a script whose text changes.
type fileUpdate struct {
	*unit
	made    *vm.Unit
	before  *pairing // with the text that it has in the version before
	oldUnit *unit
	evals   evaluations

	mu   sync.Mutex
	from map[*vm.Unit]*change // by what functions that are met were compiled from
	met  map[vm.Code]*met
}

// Options are for Prepare.
type Options struct {
	// Down says that the new version is one that was there before: the hook on_downgrade is called in place of on_upgrade.
	Down bool
	// Ran says that the new version has run. A file of it that does not compile stands in nobody's way, then, as it has not before: whoever has something from it keeps that.
	Ran bool
}

// ErrEngine is for engines whose functions can't be replaced.
var ErrEngine = errors.New("reload: the engine can't replace code in VMs that live")

// Prepare compiles the scripts that differ between two versions and finds out what applying them is going to do. Nothing is changed. The error names,
// joined, each
// script that does not compile as file:line.
func Prepare(engine vm.Engine, from, to *Version, o Options) (*Update, error) {
	patching, ok := engine.(vm.Patching)
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrEngine, engine.Name())
	}
	u := &Update{engine: patching, from: from, to: to, down: o.Down, files: map[string]*fileUpdate{}}
	var wrong []error
	for _, file := range to.Files() {
		text, _ := to.Text(file)
		before, existed := from.Text(file)
		if existed && text == before {
			continue
		}
		if !existed {
			if err := engine.Check(file, text); err != nil {
				wrong = append(wrong, err)
			}
			continue
		}
		if o.Ran && engine.Check(file, text) != nil {
			u.broken = append(u.broken, file)
			continue
		}
		if engine.Check(file, before) != nil { // nobody has anything from it but what an older version had there
			before = ""
		}
		f, err := u.file(file, before, text)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		u.files[file] = f
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	u.plan = u.makePlan()
	u.keep = u.mayFail()
	return u, nil
}

// mayFail tells whether applying the update runs code of scripts: hooks, and what makes initial values. If it does not, it only gives functions other code.
func (u *Update) mayFail() bool {
	for _, text := range u.to.files {
		if strings.Contains(text, "on_upgrade") || strings.Contains(text, "on_downgrade") {
			return true
		}
	}
	for _, f := range u.files {
		if f.mayFail() {
			return true
		}
	}
	return false
}

func (f *fileUpdate) mayFail() bool {
	if len(f.before.gone) > 0 {
		return true
	}
	for _, s := range f.slots {
		if old := f.before.slotBefore(s); old == nil || s.form != old.form || s.form != formFunction && s.hash != old.hash {
			return true
		}
	}
	for _, c := range f.from {
		for _, t := range c.targets {
			if !t.same {
				return true
			}
		}
	}
	return slices.ContainsFunc(f.loose, func(l *loose) bool { return l.eval != nil })
}

func (u *Update) file(file, before, text string) (*fileUpdate, error) {
	made, err := u.engine.Compile(file, text)
	if err != nil {
		return nil, err
	}
	now, err := newUnit(u.engine, made)
	if err != nil {
		return nil, err
	}
	f := &fileUpdate{unit: now, made: made, from: map[*vm.Unit]*change{}, met: map[vm.Code]*met{}, evals: evaluations{made: map[*evaluation]*compiled{}}}
	was, err := u.engine.Compile(file, before)
	if err != nil {
		return nil, fmt.Errorf("reload: the version that is replaced: %w", err)
	}
	c, err := f.changeFrom(was)
	if err != nil {
		return nil, err
	}
	f.before, f.oldUnit = c.pairing, c.unit
	for _, s := range f.slots {
		if old := f.before.slotBefore(s); old == nil || old.hash != s.hash {
			if s.form == formFunction && s.v != nil {
				continue
			}
			if _, err := f.evals.get(f.unit, s.eval, true); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

// change tells what becomes of the functions of one unit.
type change struct {
	*pairing
	unit    *unit
	targets map[vm.Code]*target
}

// target is what a function gets.
type target struct {
	fn    *function
	code  vm.Code
	ups   []source
	same  bool // its cells stay what they are
	known []*variable
}

// source is where a cell of a function comes from.
type source struct {
	index int // of the cell that it had, if it is not below 0
	v     *variable
}

// changeFrom is what becomes of the functions of a unit.
func (f *fileUpdate) changeFrom(from *vm.Unit) (*change, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.from[from]; c != nil {
		return c, nil
	}
	was, err := newUnit(f.engine, from)
	if err != nil {
		return nil, err
	}
	c := &change{pairing: pair(was.outline, f.outline), unit: was, targets: map[vm.Code]*target{}}
	for old, fn := range c.funcs {
		from, to := was.code[old], f.code[fn]
		if from != nil && to != nil && old.parent != nil {
			c.targets[from] = f.target(c, old, fn)
		}
	}
	f.from[from] = c
	return c, nil
}

func (f *fileUpdate) target(c *change, old, fn *function) *target {
	from := c.unit.ups[c.unit.code[old]]
	t := &target{fn: fn, code: f.code[fn]}
	names := f.ups[t.code]
	t.same = len(names) == len(from)
	for i, name := range names {
		v := fn.ups[name] // nil for _ENV
		s := source{index: -1, v: v}
		if at := slices.Index(from, name); at >= 0 && c.vars[old.ups[name]] == v {
			s.index = at
		} else if v != nil {
			if before := c.backVars[v]; before != nil && old.ups[before.name] == before { // it has another name now
				s.index = slices.Index(from, before.name)
			}
		}
		t.same = t.same && s.index == i
		t.ups = append(t.ups, s)
	}
	for _, name := range from {
		t.known = append(t.known, c.vars[old.ups[name]])
	}
	return t
}

// From and To are the versions.
func (u *Update) From() *Version { return u.from }

// To is the version that VMs have behind Apply.
func (u *Update) To() *Version { return u.to }

// Plan tells what the update does, before it does it.
func (u *Update) Plan() Plan { return u.plan }

// Release lets the engine forget the code of the version before. VMs that still run it keep it.
func (u *Update) Release() {
	for file := range u.files {
		text, _ := u.from.Text(file)
		u.engine.Forget(file, text)
	}
}
