package lint

import (
	"strings"

	"github.com/skua-go/skua/lua/syntax"
)

// file is what the walk through one script has found.
type file struct {
	script Script
	lines  []string

	required []use // by literal names
	computed bool  // a module is required by a name that is computed

	reads, writes []use
	defined       map[string]bool // globals that are assigned at the top level, or through _G
	assigned      map[string]bool // those, and what functions assign
	asked         map[string]bool // what the script itself asks for: globals, and fields as "module.name"
	open          bool            // globals may be defined by names that are computed

	fields  []use                      // names of modules that are read
	sets    map[string]map[string]bool // names that are defined on modules
	opened  map[string]bool            // modules that are filled by names that are computed
	snax    bool                       // it has functions of accept or response
	number  int                        // of the script in its checker
	visible set                        // what may be loaded beside it
}

// use is a name where it is used.
type use struct {
	name  string
	at    syntax.Pos
	of    *source // of a field: what it is a field of
	depth int     // 0 at the top level, else how deep in functions
	scope *scope  // with the locals that can be seen there
}

// source is where the value of a local comes from, if that is a module.
type source struct {
	module string
	unsure bool // it is assigned once more
}

type scope struct {
	outer *scope
	names map[string]*source
}

type walker struct {
	*file
	scope *scope
	depth int
	libs  map[string]map[string]bool
}

func walk(s Script, tree *syntax.FuncExpr, libs map[string]map[string]bool) *file {
	f := &file{
		script: s, lines: strings.Split(s.Source, "\n"), defined: map[string]bool{}, assigned: map[string]bool{}, asked: map[string]bool{},
		sets: map[string]map[string]bool{}, opened: map[string]bool{},
	}
	w := &walker{file: f, libs: libs}
	w.block(tree.Body)
	return f
}

func (w *walker) enter() { w.scope = &scope{outer: w.scope, names: map[string]*source{}} }
func (w *walker) leave() { w.scope = w.scope.outer }

func (w *walker) declare(name string, of *source) {
	if of == nil {
		of = &source{}
	}
	w.scope.names[name] = of
	if name == "_ENV" {
		w.open = true
	}
}

// local is where a local comes from, nil if the name is a global.
func (w *walker) local(name string) *source {
	for s := w.scope; s != nil; s = s.outer {
		if of := s.names[name]; of != nil {
			return of
		}
	}
	return nil
}

func (w *walker) block(b *syntax.Block) {
	w.enter()
	w.stats(b)
	w.leave()
}

func (w *walker) stats(b *syntax.Block) {
	for _, st := range b.Stats {
		w.stat(st)
	}
}

func (w *walker) stat(st syntax.Stat) {
	switch st := st.(type) {
	case *syntax.LocalStat:
		w.localStat(st)
	case *syntax.AssignStat:
		w.exprs(st.Exprs)
		for i, target := range st.Targets {
			var value syntax.Expr
			if i < len(st.Exprs) {
				value = st.Exprs[i]
			}
			w.assign(target, value)
		}
	case *syntax.CallStat:
		w.expr(st.Call)
	case *syntax.FuncStat:
		w.assign(st.Target, nil)
		w.function(st.Func)
	case *syntax.LocalFuncStat:
		w.declare(st.Name.Name, nil)
		w.function(st.Func)
	case *syntax.ReturnStat:
		w.exprs(st.Exprs)
	default:
		w.control(st)
	}
}

// control is the statements that have blocks.
func (w *walker) control(st syntax.Stat) {
	switch st := st.(type) {
	case *syntax.DoStat:
		w.block(st.Body)
	case *syntax.WhileStat:
		w.ask(st.Cond)
		w.block(st.Body)
	case *syntax.RepeatStat:
		w.enter()
		w.stats(st.Body)
		w.ask(st.Cond)
		w.leave()
	case *syntax.IfStat:
		for i, cond := range st.Conds {
			w.ask(cond)
			w.block(st.Blocks[i])
		}
		if st.Else != nil {
			w.block(st.Else)
		}
	case *syntax.NumForStat:
		w.expr(st.Start)
		w.expr(st.Limit)
		if st.Step != nil {
			w.expr(st.Step)
		}
		w.loop([]syntax.Ident{st.Var}, st.Body)
	case *syntax.GenForStat:
		w.exprs(st.Exprs)
		w.loop(st.Names, st.Body)
	}
}

