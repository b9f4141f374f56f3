package reload

import (
	"fmt"

	"github.com/skua-go/skua/lua/syntax"
)

// resolver finds out which variable each name means.
type resolver struct {
	o     *outline
	fn    *function
	scope []*variable // those that are visible, of all functions around
	loops int         // of the present function
	depth int         // blocks of the chunk that need not run
	hint  string      // what the function that comes is called
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

func (r *resolver) stat(s syntax.Stat, next syntax.Pos) { //nolint:gocyclo,cyclop // one case a statement
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
	case *syntax.ReturnStat:
		for _, e := range s.Exprs {
			r.named(e, "return")
		}
		if top {
			r.o.addReturn(s, next, r.scope)
		}
	default:
		r.compound(s)
	}
	if top {
		r.o.addLoose(s)
	}
}

// compound resolves a statement that has blocks.
func (r *resolver) compound(s syntax.Stat) {
	switch s := s.(type) {
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
		var name string
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
