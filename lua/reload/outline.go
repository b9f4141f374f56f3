package reload

import (
	"fmt"

	"github.com/skua-go/skua/lua/syntax"
)

// outline is what a source has, by its place and not by its line: functions by the names that they are given, and variables by the functions that they are in.
type outline struct {
	file   string
	source string
	lines  []int // where lines begin
	tree   *syntax.FuncExpr
	main   *function
	byExpr map[*syntax.FuncExpr]*function
	slots  []*slot
	loose  []*loose
	keys   map[string]int
	from   int // how many functions the chunk had before the present statement
}

// function is a function of a source.
type function struct {
	parent *function
	name   string // what it is assigned to or given to: "M.add", "skynet.start(1)"
	path   string // the names on the way to it: "M.add/f"
	expr   *syntax.FuncExpr
	line   int
	end    int
	inner  []*function
	ups    map[string]*variable // those of the functions around it that it uses, or functions within it
	hash   uint64               // of its parameters and its body
	size   int                  // of what has been hashed
	loop   bool                 // it stands in a loop of the chunk
	vars   []*variable          // that are declared in it
}

// variable is a local variable or a parameter.
type variable struct {
	of       *function
	name     string
	nth      int // of the variables of this name that the function declares
	line     int
	assigned bool // somewhere behind its declaration
	captured bool // by a function within the one that declares it
	block    bool // it stands in a block of the chunk that need not run, or runs again and again
	slot     *slot
	init     syntax.Expr // what its declaration gives it, if that is one expression of its own
	given    bool        // it is a parameter, or a loop's: it has no declaration of its own
}

func (v *variable) String() string { return "local " + v.name }

// scan makes the outline of a source.
func scan(file, source string) (*outline, error) {
	tree, err := syntax.Parse(file, source)
	if err != nil {
		return nil, err
	}
	o := &outline{file: file, source: source, lines: []int{0}, tree: tree, byExpr: map[*syntax.FuncExpr]*function{}}
	for i := range len(source) {
		if source[i] == '\n' {
			o.lines = append(o.lines, i+1)
		}
	}
	r := &resolver{o: o}
	o.name(r.function(tree, ""))
	return o, nil
}

// name gives functions of the same name within a function numbers, and all of them their paths.
func (o *outline) name(f *function) {
	count := map[string]int{}
	for _, inner := range f.inner {
		count[inner.name]++
		if n := count[inner.name]; n > 1 {
			inner.path = fmt.Sprintf("%s#%d", inner.name, n)
		} else {
			inner.path = inner.name
		}
		if f.path != "" {
			inner.path = f.path + "/" + inner.path
		}
		o.name(inner)
	}
}

// offset is where a position is in the source.
func (o *outline) offset(p syntax.Pos) int {
	line := int(p.Line) - 1
	if line < 0 || line >= len(o.lines) {
		return len(o.source)
	}
	return min(o.lines[line]+int(p.Col)-1, len(o.source))
}

// all visits a function and those within it.
func (f *function) all(visit func(*function)) {
	visit(f)
	for _, inner := range f.inner {
		inner.all(visit)
	}
}

// resolver finds out which variable each name means.
type resolver struct {
	o     *outline
	fn    *function
	scope []*variable // those that are visible, of all functions around
	loops int         // of the present function
	depth int         // blocks of the chunk that need not run
	hint  string      // what the function that comes is called
	main  bool
}

func (r *resolver) function(e *syntax.FuncExpr, name string) *function {
	outer, loops, hint, visible := r.fn, r.loops, r.hint, len(r.scope)
	if name == "" {
		name = "function"
	}
	f := &function{parent: outer, name: name, expr: e, line: int(e.Pos.Line), end: int(e.End.Line), ups: map[string]*variable{}}
	f.loop = outer != nil && (loops > 0 || outer.loop)
	r.o.byExpr[e] = f
	if outer == nil {
		r.o.main = f
	} else {
		outer.inner = append(outer.inner, f)
		h := hasher{}
		h.function(e)
		f.hash, f.size = h.sum, h.count
	}
	r.fn, r.loops, r.hint = f, 0, ""
	for _, p := range e.Params {
		r.declare(p).given = true
	}
	r.block(e.Body)
	r.fn, r.loops, r.hint, r.scope = outer, loops, hint, r.scope[:visible]
	return f
}

func (r *resolver) declare(id syntax.Ident) *variable {
	v := &variable{of: r.fn, name: id.Name, line: int(id.Pos.Line), block: r.depth > 0 && r.fn.parent == nil}
	for _, other := range r.fn.vars {
		if other.name == v.name {
			v.nth++
		}
	}
	r.fn.vars = append(r.fn.vars, v)
	r.scope = append(r.scope, v)
	return v
}

// use notes that the present function uses a name, and gives the variable, nil for a global one.
func (r *resolver) use(name string) *variable {
	for i := len(r.scope) - 1; i >= 0; i-- {
		v := r.scope[i]
		if v.name != name {
			continue
		}
		for f := r.fn; f != v.of; f = f.parent {
			f.ups[name] = v
			v.captured = true
		}
		return v
	}
	return nil
}

