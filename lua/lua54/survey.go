package lua54

import (
	"sync"
	"time"

	"github.com/skua-go/skua/lua/vm"
)

// survey walks over what a VM reaches in search of functions.
//
// Most of that it may do ahead, in parts between which the VM runs. What changes meanwhile is found in the way of an incremental collector: a table that has been
// visited is frozen, whoever writes to it first takes that off (see table.thaw), and at the end those tables are visited again, and so are all variables and
// stacks; a metatable is visited when it is set. Whatever is new is reached from one of these.
type survey struct {
	m      *machine
	key    any
	want   func(chunk string) bool
	epoch  uint8
	ahead  bool // the VM runs again before the walk is through
	keep   bool
	twice  bool // what had changed has been visited once more already
	begun  int  // how often the walk has begun
	todo   []*object
	tables []*table   // that have been visited, if anybody asks
	cells  []*upvalue // likewise
	latest [4]*upvalue
	stacks []*thread
	wanted map[*vm.Unit]bool
	byCode map[*proto]int // the index of the group
	unit   *vm.Unit       // that of the last function, and whether it is wanted
	wants  bool
	found  vm.Found

	frames      map[*closure][]*frame
	swaps       []savedClosure
	groups      []vm.Group // that have got other code as a whole, with the code that they had
	savedTables []savedTable
	savedCells  []savedCell
}

type savedTable struct {
	t   *table
	was table
}

type savedCell struct {
	u *upvalue
	v value
}

type savedClosure struct {
	cl *closure
	p  *proto
	up []*upvalue
}

const (
	// smallVM is how many bytes a VM keeps that is walked over in one go: in well below a millisecond.
	smallVM = 512 << 10
	// visitsAtOnce is how many objects are visited between two looks at the clock.
	visitsAtOnce = 256
	// maxBegun is how often a walk begins whose marks a measurement of the memory takes. It is done in one go then.
	maxBegun = 4
)

// surveys are lent: thousands of small VMs are walked over one after the other.
var surveys = sync.Pool{New: func() any { //nolint:gochecknoglobals // a cache
	return &survey{wanted: map[*vm.Unit]bool{}, byCode: map[*proto]int{}, frames: map[*closure][]*frame{}}
}}

func (m *machine) newSurvey(key any, want func(chunk string) bool) *survey {
	m.beginWalk()
	w := surveys.Get().(*survey) //nolint:forcetypeassert // see surveys
	w.m, w.key, w.want, w.epoch = m, key, want, m.epoch
	return w
}

// Ahead does a part of the walk of the next Survey.
func (m *machine) Ahead(key any, want func(chunk string) bool, d time.Duration) (more bool) {
	until := time.Now().Add(d)
	w := m.ahead
	if w == nil || w.key != key || w.epoch != m.epoch {
		begun := 1
		if w != nil && w.key == key {
			begun = w.begun + 1
		}
		if m.ahead = nil; begun > maxBegun || m.Memory() < smallVM {
			return false
		}
		w = m.newSurvey(key, want)
		w.ahead, w.begun = true, begun
		m.ahead = w
		w.roots()
	}
	for w.walk(until) {
		if w.twice {
			return false
		}
		w.twice = true
		w.again() // so that little is left for the end
	}
	return true
}

// Survey finds the functions of the chunks that want names.
func (m *machine) Survey(key any, want func(chunk string) bool, keep bool) (vm.Found, vm.Undo) {
	w := m.ahead
	m.ahead = nil
	if w != nil && w.key == key && w.epoch == m.epoch {
		w.ahead, w.keep = false, keep
		w.again()
	} else {
		w = m.newSurvey(key, want)
		w.keep = keep
	}
	m.survey = w
	w.roots()
	w.walk(time.Time{})
	for _, th := range w.stacks {
		w.visitFrames(th)
	}
	if keep {
		w.save()
	}
	return w.found, w
}

func (w *survey) roots() {
	m := w.m
	w.add(value{o: &m.main.object})
	w.table(m.globals)
	w.table(m.loaded)
	for _, t := range m.metas {
		w.table(t)
	}
	for _, v := range m.refs {
		w.add(v)
	}
	for _, v := range m.doomed {
		w.add(v)
	}
	for _, p := range m.threads {
		if th := p.Value(); th != nil {
			w.add(value{o: &th.object})
		}
	}
}

