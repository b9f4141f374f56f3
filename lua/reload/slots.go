package reload

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/skua-go/skua/lua/syntax"
	"github.com/skua-go/skua/lua/token"
)

// form is what an initial value is made by.
type form uint8

const (
	formNone     form = iota // nothing: it is nil
	formPlain                // what has no effect and no state: literals, names, operators, require
	formTable                // a constructor of such values
	formFunction             // a function
	formCall                 // anything else
)

// slot is a place of the chunk that its statements give a value: a local variable, a field or a global, or what the chunk returns.
type slot struct {
	key    string
	v      *variable // of a local variable
	target string    // what anything else is called that is assigned to
	place  int       // which of the evaluation's targets it is
	form   form
	fn     *function
	eval   *evaluation
	index  int         // which of its values
	expr   syntax.Expr // nil if it has none of its own
	hash   uint64
	line   int
	order  int
}

// evaluation is a list of expressions of the chunk that give slots their values.
type evaluation struct {
	line    int
	text    string
	targets []string
	scope   []*variable // what the expressions can use
	names   map[string]bool
	funcs   []*function // within the expressions
}

// loose is a statement of the chunk that is none of the above.
type loose struct {
	hash uint64
	line int
	text string
	eval *evaluation // of a call of setmetatable, which may be run again
}

func (o *outline) addSlot(s *slot) {
	if o.keys == nil {
		o.keys = map[string]int{}
	}
	if n := o.keys[s.key]; n > 0 {
		o.keys[s.key]++
		s.key = fmt.Sprintf("%s #%d", s.key, n+1)
	} else {
		o.keys[s.key] = 1
	}
	s.order = len(o.slots)
	o.slots = append(o.slots, s)
	if s.v != nil {
		s.v.slot = s
	}
}

func (s *slot) String() string {
	if s.v != nil {
		return s.v.String()
	}
	if s.target == "" {
		return "what the script returns"
	}
	return s.target
}

func localKey(name string) string { return "local " + name }

// addFunction is for `local function v` and `function target`.
func (o *outline) addFunction(v *variable, target syntax.Expr, f *function, pos syntax.Pos, scope []*variable) {
	s := &slot{v: v, form: formFunction, fn: f, hash: f.hash, line: int(pos.Line)}
	s.eval = &evaluation{line: s.line, scope: slices.Clone(scope), names: map[string]bool{}, funcs: []*function{f}}
	if v != nil {
		s.key = localKey(v.name)
	} else {
		s.target = targetName(target)
		if !simple(target) {
			return
		}
		s.key = s.target
		s.eval.targets = []string{targetText(target)}
		s.eval.names = namesIn([]syntax.Expr{target})
	}
	o.addSlot(s)
}

func (o *outline) addLocal(s *syntax.LocalStat, vars []*variable, next syntax.Pos, scope []*variable) {
	e := o.evaluation(s.Pos, next, s.Exprs, scope, true)
	for i, v := range vars {
		o.addValue(&slot{key: localKey(v.name), v: v, line: int(s.Pos.Line)}, e, s.Exprs, i)
	}
}

func (o *outline) addAssign(s *syntax.AssignStat, next syntax.Pos, scope []*variable) {
	for _, t := range s.Targets {
		if !simple(t) {
			o.loose = append(o.loose, &loose{hash: hashOf(s), line: int(s.Pos.Line), text: targetName(t) + " ="})
			return
		}
	}
	e := o.evaluation(s.Pos, next, s.Exprs, scope, true)
	for name := range namesIn(s.Targets) {
		e.names[name] = true
	}
	for i, t := range s.Targets {
		if n, ok := t.(*syntax.NameExpr); ok && slices.ContainsFunc(scope, func(v *variable) bool { return v.name == n.Name }) {
			continue // a variable that the chunk changes after its declaration: it is state
		}
		text := targetName(t)
		e.targets = append(e.targets, targetText(t))
		o.addValue(&slot{key: text, target: text, place: len(e.targets) - 1, line: int(s.Pos.Line)}, e, s.Exprs, i)
	}
}

func (o *outline) addReturn(s *syntax.ReturnStat, next syntax.Pos, scope []*variable) {
	e := o.evaluation(s.Pos, next, s.Exprs, scope, false)
	if len(s.Exprs) > 0 {
		o.addValue(&slot{key: "return", line: int(s.Pos.Line)}, e, s.Exprs, 0)
	}
}

// addCall is for calls of setmetatable, which do the same each time.
func (o *outline) addCall(s *syntax.CallStat, next syntax.Pos, scope []*variable) {
	call, ok := s.Call.(*syntax.CallExpr)
	if !ok || targetName(call.Fn) != "setmetatable" || len(call.Args) != 2 || formOf(call.Args[0]) == formCall || formOf(call.Args[1]) == formCall {
		return
	}
	pos := startOfExpr(s.Call)
	o.loose = append(o.loose, &loose{
		hash: hashOf(s), line: int(pos.Line), text: "setmetatable", eval: o.evaluation(pos, next, []syntax.Expr{call}, scope, false),
	})
}

// addLoose keeps statements that only have effects.
func (o *outline) addLoose(s syntax.Stat) {
	var text string
	switch s := s.(type) {
	case *syntax.CallStat:
		text = targetName(s.Call)
		if len(o.loose) > 0 {
			if l := o.loose[len(o.loose)-1]; l.eval != nil && l.hash == hashOf(s) && l.line == int(startOfExpr(s.Call).Line) {
				return
			}
		}
	case *syntax.WhileStat:
		text = "while"
	case *syntax.RepeatStat:
		text = "repeat"
	case *syntax.IfStat:
		text = "if"
	case *syntax.NumForStat, *syntax.GenForStat:
		text = "for"
	default:
		return
	}
	o.loose = append(o.loose, &loose{hash: hashOf(s), line: int(startOf(s).Line), text: text})
}

