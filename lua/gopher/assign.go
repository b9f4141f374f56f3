package gopher

import (
	"slices"
	"strconv"

	"github.com/yuin/gopher-lua/ast"
)

// The library's compiler has defects in assignments, which are mended here. Of several ones it makes a local variable's before it looks at the values behind it, as in
// `a, b = b, a`, and at a table of that name; and where fields are assigned together with variables, some get the values of others. A local variable keeps its
// value at `a = b and c` if b is false, and `a = (f())`, `a = (...)` and `a = ..., b` take a's register for a free one.

// atOnce writes `a, t[a] = t, f()` as `local t1, k1, v1, v2 = t, a, t, f()` and, from the right to the left, `t1[k1] = v2` and `a = v1`, with variables that no script
// can name. What the compiler does right stays as it is.
func atOnce(s *ast.AssignStmt) ast.Stmt {
	names := map[string]bool{}
	for _, target := range s.Lhs {
		if v, ok := target.(*ast.IdentExpr); ok {
			names[v.Value] = true
		}
	}
	keeps := func(e ast.Expr) bool { return lasts(e, names) }
	switch {
	case len(names) == 0:
		return s
	case len(s.Lhs) == 1 && len(s.Rhs) == 1:
		if !misplaced(s.Rhs[0]) {
			return s
		}
	case len(names) == len(s.Lhs) && !slices.ContainsFunc(s.Rhs, func(e ast.Expr) bool { return !keeps(e) }):
		return s
	}
	at := func(n ast.PositionHolder) {
		n.SetLine(s.Line())
		n.SetLastLine(s.LastLine())
	}
	hidden := &ast.LocalAssignStmt{}
	declare := func() ast.Expr {
		v := &ast.IdentExpr{Value: "(value " + strconv.Itoa(len(hidden.Names)+1) + ")"}
		at(v)
		hidden.Names = append(hidden.Names, v.Value)
		return v
	}
	early := func(e *ast.Expr) {
		if !keeps(*e) {
			hidden.Exprs = append(hidden.Exprs, *e)
			oneValue(*e)
			*e = declare()
		}
	}
	for _, target := range s.Lhs {
		if field, ok := target.(*ast.AttrGetExpr); ok {
			early(&field.Object)
			early(&field.Key)
		}
	}
	hidden.Exprs = append(hidden.Exprs, s.Rhs...)
	var moves []ast.Stmt
	for _, target := range s.Lhs {
		moves = append(moves, &ast.AssignStmt{Lhs: []ast.Expr{target}, Rhs: []ast.Expr{declare()}})
	}
	slices.Reverse(moves) // as in the reference implementation, should a variable be there twice
	all := &ast.DoBlockStmt{Stmts: append([]ast.Stmt{hidden}, moves...)}
	for _, n := range all.Stmts {
		at(n)
	}
	at(all)
	return all
}

// misplaced tells whether the compiler goes wrong with an expression that it computes in the place of a variable that is there already.
func misplaced(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.LogicalOpExpr:
		return e.Operator == "and" || misplaced(e.Rhs)
	case *ast.FuncCallExpr:
		return e.AdjustRet
	case *ast.Comma3Expr:
		return e.AdjustRet
	}
	return false
}

// lasts tells whether an expression means the same when variables with these names have changed.
func lasts(e ast.Expr, names map[string]bool) bool {
	switch e := e.(type) {
	case *ast.NumberExpr, *ast.StringExpr, *ast.NilExpr, *ast.TrueExpr, *ast.FalseExpr:
		return true
	case *ast.IdentExpr:
		return !names[e.Value]
	}
	return false
}
