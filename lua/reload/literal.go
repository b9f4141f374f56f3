package reload

import (
	"github.com/skua-go/skua/lua/syntax"
	"github.com/skua-go/skua/lua/vm"
)

// literal tells whether push knows the value of an expression; a nil one is that of a variable without.
func literal(e syntax.Expr) bool {
	switch e := e.(type) {
	case nil, *syntax.NilExpr, *syntax.TrueExpr, *syntax.FalseExpr, *syntax.IntExpr, *syntax.FloatExpr, *syntax.StringExpr, *syntax.FuncExpr:
		return true
	case *syntax.TableExpr:
		return len(e.Fields) == 0
	}
	return false
}

// push pushes the value of a literal that is no function.
func push(s vm.State, e syntax.Expr) {
	switch e := e.(type) {
	case *syntax.TrueExpr:
		s.PushBool(true)
	case *syntax.FalseExpr:
		s.PushBool(false)
	case *syntax.IntExpr:
		s.PushInt(e.Value)
	case *syntax.FloatExpr:
		s.PushFloat(e.Value)
	case *syntax.StringExpr:
		s.PushString(e.Value)
	case *syntax.TableExpr:
		s.NewTable(0, 0)
	default:
		s.PushNil()
	}
}