// evaluation cuts the expressions of a statement out of the source: what is behind its `=`, its `return`, or all of it.
func (o *outline) evaluation(pos, next syntax.Pos, exprs []syntax.Expr, scope []*variable, assigns bool) *evaluation {
	e := &evaluation{line: int(pos.Line), scope: slices.Clone(scope), names: namesIn(exprs), funcs: slices.Clone(o.main.inner[o.from:])}
	text := o.source[o.offset(pos):o.offset(next)]
	switch {
	case len(exprs) == 0:
		text = ""
	case assigns:
		at := behindEquals(text)
		e.line += strings.Count(text[:at], "\n")
		text = text[at:]
	default:
		text = strings.TrimPrefix(text, "return")
	}
	e.text = strings.TrimRight(trimmedLeft(text, &e.line), " \t\r\n")
	return e
}

// trimmedLeft takes empty lines off, and counts them.
func trimmedLeft(text string, line *int) string {
	rest := strings.TrimLeft(text, " \t\r\n")
	*line += strings.Count(text[:len(text)-len(rest)], "\n")
	return rest
}

// addValue adds a slot that gets the i-th value of a list of expressions.
func (o *outline) addValue(s *slot, e *evaluation, exprs []syntax.Expr, i int) {
	s.eval, s.index = e, i
	switch {
	case i < len(exprs):
		s.hash, s.expr = hashOf(exprs[i]), exprs[i]
		s.form = formOf(exprs[i])
		if f, ok := exprs[i].(*syntax.FuncExpr); ok {
			s.fn = o.byExpr[f]
		}
	case len(exprs) > 0 && isMulti(exprs[len(exprs)-1]):
		s.hash = hashOf(exprs[len(exprs)-1], i)
		s.form = formCall
	default:
		s.form = formNone
	}
	o.addSlot(s)
}

func isMulti(e syntax.Expr) bool {
	switch e.(type) {
	case *syntax.CallExpr, *syntax.MethodExpr, *syntax.VarargExpr:
		return true
	}
	return false
}

// simple tells whether reading a target again has no effect.
func simple(e syntax.Expr) bool {
	switch e := e.(type) {
	case *syntax.NameExpr, *syntax.StringExpr, *syntax.IntExpr:
		return true
	case *syntax.IndexExpr:
		return simple(e.Obj) && simple(e.Key)
	}
	return false
}

// formOf tells what an expression is made by.
func formOf(e syntax.Expr) form {
	switch e := e.(type) {
	case *syntax.FuncExpr:
		return formFunction
	case *syntax.TableExpr:
		for _, f := range e.Fields {
			if f.Key != nil && formOf(f.Key) != formPlain || formOf(f.Value) == formCall {
				return formCall
			}
		}
		return formTable
	case *syntax.CallExpr:
		return formOfCall(e)
	case *syntax.ParenExpr:
		return formOf(e.X)
	case *syntax.MethodExpr, *syntax.VarargExpr:
		return formCall
	case *syntax.IndexExpr:
		return plainIf(e.Obj, e.Key)
	case *syntax.UnaryExpr:
		return plainIf(e.X)
	case *syntax.BinaryExpr:
		for {
			if formOf(e.Right) != formPlain {
				return formCall
			}
			left, ok := e.Left.(*syntax.BinaryExpr)
			if !ok {
				return plainIf(e.Left)
			}
			e = left
		}
	}
	return formPlain
}

func plainIf(parts ...syntax.Expr) form {
	for _, p := range parts {
		if formOf(p) != formPlain {
			return formCall
		}
	}
	return formPlain
}

// pure are functions without effects, by the library that they are in.
var pure = map[string]string{ //nolint:gochecknoglobals // a constant
	"": " require tonumber tostring type select rawget rawlen rawequal ", "math": "", "string": "", "utf8": "", "bit32": "", "table": " concat unpack pack ",
}

// formOfCall tells the calls that may be made again from others.
func formOfCall(e *syntax.CallExpr) form {
	name := targetName(e.Fn)
	if name == "setmetatable" && len(e.Args) == 2 && formOf(e.Args[1]) != formCall {
		if f := formOf(e.Args[0]); f == formTable || f == formPlain {
			return f
		}
	}
	lib, f, dotted := strings.Cut(name, ".")
	if !dotted {
		lib, f = "", name
	}
	list, known := pure[lib]
	if !known || strings.Contains(f, ".") || strings.HasPrefix(f, "random") || list != "" && !strings.Contains(list, " "+f+" ") {
		return formCall
	}
	for _, a := range e.Args {
		if formOf(a) != formPlain {
			return formCall
		}
	}
	return formPlain
}

// behindEquals is where the expressions of an assignment begin.
func behindEquals(text string) int {
	depth := 0
	for _, t := range token.Scan(text) {
		switch {
		case t.Is("("), t.Is("["), t.Is("{"):
			depth++
		case t.Is(")"), t.Is("]"), t.Is("}"):
			depth--
		case t.Is("=") && depth == 0:
			return t.Offset + 1
		}
	}
	return 0
}

// targetText is the text of a target that is simple.
func targetText(e syntax.Expr) string {
	switch e := e.(type) {
	case *syntax.NameExpr:
		return e.Name
	case *syntax.IndexExpr:
		return targetText(e.Obj) + "[" + targetText(e.Key) + "]"
	case *syntax.StringExpr:
		return quoted(e.Value)
	case *syntax.IntExpr:
		return strconv.FormatInt(e.Value, 10)
	}
	return "nil"
}

// quoted is a string as all engines read it.
func quoted(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			fmt.Fprintf(&b, `\%03d`, c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
