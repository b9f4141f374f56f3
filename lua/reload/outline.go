package reload

import (
	"fmt"
	"strconv"

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
		return strconv.FormatInt(e.Value, 10)
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
