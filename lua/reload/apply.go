package reload

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/skua-go/skua/lua/syntax"
	"github.com/skua-go/skua/lua/vm"
)

// Target is a VM that is to get an update, with what its host knows of it.
type Target struct {
	// VM has to be a vm.Patcher, none of whose functions runs: it is between two messages.
	VM vm.VM
	// Version is the ID of the version that it runs.
	Version string
	// Main is the file of the service's script, and Module a reference (vm.State.Ref) to what that has returned, 0 if it has returned nothing.
	Main   string
	Module int
	// States are references to what the hooks of the services of the VM get, 0 for one that has nothing. The hook is called for each of them.
	States []int
	// Enter is called before the hook of the i-th of them, and with -1 before those of libraries: initial values have been made by then. It may be nil.
	Enter func(i int)
	// Use is called with the version that require has to find modules in from now on: with the new one before anything of it runs, and with the old one if the
	// update is undone. It may be nil.
	Use func(*Version)
	// Call calls the function below n arguments on the stack of VM.Main, and leaves its results, for hosts that watch over what scripts do meanwhile. Default:
	// PCall.
	Call func(n, results int) error
}

// Report is what an update has done to a VM.
type Report struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Functions have got other code, State counts the variables and fields that have been added, Values those that follow the source.
	Functions int `json:"functions"`
	State     int `json:"state"`
	Values    int `json:"values"`
	// Kept are functions that go on with the code that they had, and why.
	Kept []string `json:"kept,omitempty"`
	// Conflicts are values of the source that have changed, and that the game has changed, too: they stay what the game has made of them.
	Conflicts []string `json:"conflicts,omitempty"`
	// Waiting are the stacks of what is under way with code of a version before. It goes on with that until it ends.
	Waiting []string      `json:"waiting,omitempty"`
	Took    time.Duration `json:"took"`
}

// maxListed bounds what a Report lists of each kind.
const maxListed = 100

// application is an update of one VM.
type application struct {
	*Update
	t       Target
	p       vm.Patcher
	s       vm.State
	report  Report
	modules []*module
	byFile  map[string]*module
	codes   map[vm.Code]*met
	failed  error
}

// Apply replaces the code of a VM, and calls its hooks. If it returns an error, the VM is as it was, and still runs the version that it ran. It may be
// called again
// for a VM that it has been applied to, for the functions that handlers which were under way have made since.
func (u *Update) Apply(t Target) (Report, error) {
	began := time.Now()
	p, ok := t.VM.(vm.Patcher)
	if !ok {
		return Report{}, ErrEngine
	}
	before := u.from
	switch t.Version {
	case u.from.ID():
	case u.to.ID():
		before = u.to
	default:
		return Report{}, fmt.Errorf("%w: %s, expected %s", ErrVersion, t.Version, u.from.ID())
	}
	a := &application{Update: u, t: t, p: p, s: t.VM.Main(), byFile: map[string]*module{}, codes: map[vm.Code]*met{}}
	a.report.From, a.report.To = u.from.ID(), u.to.ID()
	if a.t.Call == nil {
		a.t.Call = a.s.PCall
	}
	top := a.s.Top()
	defer a.s.SetTop(top)
	undo, err := a.run()
	if err != nil {
		undo.Restore()
		if t.Use != nil {
			t.Use(before)
		}
		return Report{From: u.from.ID(), To: u.to.ID(), Took: time.Since(began)}, err
	}
	undo.Done()
	a.report.Took = time.Since(began)
	return a.report, nil
}

func (a *application) run() (vm.Undo, error) {
	found, undo := a.p.Survey(func(chunk string) bool { return a.files[chunk] != nil }, a.keep)
	if a.t.Use != nil {
		a.t.Use(a.to)
	}
	again := a.t.Version == a.to.ID()
	if err := a.gather(found); err != nil {
		return undo, err
	}
	if err := a.swap(found); err != nil {
		return undo, err
	}
	if again {
		return undo, nil
	}
	a.findValues()
	for _, m := range a.modules {
		m.running = true
	}
	for _, m := range a.modules {
		m.initPending()
	}
	for _, m := range a.modules {
		if m.update(); a.failed != nil {
			return undo, a.failed
		}
	}
	return undo, a.hooks()
}

// module is a script in a VM.
type module struct {
	a        *application
	f        *fileUpdate
	cells    map[*variable]vm.Cell
	oldCells map[*variable]vm.Cell
	live     map[*variable]bool // it had a cell before
	done     map[*variable]bool // it has its value
	byFn     map[*function][]vm.Closure
	siblings map[sibling]vm.Cell
	env      vm.Cell
	split    bool // the script has been run more than once in this VM
	running  bool // code of the new version may run: variables get their values when they are first needed
	pending  []*variable
	values   []value
}

// sibling is a variable of a call of a function that has made the variable of a cell.
type sibling struct {
	anchor vm.Cell
	v      *variable
}

