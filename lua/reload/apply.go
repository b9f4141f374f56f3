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
	// Now is for an update that the VM has had already, and that is applied again for the functions which handlers that were under way have made since: the
	// version that it runs by now. Scripts which are otherwise in that are left alone.
	Now *Version
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
	// Missed are fields of the source that are new or have changed, functions too, in tables that are not found: no function has the variable that the chunk has
	// for the table.
	Missed []string `json:"missed,omitempty"`
	// Waiting are the stacks of what is under way with code of a version before. It goes on with that until it ends.
	Waiting []string `json:"waiting,omitempty"`
	// Took is how long the VM has handled nothing else, at the end. Ahead is the time of the parts before that, between which it has.
	Took  time.Duration `json:"took"`
	Ahead time.Duration `json:"ahead"`
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
	lots    []lot
	again   bool // it has been applied already
	failed  error
}

// Ahead does a part of what Apply is going to do to a VM, which changes nothing in it, and takes not much longer than d; more tells that there is more to do.
// Between the parts, and only so long, the VM may run. It may be left out.
func (u *Update) Ahead(v vm.VM, d time.Duration) (more bool) {
	p, ok := v.(vm.Patcher)
	return ok && p.Ahead(u, func(chunk string) bool { return u.changes(chunk, u.to) }, d)
}

// changes tells whether the update changes a script of a VM that runs a version: one that has been changed once more since is left alone.
func (u *Update) changes(chunk string, now *Version) bool {
	if u.files[chunk] == nil {
		return false
	}
	is, _ := now.Text(chunk)
	text, _ := u.to.Text(chunk)
	return is == text
}

// Behind tells whether a thread that waits, of a VM that runs a version now, is in code of another one, of a script that the update has changed.
func (u *Update) Behind(v vm.VM, th vm.State, now *Version) bool {
	p, ok := v.(vm.Patcher)
	return ok && p.Runs(th, func(from *vm.Unit) bool { return u.changes(from.Chunk, now) && from != u.files[from.Chunk].made })
}

// Apply replaces the code of a VM, and calls its hooks. If it returns an error, the VM is as it was, and still runs the version that it ran. A VM that has the
// new version already stays as it is.
func (u *Update) Apply(t Target) (Report, error) {
	began := time.Now()
	p, ok := t.VM.(vm.Patcher)
	if !ok {
		return Report{}, ErrEngine
	}
	again := t.Now != nil || t.Version == u.to.ID()
	if !again && t.Version != u.from.ID() {
		return Report{}, fmt.Errorf("%w: %s, expected %s", ErrVersion, t.Version, u.from.ID())
	}
	a := &application{Update: u, t: t, p: p, s: t.VM.Main(), again: again, byFile: map[string]*module{}}
	a.report.From, a.report.To = u.from.ID(), u.to.ID()
	if a.t.Call == nil {
		a.t.Call = a.s.PCall
	}
	top := a.s.Top()
	defer a.s.SetTop(top)
	undo, err := a.run()
	if err != nil {
		undo.Restore()
		a.use(u.from)
		return Report{From: u.from.ID(), To: u.to.ID(), Took: time.Since(began)}, err
	}
	undo.Done()
	a.report.Took = time.Since(began)
	return a.report, nil
}

func (a *application) run() (vm.Undo, error) {
	now := a.to
	if a.t.Now != nil {
		now = a.t.Now
	}
	found, undo := a.p.Survey(a.Update, func(chunk string) bool { return a.changes(chunk, now) }, a.keep && !a.again)
	a.use(a.to)
	if err := a.gather(found); err != nil {
		return undo, err
	}
	a.swap()
	if a.again {
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

func (a *application) use(v *Version) {
	if a.t.Use != nil && !a.again {
		a.t.Use(v)
	}
}

// module is a script in a VM.
type module struct {
	a        *application
	f        *fileUpdate
	cells    map[*variable]vm.Cell
	oldCells map[*variable]vm.Cell
	live     map[*variable]bool // it had a cell before
	done     map[*variable]bool // it has its value
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
			siblings: map[sibling]vm.Cell{},
		}
		a.byFile[f.file] = m
		a.modules = append(a.modules, m)
	}
	return m
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

func (a *application) missed(f *fileUpdate, s *slot, v *variable) {
	if len(a.report.Missed) < maxListed {
		a.report.Missed = append(a.report.Missed, fmt.Sprintf("%s %s: no function has %s, and its table is not found", f.place(s.line), s, v))
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