func (w *walker) loop(names []syntax.Ident, body *syntax.Block) {
	w.enter()
	for _, n := range names {
		w.declare(n.Name, nil)
	}
	w.block(body)
	w.leave()
}

func (w *walker) localStat(st *syntax.LocalStat) {
	w.exprs(st.Exprs)
	from := make([]*source, len(st.Names))
	for i := range st.Names {
		if i < len(st.Exprs) {
			from[i] = w.sourceOf(st.Exprs[i])
		}
	}
	for i, n := range st.Names {
		var of *source
		if from[i] != nil {
			of = &source{module: from[i].module, unsure: from[i].unsure}
		}
		w.declare(n.Name, of)
	}
}

// sourceOf is the module that an expression is, nil if it is something else.
func (w *walker) sourceOf(e syntax.Expr) *source {
	e = unwrap(e)
	if name := required(e); name != "" && w.local("require") == nil {
		if w.libs[name] != nil {
			name = standard(name)
		}
		return &source{module: name}
	}
	n, ok := e.(*syntax.NameExpr)
	if !ok {
		return nil
	}
	if of := w.local(n.Name); of != nil {
		if of.module == "" {
			return nil
		}
		return of
	}
	if w.libs[n.Name] != nil {
		return &source{module: standard(n.Name)}
	}
	return nil
}

func (w *walker) function(f *syntax.FuncExpr) {
	w.depth++
	w.enter()
	for _, p := range f.Params {
		w.declare(p.Name, nil)
	}
	w.block(f.Body)
	w.leave()
	w.depth--
}

func (w *walker) exprs(list []syntax.Expr) {
	for _, e := range list {
		w.expr(e)
	}
}

func (w *walker) expr(e syntax.Expr) {
	switch e := e.(type) {
	case *syntax.NameExpr:
		w.name(e)
	case *syntax.IndexExpr:
		w.index(e)
	case *syntax.CallExpr:
		w.call(e)
	case *syntax.MethodExpr:
		w.expr(e.Obj)
		w.exprs(e.Args)
	case *syntax.FuncExpr:
		w.function(e)
	case *syntax.BinaryExpr:
		w.binary(e)
	case *syntax.UnaryExpr:
		if e.Op == syntax.Not {
			w.ask(e.X)
			return
		}
		w.expr(e.X)
	case *syntax.ParenExpr:
		w.expr(e.X)
	case *syntax.TableExpr:
		for _, field := range e.Fields {
			if field.Key != nil {
				w.expr(field.Key)
			}
			w.expr(field.Value)
		}
	}
}

func (w *walker) binary(e *syntax.BinaryExpr) {
	_, leftNil := unwrap(e.Left).(*syntax.NilExpr)
	_, rightNil := unwrap(e.Right).(*syntax.NilExpr)
	switch {
	case e.Op == syntax.Or && w.ofLibrary(e.Left): // table.unpack or unpack: what another Lua calls it
		w.ask(e.Left)
		w.ask(e.Right)
	case e.Op == syntax.And || e.Op == syntax.Or:
		w.ask(e.Left)
		w.expr(e.Right)
	case (e.Op == syntax.Eq || e.Op == syntax.Ne) && (leftNil || rightNil):
		w.ask(e.Left)
		w.ask(e.Right)
	default:
		w.expr(e.Left)
		w.expr(e.Right)
	}
}

// ofLibrary tells whether an expression is a name of a module of the library, as table.unpack is.
func (w *walker) ofLibrary(e syntax.Expr) bool {
	index, ok := unwrap(e).(*syntax.IndexExpr)
	return ok && w.sourceOf(index.Obj) != nil
}