// value is where a module's value is.
type value struct {
	ref  int
	name string // in package.loaded, if it is there
}

func (a *application) module(f *fileUpdate) *module {
	m := a.byFile[f.file]
	if m == nil {
		m = &module{
			a: a, f: f, cells: map[*variable]vm.Cell{}, oldCells: map[*variable]vm.Cell{}, live: map[*variable]bool{}, done: map[*variable]bool{},
			byFn: map[*function][]vm.Closure{}, siblings: map[sibling]vm.Cell{},
		}
		a.byFile[f.file] = m
		a.modules = append(a.modules, m)
	}
	return m
}

// met is a code that functions of the VM have, and what becomes of it: thousands of functions may have the same.
type met struct {
	m       *module
	t       *target // nil if the function is gone, or has its new code already
	becomes *function
	env     int // the index of _ENV, -1 if there is none
	shared  []sharedCell
}

// sharedCell is a variable of the chunk that functions of a code use.
type sharedCell struct {
	index int
	old   *variable // of the source that the code is from
	v     *variable // of the new one, nil if that does not have it
	last  vm.Cell   // that has been seen
}

func (a *application) meet(cl vm.Closure) (*met, error) {
	code := a.p.CodeOf(cl)
	if k := a.codes[code]; k != nil {
		return k, nil
	}
	u := a.p.UnitOf(cl)
	f := a.files[u.Chunk]
	k := &met{m: a.module(f), env: -1}
	a.codes[code] = k
	from, fn, now := f.unit, f.fns[code], func(v *variable) *variable { return v }
	if k.becomes = fn; u != f.made {
		c, err := f.changeFrom(u)
		if err != nil {
			return nil, err
		}
		from, fn, now = c.unit, c.unit.fns[code], func(v *variable) *variable { return c.vars[v] }
		k.t, k.becomes = c.targets[code], c.funcs[fn]
	}
	if fn == nil {
		return k, nil
	}
	for i, name := range from.ups[code] {
		switch v := fn.ups[name]; {
		case v == nil:
			k.env = i
		case v.of.parent == nil && !v.block:
			k.shared = append(k.shared, sharedCell{index: i, old: v, v: now(v)})
		}
	}
	return k, nil
}

// gather notes the cells of all functions by the variables that they are.
func (a *application) gather(found vm.Found) error {
	for _, cl := range found.Closures {
		k, err := a.meet(cl)
		if err != nil {
			return err
		}
		k.note(cl)
	}
	for _, fr := range found.Frames {
		if f := a.files[fr.Unit.Chunk]; fr.Unit != f.made && len(a.report.Waiting) < maxListed {
			a.report.Waiting = append(a.report.Waiting, fr.Thread.Traceback(""))
		}
	}
	slices.Sort(a.report.Waiting)
	a.report.Waiting = slices.Compact(a.report.Waiting)
	return nil
}

func (k *met) note(cl vm.Closure) {
	m := k.m
	if fn := k.becomes; fn != nil && fn.parent != nil && fn.parent.parent == nil {
		m.byFn[fn] = append(m.byFn[fn], cl)
	}
	if k.env >= 0 && m.env == nil {
		m.env = m.a.p.CellOf(cl, k.env)
	}
	for i := range k.shared {
		s := &k.shared[i]
		cell := m.a.p.CellOf(cl, s.index)
		if cell == s.last {
			continue
		}
		s.last = cell
		if s.v == nil {
			m.oldCells[s.old] = cell
			continue
		}
		if other := m.cells[s.v]; other != nil && other != cell {
			m.split = true
		}
		m.cells[s.v], m.live[s.v], m.done[s.v] = cell, true, true
	}
}

// swap gives all functions their new code.
func (a *application) swap(found vm.Found) error {
	for _, cl := range found.Closures {
		k, err := a.meet(cl)
		if err != nil {
			return err
		}
		t := k.t
		if t == nil {
			continue // it is gone: who still has it goes on with it
		}
		if t.same {
			a.p.Swap(cl, t.code, nil)
			a.report.Functions++
			continue
		}
		cells, missing := k.m.cellsFor(cl, t)
		if missing != "" {
			a.kept(k.m.f, t.fn, missing)
			continue
		}
		a.p.Swap(cl, t.code, cells)
		a.report.Functions++
	}
	return nil
}

func (a *application) kept(f *fileUpdate, fn *function, missing string) {
	text := f.at(fn) + ": " + missing
	if len(a.report.Kept) < maxListed && !slices.Contains(a.report.Kept, text) {
		a.report.Kept = append(a.report.Kept, text)
	}
}

