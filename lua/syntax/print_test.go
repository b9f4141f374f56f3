package syntax_test

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/skua-go/skua/lua/syntax"
)

// tree shows a tree as s-expressions.
type tree struct {
	b     strings.Builder
	where bool // show the position of each node behind it
	bare  bool // leave brackets out
}

func show(fn *syntax.FuncExpr, where bool) string {
	t := &tree{where: where}
	t.stats(fn.Body)
	return strings.TrimPrefix(t.b.String(), " ")
}

func (t *tree) put(format string, args ...any) { fmt.Fprintf(&t.b, format, args...) }

func (t *tree) at(p syntax.Pos) {
	if t.where {
		t.put("@%d:%d", p.Line, p.Col)
	}
}

// open begins a list.
func (t *tree) open(head string, p syntax.Pos) {
	t.put(" (%s", head)
	t.at(p)
}

func (t *tree) stats(b *syntax.Block) {
	for _, s := range b.Stats {
		t.stat(s)
	}
	if t.where {
		t.put(" end")
		t.at(b.End)
	}
}

func (t *tree) block(b *syntax.Block) {
	t.put(" [")
	t.stats(b)
	t.put("]")
}

func (t *tree) exprs(list []syntax.Expr) {
	for _, e := range list {
		t.expr(e)
	}
}

func (t *tree) ident(i syntax.Ident) {
	t.put(" %s%s", i.Name, []string{"", "<const>", "<close>"}[i.Attr])
	t.at(i.Pos)
}

func (t *tree) idents(list []syntax.Ident) {
	for _, i := range list {
		t.ident(i)
	}
}

func (t *tree) stat(s syntax.Stat) {
	switch s := s.(type) {
	case *syntax.LocalStat:
		t.open("local", s.Pos)
		t.idents(s.Names)
		if s.Exprs != nil {
			t.put(" =")
		}
		t.exprs(s.Exprs)
	case *syntax.AssignStat:
		t.open("set", s.Pos)
		t.exprs(s.Targets)
		t.put(" =")
		t.exprs(s.Exprs)
	case *syntax.CallStat:
		t.expr(s.Call)
		return
	case *syntax.DoStat:
		t.open("do", s.Pos)
		t.block(s.Body)
	case *syntax.WhileStat:
		t.open("while", s.Pos)
		t.expr(s.Cond)
		t.block(s.Body)
	case *syntax.RepeatStat:
		t.open("repeat", s.Pos)
		t.block(s.Body)
		t.expr(s.Cond)
	case *syntax.IfStat:
		t.open("if", s.Pos)
		for i, c := range s.Conds {
			t.expr(c)
			t.block(s.Blocks[i])
		}
		if s.Else != nil {
			t.put(" else")
			t.block(s.Else)
		}
	default:
		t.rarer(s)
	}
	t.put(")")
}

func (t *tree) rarer(s syntax.Stat) {
	switch s := s.(type) {
	case *syntax.NumForStat:
		t.open("for", s.Pos)
		t.ident(s.Var)
		t.expr(s.Start)
		t.expr(s.Limit)
		if s.Step != nil {
			t.expr(s.Step)
		}
		t.block(s.Body)
	case *syntax.GenForStat:
		t.open("for", s.Pos)
		t.idents(s.Names)
		t.put(" in")
		t.exprs(s.Exprs)
		t.block(s.Body)
	case *syntax.FuncStat:
		t.open("function", s.Pos)
		t.expr(s.Target)
		t.expr(s.Func)
	case *syntax.LocalFuncStat:
		t.open("localfunction", s.Pos)
		t.ident(s.Name)
		t.expr(s.Func)
	case *syntax.ReturnStat:
		t.open("return", s.Pos)
		t.exprs(s.Exprs)
	case *syntax.BreakStat:
		t.open("break", s.Pos)
	case *syntax.GotoStat:
		t.open("goto "+s.Label, s.Pos)
	case *syntax.LabelStat:
		t.open("label "+s.Name, s.Pos)
	default:
		panic(fmt.Sprintf("no such statement: %T", s))
	}
}

// operators are the signs of syntax.Op, in its order.
var operators = strings.Fields("+ - * % ^ / // & | ~ << >> .. == < <= ~= > >= and or - ~ not #")

func (t *tree) expr(e syntax.Expr) {
	switch e := e.(type) {
	case *syntax.IndexExpr:
		t.open("index", e.Pos)
		t.expr(e.Obj)
		t.expr(e.Key)
	case *syntax.CallExpr:
		t.open("call", e.Pos)
		t.expr(e.Fn)
		t.exprs(e.Args)
	case *syntax.MethodExpr:
		t.open("method", e.Pos)
		t.expr(e.Obj)
		t.ident(syntax.Ident{Name: e.Name, Pos: e.NamePos})
		t.exprs(e.Args)
	case *syntax.BinaryExpr:
		t.open(operators[e.Op], e.Pos)
		t.expr(e.Left)
		t.expr(e.Right)
	case *syntax.UnaryExpr:
		t.open(operators[e.Op], e.Pos)
		t.expr(e.X)
	case *syntax.ParenExpr:
		if t.bare {
			t.expr(e.X)
			return
		}
		t.open("paren", e.Pos)
		t.expr(e.X)
	case *syntax.TableExpr:
		t.table(e)
	case *syntax.FuncExpr:
		t.open("fn", e.Pos)
		t.idents(e.Params)
		if e.Vararg {
			t.put(" ...")
		}
		t.block(e.Body)
		t.at(e.End)
	default:
		t.put(" %s", atom(e))
		t.at(e.At())
		return
	}
	t.put(")")
}

func (t *tree) table(e *syntax.TableExpr) {
	t.open("table", e.Pos)
	for _, f := range e.Fields {
		if f.Key == nil {
			t.put(" -")
		} else {
			t.expr(f.Key)
			t.put(":")
		}
		t.at(f.Pos)
		t.expr(f.Value)
	}
	if t.where {
		t.put(" end")
		t.at(e.End)
	}
}

// atom shows an expression without parts, in a way that Lua reads too, but for names that are no keys.
func atom(e syntax.Expr) string {
	switch e := e.(type) {
	case *syntax.NilExpr:
		return "nil"
	case *syntax.TrueExpr:
		return "true"
	case *syntax.FalseExpr:
		return "false"
	case *syntax.VarargExpr:
		return "..."
	case *syntax.IntExpr:
		if e.Value < 0 { // which only hexadecimal numerals are
			return fmt.Sprintf("%#x", uint64(e.Value))
		}
		return strconv.FormatInt(e.Value, 10)
	case *syntax.FloatExpr:
		s := strconv.FormatFloat(e.Value, 'g', -1, 64)
		if s == "+Inf" {
			return "1e999"
		}
		if !strings.ContainsAny(s, ".e") {
			s += ".0"
		}
		return s
	case *syntax.StringExpr:
		return literal(e.Value)
	case *syntax.NameExpr:
		return e.Name
	}
	panic(fmt.Sprintf("no such expression: %T", e))
}

// literal is a string as Lua writes it, in one line and in ASCII.
func literal(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, "\\%03d", c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