// walk visits what is to be visited, and is false if the time is over before that. The zero time never is.
func (w *survey) walk(until time.Time) bool {
	for n := 1; len(w.todo) > 0; n++ {
		o := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		w.visit(o)
		if n%visitsAtOnce == 0 && !until.IsZero() && time.Now().After(until) {
			return false
		}
	}
	return true
}

// again visits what may have changed since it was visited.
func (w *survey) again() {
	for _, t := range w.tables {
		if !t.watched {
			w.visitTable(t)
		}
	}
	for _, u := range w.cells {
		w.add(*u.p)
	}
	for _, th := range w.stacks {
		w.visitStack(th)
	}
}

// seen is told of a metatable that has been set.
func (m *machine) seen(meta *table) {
	if m.ahead != nil {
		m.ahead.table(meta)
	}
}

func (w *survey) table(t *table) {
	if t != nil {
		w.add(value{o: &t.object})
	}
}

func (w *survey) add(v value) {
	if v.o == nil || v.o.kind <= kindString || v.o.mark == w.epoch || v.o.mark == shared {
		return
	}
	v.o.mark = w.epoch
	w.todo = append(w.todo, v.o)
}

func (w *survey) visit(o *object) {
	switch o.kind {
	case kindTable:
		t := o.table()
		if w.ahead || w.keep {
			w.tables = append(w.tables, t)
		}
		w.visitTable(t)
	case kindClosure:
		w.visitClosure(o.closure())
	case kindGoFunc:
		if co := o.goFunc().co; co != nil {
			w.add(value{o: &co.object})
		}
	case kindUserdata:
		w.table(o.userdata().meta)
	case kindThread:
		th := o.thread()
		w.stacks = append(w.stacks, th)
		w.visitStack(th)
	}
}

func (w *survey) visitTable(t *table) {
	w.table(t.meta)
	if t.frozen && t.library {
		return // of the library's own functions
	}
	for _, v := range t.arr {
		w.add(v)
	}
	for i := range t.nodes {
		if nd := &t.nodes[i]; nd.val.o != nil {
			w.add(nd.key)
			w.add(nd.val)
		}
	}
	if w.ahead && !t.frozen {
		t.frozen, t.watched = true, true
	}
}

func (w *survey) visitClosure(cl *closure) {
	if w.isWanted(cl.p.unit) {
		at, ok := w.byCode[cl.p]
		if !ok {
			at = w.newGroup(cl.p)
		}
		g := &w.found.Groups[at]
		g.Closures = append(g.Closures, cl)
	}
	w.visitCells(cl)
}

// newGroup makes a group, of the memory of one that was.
func (w *survey) newGroup(p *proto) int {
	groups := &w.found.Groups
	at := len(*groups)
	if at < cap(*groups) {
		*groups = (*groups)[:at+1]
	} else {
		*groups = append(*groups, vm.Group{})
	}
	g := &(*groups)[at]
	g.Code, g.Unit = p, p.unit
	w.byCode[p] = at
	return at
}

// visitCells visits the variables of a function. Functions of one code share most of theirs, so those that the last one had are not listed once more.
func (w *survey) visitCells(cl *closure) {
	listed := w.ahead || w.keep
	for i, u := range cl.up {
		w.add(*u.p)
		if !listed {
			continue
		}
		if i >= len(w.latest) {
			w.cells = append(w.cells, u)
		} else if w.latest[i] != u {
			w.latest[i] = u
			w.cells = append(w.cells, u)
		}
	}
}

func (w *survey) isWanted(u *vm.Unit) bool {
	if u == nil {
		return false
	}
	if u == w.unit {
		return w.wants
	}
	yes, known := w.wanted[u]
	if !known {
		yes = w.want(u.Chunk)
		w.wanted[u] = yes
	}
	w.unit, w.wants = u, yes
	return yes
}

