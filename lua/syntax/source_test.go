package syntax_test

import (
	"strings"

	"github.com/skua-go/skua/lua/syntax"
)

// source writes a tree as Lua again: with a bracket around each operator, and each part in its line.
type source struct {
	b    strings.Builder
	line int32
}

func rewrite(fn *syntax.FuncExpr) string {
	s := &source{line: 1}
	s.block(fn.Body)
	return s.b.String()
}

func (s *source) put(words ...string) {
	for _, w := range words {
		s.b.WriteString(w)
		s.b.WriteByte(' ')
	}
}

// to moves to the line of a position.
func (s *source) to(p syntax.Pos) {
	for s.line < p.Line {
		s.b.WriteByte('\n')
		s.line++
	}
}

func (s *source) block(b *syntax.Block) {
	for _, st := range b.Stats {
		s.stat(st)
	}
	s.to(b.End)
}

func (s *source) exprs(list []syntax.Expr) {
	for i, e := range list {
		if i > 0 {
			s.put(",")
		}
		s.expr(e)
	}
}

func (s *source) idents(list []syntax.Ident) {
	for i, id := range list {
		if i > 0 {
			s.put(",")
		}
		s.to(id.Pos)
		s.put(id.Name, []string{"", "<const>", "<close>"}[id.Attr])
	}
}

func (s *source) function(f *syntax.FuncExpr, method bool) {
	params := f.Params
	if method {
		params = params[1:]
	}
	s.put("(")
	s.idents(params)
	if f.Vararg && len(params) > 0 {
		s.put(",")
	}
	if f.Vararg {
		s.put("...")
	}
	s.put(")")
	s.block(f.Body)
	s.to(f.End)
	s.put("end")
}

func (s *source) stat(st syntax.Stat) {
	switch st := st.(type) {
	case *syntax.LocalStat:
		s.to(st.Pos)
		s.put("local")
		s.idents(st.Names)
		if st.Exprs != nil {
			s.put("=")
		}
		s.exprs(st.Exprs)
	case *syntax.AssignStat:
		s.exprs(st.Targets)
		s.put("=")
		s.exprs(st.Exprs)
	case *syntax.CallStat:
		s.expr(st.Call)
	case *syntax.DoStat:
		s.to(st.Pos)
		s.put("do")
		s.block(st.Body)
		s.put("end")
	case *syntax.WhileStat:
		s.to(st.Pos)
		s.put("while")
		s.expr(st.Cond)
		s.put("do")
		s.block(st.Body)
		s.put("end")
	case *syntax.RepeatStat:
		s.to(st.Pos)
		s.put("repeat")
		s.block(st.Body)
		s.put("until")
		s.expr(st.Cond)
	case *syntax.IfStat:
		s.branches(st)
	case *syntax.NumForStat:
		s.numFor(st)
	case *syntax.GenForStat:
		s.to(st.Pos)
		s.put("for")
		s.idents(st.Names)
		s.put("in")
		s.exprs(st.Exprs)
		s.put("do")
		s.block(st.Body)
		s.put("end")
	default:
		s.rarer(st)
	}
	s.put(";") // or a bracket that follows would be a call
}

func (s *source) branches(st *syntax.IfStat) {
	s.to(st.Pos)
	word := "if"
	for i, c := range st.Conds {
		s.put(word)
		s.expr(c)
		s.put("then")
		s.block(st.Blocks[i])
		word = "elseif"
	}
	if st.Else != nil {
		s.put("else")
		s.block(st.Else)
	}
	s.put("end")
}

func (s *source) numFor(st *syntax.NumForStat) {
	s.to(st.Pos)
	s.put("for")
	s.idents([]syntax.Ident{st.Var})
	s.put("=")
	s.expr(st.Start)
	s.put(",")
	s.expr(st.Limit)
	if st.Step != nil {
		s.put(",")
		s.expr(st.Step)
	}
	s.put("do")
	s.block(st.Body)
	s.put("end")
}

func (s *source) rarer(st syntax.Stat) {
	switch st := st.(type) {
	case *syntax.FuncStat:
		s.to(st.Pos)
		s.put("function")
		// A method's name stands behind its colon, where self is.
		name, method := st.Target, len(st.Func.Params) > 0 && st.Func.Params[0].Pos == st.Target.At()
		if index, ok := name.(*syntax.IndexExpr); ok && method {
			s.target(index.Obj)
			s.put(":", index.Key.(*syntax.StringExpr).Value)
		} else {
			s.target(name)
		}
		s.function(st.Func, method)
	case *syntax.LocalFuncStat:
		s.to(st.Pos)
		s.put("local function")
		s.to(st.Name.Pos)
		s.put(st.Name.Name)
		s.function(st.Func, false)
	case *syntax.ReturnStat:
		s.to(st.Pos)
		s.put("return")
		s.exprs(st.Exprs)
	case *syntax.BreakStat:
		s.to(st.Pos)
		s.put("break")
	case *syntax.GotoStat:
		s.to(st.Pos)
		s.put("goto", st.Label)
	case *syntax.LabelStat:
		s.to(st.Pos)
		s.put("::", st.Name, "::")
	}
}

// target writes the name of a function.
func (s *source) target(e syntax.Expr) {
	if index, ok := e.(*syntax.IndexExpr); ok {
		s.target(index.Obj)
		s.put(".", index.Key.(*syntax.StringExpr).Value)
		return
	}
	s.expr(e)
}

func (s *source) expr(e syntax.Expr) {
	switch e := e.(type) {
	case *syntax.IndexExpr:
		s.expr(e.Obj)
		s.to(e.Pos)
		s.put("[")
		s.expr(e.Key)
		s.put("]")
	case *syntax.CallExpr:
		s.expr(e.Fn)
		s.args(e.Pos, e.Args)
	case *syntax.MethodExpr:
		s.expr(e.Obj)
		s.to(e.NamePos)
		s.put(":", e.Name)
		s.args(e.Pos, e.Args)
	case *syntax.BinaryExpr:
		s.put("(")
		s.expr(e.Left)
		s.to(e.Pos)
		s.put(operators[e.Op])
		s.expr(e.Right)
		s.put(")")
	case *syntax.UnaryExpr:
		s.to(e.Pos)
		s.put("(", operators[e.Op])
		s.expr(e.X)
		s.put(")")
	case *syntax.ParenExpr:
		s.to(e.Pos)
		s.put("(")
		s.expr(e.X)
		s.put(")")
	case *syntax.TableExpr:
		s.table(e)
	case *syntax.FuncExpr:
		s.to(e.Pos)
		s.put("function")
		s.function(e, false)
	default:
		s.to(e.At())
		s.put(atom(e))
	}
}

func (s *source) args(p syntax.Pos, list []syntax.Expr) {
	s.to(p)
	s.put("(")
	s.exprs(list)
	s.put(")")
}

func (s *source) table(e *syntax.TableExpr) {
	s.to(e.Pos)
	s.put("{")
	for _, f := range e.Fields {
		s.to(f.Pos)
		if f.Key != nil {
			s.put("[")
			s.expr(f.Key)
			s.put("] =")
		}
		s.expr(f.Value)
		s.put(",")
	}
	s.to(e.End)
	s.put("}")
}