// ask is expr where the script asks whether something is there: `if x`, `x or y`, `x ~= nil`.
func (w *walker) ask(e syntax.Expr) {
	switch e := e.(type) {
	case *syntax.NameExpr:
		if w.local(e.Name) == nil {
			w.asked[e.Name] = true
		}
	case *syntax.IndexExpr:
		if key, ok := e.Key.(*syntax.StringExpr); ok {
			if of := w.sourceOf(e.Obj); of != nil {
				w.asked[of.module+"."+key.Value] = true
			}
		}
	case *syntax.ParenExpr:
		w.ask(e.X)
		return
	case *syntax.BinaryExpr:
		if e.Op == syntax.And || e.Op == syntax.Or {
			w.ask(e.Left)
			w.ask(e.Right)
			return
		}
	}
	w.expr(e)
}

func (w *walker) name(e *syntax.NameExpr) {
	switch {
	case w.local(e.Name) != nil:
	case e.Name == "_ENV":
		w.open = true
	default:
		w.reads = append(w.reads, use{name: e.Name, at: e.Pos, depth: w.depth, scope: w.scope})
	}
}

func (w *walker) index(e *syntax.IndexExpr) {
	w.expr(e.Obj)
	key, ok := e.Key.(*syntax.StringExpr)
	if !ok {
		w.expr(e.Key)
		return
	}
	if of := w.sourceOf(e.Obj); of != nil {
		w.fields = append(w.fields, use{name: key.Value, at: key.Pos, of: of})
	}
}

func (w *walker) global(e syntax.Expr, name string) bool {
	n, ok := unwrap(e).(*syntax.NameExpr)
	return ok && n.Name == name && w.local(name) == nil
}

func (w *walker) call(e *syntax.CallExpr) {
	switch {
	case w.global(e.Fn, "require"):
		w.requireCall(e)
	case w.global(e.Fn, "type") && len(e.Args) == 1:
		w.ask(e.Args[0])
	case w.global(e.Fn, "rawset") && len(e.Args) == 3:
		w.store(e.Args[0], e.Args[1])
	case w.global(e.Fn, "setmetatable") && len(e.Args) > 0:
		w.store(e.Args[0], nil) // __index may have anything
	case w.global(e.Fn, "setfenv"):
		w.open = true
	}
	w.expr(e.Fn)
	w.exprs(e.Args)
}

func (w *walker) requireCall(e *syntax.CallExpr) {
	name := required(e)
	if name == "" {
		w.computed = true
		return
	}
	w.required = append(w.required, use{name: name, at: unwrap(e.Fn).At()})
}

// store notes table[key] = something; a nil key is one that is computed.
func (w *walker) store(table, key syntax.Expr) {
	text, literal := key.(*syntax.StringExpr)
	if w.global(table, "_G") {
		if !literal {
			w.open = true
			return
		}
		w.defined[text.Value], w.assigned[text.Value] = true, true
		return
	}
	of := w.sourceOf(table)
	switch {
	case of == nil:
	case !literal:
		w.opened[of.module] = true
	default:
		if w.sets[of.module] == nil {
			w.sets[of.module] = map[string]bool{}
		}
		w.sets[of.module][text.Value] = true
	}
}

// assign is `target = value`; value is nil if it is a function.
func (w *walker) assign(target, value syntax.Expr) {
	switch t := target.(type) {
	case *syntax.NameExpr:
		if of := w.local(t.Name); of != nil {
			if to := w.sourceOf(value); to == nil || to.module != of.module {
				of.unsure = true
			}
			return
		}
		w.assigned[t.Name] = true
		if w.depth == 0 {
			w.defined[t.Name] = true
			return
		}
		w.writes = append(w.writes, use{name: t.Name, at: t.Pos, depth: w.depth, scope: w.scope})
	case *syntax.IndexExpr:
		if obj, ok := t.Obj.(*syntax.NameExpr); ok && (obj.Name == "accept" || obj.Name == "response") && w.depth == 0 && w.local(obj.Name) == nil {
			w.snax = true
		}
		w.store(t.Obj, t.Key)
		w.expr(t.Obj)
		if _, literal := t.Key.(*syntax.StringExpr); !literal {
			w.expr(t.Key)
		}
	}
}