func (w *survey) visitStack(th *thread) {
	top := th.top
	for i := range th.frames {
		f := &th.frames[i]
		switch {
		case f.fn != nil:
			top = max(top, f.base+f.fn.p.regs)
			w.visitCells(f.fn)
		case f.child != nil:
			w.add(value{o: &f.child.object})
		}
	}
	for _, v := range th.stack[:min(max(top, 0), len(th.stack))] {
		w.add(v)
	}
	w.add(th.failed)
}

func (w *survey) visitFrames(th *thread) {
	for i := range th.frames {
		if f := &th.frames[i]; f.fn != nil && w.isWanted(f.fn.p.unit) {
			w.frames[f.fn] = append(w.frames[f.fn], f)
			w.found.Frames = append(w.found.Frames, vm.Frame{Thread: th, Code: f.fn.p, Unit: f.fn.p.unit})
		}
	}
}

// save remembers what all tables and variables hold. Of a table that is the table itself: its parts are frozen, so that whoever writes to them copies them.
func (w *survey) save() {
	w.savedTables = make([]savedTable, len(w.tables))
	for i, t := range w.tables {
		if t.watched {
			t.watched, t.frozen = false, false
		}
		w.savedTables[i] = savedTable{t, *t}
		t.frozen = true
	}
	w.savedCells = make([]savedCell, len(w.cells))
	for i, u := range w.cells {
		w.savedCells[i] = savedCell{u, *u.p}
	}
}

// Restore puts back what Survey has remembered.
func (w *survey) Restore() {
	for _, s := range w.swaps {
		s.cl.p, s.cl.up = s.p, s.up
	}
	for _, g := range w.groups {
		for _, c := range g.Closures {
			c.(*closure).p = g.Code.(*proto) //nolint:forcetypeassert // this engine's
		}
	}
	for i := range w.savedTables {
		s := &w.savedTables[i]
		s.was.mark = s.t.mark
		*s.t = s.was
	}
	for _, s := range w.savedCells {
		*s.u.p = s.v
	}
	w.forget()
}

// Done lets tables be written to in place again.
func (w *survey) Done() {
	for i := range w.savedTables {
		if s := &w.savedTables[i]; !s.was.frozen {
			s.t.frozen = false
		}
	}
	w.forget()
}

// maxLent bounds what a survey that is lent again keeps of each kind.
const maxLent = 4096

// forget gives the survey back, empty: what it has found is not to be used any more.
func (w *survey) forget() {
	if w.m.survey == w {
		w.m.survey = nil
	}
	groups, todo, stacks, changed := w.found.Groups, w.todo, w.stacks, w.groups
	if max(cap(groups), cap(todo), cap(stacks)) > maxLent || w.tables != nil {
		*w = survey{m: w.m}
		return
	}
	for i := range groups {
		g := &groups[i]
		clear(g.Closures)
		if g.Code, g.Unit, g.Closures = nil, nil, g.Closures[:0]; cap(g.Closures) > maxLent/16 {
			g.Closures = nil
		}
	}
	clear(todo[:cap(todo)])
	clear(stacks)
	clear(changed)
	clear(w.wanted)
	clear(w.byCode)
	clear(w.frames)
	*w = survey{wanted: w.wanted, byCode: w.byCode, frames: w.frames, todo: todo[:0], stacks: stacks[:0], groups: changed[:0]}
	w.found.Groups = groups[:0]
	surveys.Put(w)
}

// Runs tells whether a thread that waits is in a function of such a source, or one that it has resumed.
func (*machine) Runs(s vm.State, of func(u *vm.Unit) bool) bool {
	for th := s.(*thread); th != nil; th = th.resumed() { //nolint:forcetypeassert // this engine's
		for i := range th.frames {
			if f := &th.frames[i]; f.fn != nil && f.fn.p.unit != nil && of(f.fn.p.unit) {
				return true
			}
		}
	}
	return false
}

// Resumed is the coroutine that a thread waits with.
func (*machine) Resumed(s vm.State) vm.State {
	if th := s.(*thread).resumed(); th != nil { //nolint:forcetypeassert // this engine's
		return th
	}
	return nil
}

func (th *thread) resumed() *thread {
	if n := len(th.frames); n > 0 {
		return th.frames[n-1].child
	}
	return nil
}