// cellsFor are the cells of a function with its new code, or why it can't have it.
func (m *module) cellsFor(cl vm.Closure, t *target) (cells []vm.Cell, missing string) {
	own := map[*variable]vm.Cell{}
	for i, v := range t.known {
		if v != nil {
			own[v] = m.a.p.CellOf(cl, i)
		}
	}
	for _, s := range t.ups {
		switch {
		case s.index >= 0:
			cells = append(cells, m.a.p.CellOf(cl, s.index))
		case s.v == nil:
			cells = append(cells, m.environment())
		default:
			c, why := m.cellIn(own, s.v)
			if why != "" {
				return nil, why
			}
			cells = append(cells, c)
		}
	}
	return cells, ""
}

func (m *module) environment() vm.Cell {
	if m.env == nil {
		m.env = m.a.p.Environment()
	}
	return m.env
}

// cellIn is the cell of a variable for a function that has those of own.
func (m *module) cellIn(own map[*variable]vm.Cell, v *variable) (c vm.Cell, missing string) {
	if c := own[v]; c != nil {
		return c, ""
	}
	if v.of.parent == nil && !v.block {
		if m.split {
			return nil, "it has come to use " + v.String() + ", of which there are several here: the script has been run more than once in this VM"
		}
		return m.cell(v), ""
	}
	var anchors []vm.Cell
	for w, c := range own {
		if w.of != v.of {
			continue
		}
		if c := m.siblings[sibling{c, v}]; c != nil {
			return c, ""
		}
		anchors = append(anchors, c)
	}
	if !v.creatable() {
		return nil, fmt.Sprintf("it has come to use %s of %s, which it does not have", v, nameOf(v.of))
	}
	cell := m.a.p.NewCell()
	for _, anchor := range anchors {
		m.siblings[sibling{anchor, v}] = cell
	}
	if fn := m.functionIn(v); fn != nil {
		own[v] = cell
		cells, missing := m.cellsOf(fn, own)
		if missing != "" {
			return nil, missing
		}
		m.a.p.PushClosure(m.a.p.NewClosure(m.f.code[fn], cells))
	} else {
		push(m.a.s, v.init)
	}
	m.a.p.SetCell(cell)
	return cell, ""
}

// functionIn is the function that a variable's declaration gives it, nil if it is something else.
func (m *module) functionIn(v *variable) *function {
	if e, ok := v.init.(*syntax.FuncExpr); ok {
		return m.f.byExpr[e]
	}
	return nil
}

// cellsOf are the cells of a function that is new, in a call whose variables are own.
func (m *module) cellsOf(fn *function, own map[*variable]vm.Cell) (cells []vm.Cell, missing string) {
	for _, name := range m.f.ups[m.f.code[fn]] {
		v := fn.ups[name]
		if v == nil {
			cells = append(cells, m.environment())
			continue
		}
		c, why := m.cellIn(own, v)
		if why != "" {
			return nil, why
		}
		cells = append(cells, c)
	}
	return cells, ""
}

// fail keeps the first error.
func (a *application) fail(err error) {
	if a.failed == nil {
		a.failed = err
	}
}

func (a *application) conflict(f *fileUpdate, s *slot, key string) {
	if len(a.report.Conflicts) < maxListed {
		a.report.Conflicts = append(a.report.Conflicts, fmt.Sprintf("%s %s%s", f.place(s.line), s, key))
	}
}

// findValues finds what the modules have returned, and so those that have no functions.
func (a *application) findValues() {
	s := a.s
	top := s.Top()
	defer s.SetTop(top)
	if f := a.files[a.t.Main]; f != nil && a.t.Module != 0 {
		m := a.module(f)
		m.values = append(m.values, value{ref: a.t.Module})
	}
	s.Global("package")
	if s.Type(-1) != vm.Table {
		return
	}
	s.Field(-1, "loaded")
	if s.Type(-1) != vm.Table {
		return
	}
	loaded := s.Top()
	s.PushNil()
	for s.Next(loaded) {
		name, ok := s.String(-2)
		file, known := a.from.Find(name)
		if f := a.files[file]; ok && known && f != nil {
			m := a.module(f)
			m.values = append(m.values, value{name: name})
		}
		s.Pop(1)
	}
	slices.SortFunc(a.modules, func(x, y *module) int { return a.rank(x, y) })
}

// rank orders modules: the service's script comes last, since it uses the others.
func (a *application) rank(x, y *module) int {
	if main := a.t.Main; x.f.file == main || y.f.file == main {
		if x.f.file == y.f.file {
			return 0
		}
		if x.f.file == main {
			return 1
		}
		return -1
	}
	return strings.Compare(x.f.file, y.f.file)
}

// pushValue pushes what the module has returned, and tells whether that is known.
func (m *module) pushValue() bool {
	if len(m.values) == 0 {
		return false
	}
	m.pushOne(m.values[0])
	return true
}

func (m *module) pushOne(v value) {
	s := m.a.s
	if v.name == "" {
		s.Push(v.ref)
		return
	}
	s.Global("package")
	s.Field(-1, "loaded")
	s.Field(-1, v.name)
	s.Remove(-2)
	s.Remove(-2)
}