func (r *resolver) block(b *syntax.Block) {
	visible := len(r.scope)
	r.stats(b)
	r.scope = r.scope[:visible]
}

func (r *resolver) stats(b *syntax.Block) {
	for i, s := range b.Stats {
		next := b.End
		if i+1 < len(b.Stats) {
			next = startOf(b.Stats[i+1])
		}
		r.stat(s, next)
	}
}

// inBlock resolves a part of a statement that need not run once.
func (r *resolver) inBlock(loop bool, part func()) {
	if r.fn.parent == nil {
		r.depth++
		defer func() { r.depth-- }()
	}
	if loop {
		r.loops++
		defer func() { r.loops-- }()
	}
	visible := len(r.scope)
	part()
	r.scope = r.scope[:visible]
}

func (r *resolver) stat(s syntax.Stat, next syntax.Pos) { //nolint:gocyclo,cyclop,funlen // one case a statement
	top := r.fn.parent == nil && r.depth == 0
	if top {
		r.o.from = len(r.o.main.inner)
	}
	switch s := s.(type) {
	case *syntax.LocalStat:
		r.local(s, next, top)
	case *syntax.LocalFuncStat:
		v := r.declare(s.Name)
		v.init = s.Func
		f := r.function(s.Func, s.Name.Name)
		if top {
			r.o.addFunction(v, nil, f, s.Pos, r.scope)
		}
	case *syntax.FuncStat:
		name := targetName(s.Target)
		r.expr(s.Target)
		r.assigned(s.Target)
		f := r.function(s.Func, name)
		if top {
			r.o.addFunction(nil, s.Target, f, s.Pos, r.scope)
		}
	case *syntax.AssignStat:
		r.exprs(s.Targets)
		for _, t := range s.Targets {
			r.assigned(t)
		}
		for i, e := range s.Exprs {
			name := ""
			if i < len(s.Targets) {
				name = targetName(s.Targets[i])
			}
			r.named(e, name)
		}
		if top {
			r.o.addAssign(s, next, r.scope)
		}
	case *syntax.CallStat:
		r.expr(s.Call)
		if top {
			r.o.addCall(s, next, r.scope)
		}
	case *syntax.DoStat:
		r.block(s.Body)
	case *syntax.WhileStat:
		r.expr(s.Cond)
		r.inBlock(true, func() { r.stats(s.Body) })
	case *syntax.RepeatStat:
		r.inBlock(true, func() {
			r.stats(s.Body)
			r.expr(s.Cond)
		})
	case *syntax.IfStat:
		r.exprs(s.Conds)
		for _, b := range s.Blocks {
			r.inBlock(false, func() { r.stats(b) })
		}
		if s.Else != nil {
			r.inBlock(false, func() { r.stats(s.Else) })
		}
	case *syntax.NumForStat:
		r.expr(s.Start)
		r.expr(s.Limit)
		r.expr(s.Step)
		r.inBlock(true, func() {
			r.declare(s.Var).given = true
			r.stats(s.Body)
		})
	case *syntax.GenForStat:
		r.exprs(s.Exprs)
		r.inBlock(true, func() {
			for _, id := range s.Names {
				r.declare(id).given = true
			}
			r.stats(s.Body)
		})
	case *syntax.ReturnStat:
		for _, e := range s.Exprs {
			r.named(e, "return")
		}
		if top {
			r.o.addReturn(s, next, r.scope)
		}
	}
	if top {
		r.o.addLoose(s)
	}
}

func (r *resolver) local(s *syntax.LocalStat, next syntax.Pos, top bool) {
	for i, e := range s.Exprs {
		name := ""
		if i < len(s.Names) {
			name = s.Names[i].Name
		}
		r.named(e, name)
	}
	before := r.scope
	vars := make([]*variable, 0, len(s.Names))
	for i, id := range s.Names {
		v := r.declare(id)
		vars = append(vars, v)
		switch {
		case i < len(s.Exprs):
			v.init = s.Exprs[i]
			v.given = i == len(s.Exprs)-1 && len(s.Names) > len(s.Exprs) && isMulti(v.init)
		default:
			v.given = len(s.Exprs) > 0 && isMulti(s.Exprs[len(s.Exprs)-1])
		}
	}
	if top {
		r.o.addLocal(s, vars, next, before)
	}
}

// assigned notes what an assignment changes.
func (r *resolver) assigned(target syntax.Expr) {
	if n, ok := target.(*syntax.NameExpr); ok {
		if v := r.use(n.Name); v != nil {
			v.assigned = true
		}
	}
}

// named resolves an expression whose functions are called after what it is assigned to.
func (r *resolver) named(e syntax.Expr, name string) {
	if e == nil {
		return
	}
	outer := r.hint
	r.hint = name
	r.expr(e)
	r.hint = outer
}

