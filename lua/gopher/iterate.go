package gopher

import "github.com/yuin/gopher-lua/ast"

// The hidden variables of a loop over an iterator. No script can name them.
const (
	loopFunction = "for iterator"
	loopState    = "(for state)"
	loopControl  = "(for control)"
)

// unrolled writes `for a, b in f, s, c do ... end` as the manual explains it (Lua 5.1, 2.4.5), with a call like any other: the engine's instruction for it
// calls the iterator in an inner loop, which no wait can leave.
func unrolled(s *ast.GenericForStmt) ast.Stmt {
	line := func(n ast.PositionHolder) {
		n.SetLine(s.Line())
		n.SetLastLine(s.Line())
	}
	name := func(text string) ast.Expr {
		e := &ast.IdentExpr{Value: text}
		line(e)
		return e
	}
	hidden := &ast.LocalAssignStmt{Names: []string{loopFunction, loopState, loopControl}, Exprs: s.Exprs}
	call := &ast.FuncCallExpr{Func: name(loopFunction), Args: []ast.Expr{name(loopState), name(loopControl)}}
	vars := &ast.LocalAssignStmt{Names: s.Names, Exprs: []ast.Expr{call}}
	isNil, none := &ast.RelationalOpExpr{Operator: "==", Lhs: name(s.Names[0])}, &ast.NilExpr{}
	isNil.Rhs = none
	end := &ast.BreakStmt{}
	check := &ast.IfStmt{Condition: isNil, Then: []ast.Stmt{end}}
	keep := &ast.AssignStmt{Lhs: []ast.Expr{name(loopControl)}, Rhs: []ast.Expr{name(s.Names[0])}}
	body := &ast.DoBlockStmt{Stmts: s.Stmts}
	forever := &ast.TrueExpr{}
	loop := &ast.WhileStmt{Condition: forever, Stmts: []ast.Stmt{vars, check, keep, body}}
	all := &ast.DoBlockStmt{Stmts: []ast.Stmt{hidden, loop}}
	for _, n := range []ast.PositionHolder{hidden, call, vars, isNil, none, end, check, keep, forever} {
		line(n)
	}
	for _, n := range []ast.PositionHolder{body, loop, all} {
		n.SetLine(s.Line())
		n.SetLastLine(s.LastLine())
	}
	return all
}

// noJumpFirst writes a condition that begins with `false` or `nil`, or with `not` of them, as one that begins with `not true`. Of those the library's compiler makes
// a jump alone, and where a loop goes back to a jump it loses its way.
func noJumpFirst(condition ast.Expr) ast.Expr {
	switch e := condition.(type) {
	case *ast.LogicalOpExpr:
		e.Lhs = noJumpFirst(e.Lhs)
	case *ast.UnaryNotOpExpr:
		e.Expr = noJumpFirst(e.Expr)
	case *ast.FalseExpr, *ast.NilExpr:
		yes := &ast.TrueExpr{}
		no := &ast.UnaryNotOpExpr{Expr: yes}
		for _, n := range []ast.PositionHolder{yes, no} {
			n.SetLine(e.Line())
			n.SetLastLine(e.LastLine())
		}
		return no
	}
	return condition
}