func (r *resolver) exprs(list []syntax.Expr) {
	for _, e := range list {
		r.named(e, "")
	}
}

func (r *resolver) expr(e syntax.Expr) {
	hint := r.hint
	r.hint = ""
	switch e := e.(type) {
	case *syntax.NameExpr:
		r.use(e.Name)
	case *syntax.FuncExpr:
		r.function(e, hint)
	case *syntax.IndexExpr:
		r.expr(e.Obj)
		r.expr(e.Key)
	case *syntax.CallExpr:
		r.expr(e.Fn)
		r.args(targetName(e.Fn), e.Args)
	case *syntax.MethodExpr:
		r.expr(e.Obj)
		r.args(targetName(e.Obj)+":"+e.Name, e.Args)
	case *syntax.BinaryExpr:
		r.binary(e, hint)
	case *syntax.UnaryExpr:
		r.expr(e.X)
	case *syntax.ParenExpr:
		r.named(e.X, hint)
	case *syntax.TableExpr:
		r.table(e, hint)
	}
	r.hint = hint
}

// binary goes down a chain of operators, which may be long, without recursion.
func (r *resolver) binary(e *syntax.BinaryExpr, hint string) {
	rights := []syntax.Expr{e.Right}
	left := e.Left
	for {
		b, ok := left.(*syntax.BinaryExpr)
		if !ok {
			break
		}
		rights = append(rights, b.Right)
		left = b.Left
	}
	r.named(left, hint)
	for i := len(rights) - 1; i >= 0; i-- {
		r.named(rights[i], hint)
	}
}

// args resolves the arguments of a call. Functions among them are called after the call and the strings before them: on("login", function.
func (r *resolver) args(callee string, args []syntax.Expr) {
	text := ""
	for i, a := range args {
		if s, ok := a.(*syntax.StringExpr); ok && len(s.Value) <= 40 {
			text += fmt.Sprintf("%q", s.Value)
		}
		r.named(a, fmt.Sprintf("%s(%s%d)", callee, text, i+1))
	}
}

func (r *resolver) table(e *syntax.TableExpr, hint string) {
	n := 0
	for _, f := range e.Fields {
		name := hint
		switch k := f.Key.(type) {
		case nil:
			n++
			name = fmt.Sprintf("%s[%d]", hint, n)
		case *syntax.StringExpr:
			name = hint + "." + k.Value
		default:
			r.named(f.Key, "")
			name = hint + "[" + targetName(f.Key) + "]"
		}
		r.named(f.Value, name)
	}
}

// targetName is what an expression is called in paths.
func targetName(e syntax.Expr) string {
	switch e := e.(type) {
	case *syntax.NameExpr:
		return e.Name
	case *syntax.IndexExpr:
		if s, ok := e.Key.(*syntax.StringExpr); ok {
			return targetName(e.Obj) + "." + s.Value
		}
		return targetName(e.Obj) + "[" + targetName(e.Key) + "]"
	case *syntax.StringExpr:
		return fmt.Sprintf("%q", e.Value)
	case *syntax.IntExpr:
		return fmt.Sprint(e.Value)
	case *syntax.ParenExpr:
		return targetName(e.X)
	case *syntax.CallExpr:
		return targetName(e.Fn) + "()"
	case *syntax.MethodExpr:
		return targetName(e.Obj) + ":" + e.Name + "()"
	}
	return "?"
}

func startOf(s syntax.Stat) syntax.Pos { //nolint:gocyclo,cyclop // one case a statement
	switch s := s.(type) {
	case *syntax.LocalStat:
		return s.Pos
	case *syntax.AssignStat:
		return s.Pos
	case *syntax.CallStat:
		return startOfExpr(s.Call)
	case *syntax.DoStat:
		return s.Pos
	case *syntax.WhileStat:
		return s.Pos
	case *syntax.RepeatStat:
		return s.Pos
	case *syntax.IfStat:
		return s.Pos
	case *syntax.NumForStat:
		return s.Pos
	case *syntax.GenForStat:
		return s.Pos
	case *syntax.FuncStat:
		return s.Pos
	case *syntax.LocalFuncStat:
		return s.Pos
	case *syntax.ReturnStat:
		return s.Pos
	case *syntax.BreakStat:
		return s.Pos
	case *syntax.GotoStat:
		return s.Pos
	case *syntax.LabelStat:
		return s.Pos
	}
	return syntax.Pos{}
}

// startOfExpr is where the first token of a call is.
func startOfExpr(e syntax.Expr) syntax.Pos {
	for {
		switch x := e.(type) {
		case *syntax.CallExpr:
			e = x.Fn
		case *syntax.MethodExpr:
			e = x.Obj
		case *syntax.IndexExpr:
			e = x.Obj
		default:
			return e.At()
		}
	}
}

// place is what messages call a place of the source.
func (o *outline) place(line int) string { return fmt.Sprintf("%s:%d", o.file, line) }
