package gopher

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"

	"github.com/skua-go/skua/lua/token"
)

// maxNesting bounds brackets and blocks within each other, as in the reference implementation (LUAI_MAXCCALLS).
const maxNesting = 200

// compile makes the code of a source. The code is shared, so it must not change.
func compile(name, source string) (proto *lua.FunctionProto, err error) {
	defer func() {
		if r := recover(); r != nil { // the compiler's own bounds are not all errors
			proto, err = nil, fmt.Errorf("%s: the compiler failed: %v", name, r)
		}
	}()
	if strings.HasPrefix(source, "\x1b") {
		return nil, errors.New("attempt to load a binary chunk (mode is 't')")
	}
	text, err := mend(name, source)
	if err != nil {
		return nil, err
	}
	chunk, err := parse.Parse(strings.NewReader(text), name)
	if err != nil {
		return nil, syntaxError(name, source, err)
	}
	if line := rewrite(chunk); line > 0 {
		return nil, fmt.Errorf("%s:%d: an expression or statement has too many levels", name, line)
	}
	proto, err = lua.Compile(chunk, name)
	if err != nil {
		return nil, syntaxError(name, source, err)
	}
	proto.IsVarArg &^= lua.VarArgNeedsArg // only functions have an arg: the library would make a table for each run of a chunk
	lastItems(proto)
	clip(proto)
	own(proto, source)
	return proto, nil
}

// syntaxError puts an error of the library into Lua's form.
func syntaxError(name, source string, err error) error {
	if p, ok := errors.AsType[*parse.Error](err); ok {
		line, near := p.Pos.Line, "'"+p.Token+"'"
		if line == parse.EOF {
			line, near = strings.Count(source, "\n")+1, "<eof>"
		}
		return fmt.Errorf("%s:%d: %s near %s", name, line, strings.TrimSpace(p.Message), near)
	}
	if c, ok := errors.AsType[*lua.CompileError](err); ok {
		return fmt.Errorf("%s:%d: %s", name, c.Line, c.Message)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// mend rewrites what this engine does not know of Lua 5.4, as far as tokens tell what it means, and refuses what it would silently take for something else.
// No line moves.
func mend(name, source string) (string, error) {
	var b strings.Builder
	from := 0
	replace := func(at, end int, text string) {
		b.WriteString(source[from:at])
		b.WriteString(text)
		from = end
	}
	if strings.HasPrefix(source, "#") {
		replace(0, 0, "--") // a first line for the shell
	}
	tokens := token.Scan(source)
	depth := 0
	for i, t := range tokens {
		switch {
		case t.Kind == token.String && source[t.Offset] != '[':
			text, changed, err := escapes(t.Text)
			if err != nil {
				return "", fmt.Errorf("%s:%d: %w", name, t.Line, err)
			}
			if end := t.Offset + 1 + len(t.Text); changed && end < len(source) {
				quote := source[end : end+1]
				lines := strings.Count(t.Text, "\n") - strings.Count(text, "\n") // that \z skips
				replace(t.Offset+1, end+1, text+quote+strings.Repeat("\n", lines))
			}
		case t.Kind == token.Number:
			if err := checkNumber(t.Text); err != nil {
				return "", fmt.Errorf("%s:%d: %w", name, t.Line, err)
			}
		case t.Is("break"):
			replace(t.Offset, t.Offset+len("break"), "do break end") // code may follow it
		case t.Is("<") && i >= 2 && i+2 < len(tokens) && tokens[i+2].Is(">") && tokens[i-1].Kind == token.Name && isLocal(tokens[:i-1]):
			switch tokens[i+1].Text {
			case "const":
				replace(t.Offset, tokens[i+2].Offset+1, "")
			case "close":
				return "", fmt.Errorf("%s:%d: the engine %s has no variables that are closed", name, t.Line, Name)
			}
		}
		switch {
		case t.Is("("), t.Is("["), t.Is("{"), t.Is("function"), t.Is("do"), t.Is("if"), t.Is("repeat"):
			if depth++; depth > maxNesting {
				return "", fmt.Errorf("%s:%d: chunk has too many syntax levels", name, t.Line)
			}
		case t.Is(")"), t.Is("]"), t.Is("}"), t.Is("end"), t.Is("until"):
			depth--
		}
	}
	if from == 0 && b.Len() == 0 {
		return source, nil
	}
	b.WriteString(source[from:])
	return b.String(), nil
}

// isLocal tells whether the tokens end within the names of a `local`.
func isLocal(tokens []token.Token) bool {
	for i := len(tokens) - 1; i >= 0; i-- {
		switch t := tokens[i]; {
		case t.Is("local"):
			return true
		case t.Kind == token.Name, t.Is(","), t.Is("<"), t.Is(">"):
		default:
			return false
		}
	}
	return false
}

// checkNumber refuses integers that a float64 would round.
func checkNumber(text string) error {
	hex := strings.HasPrefix(text, "0x") || strings.HasPrefix(text, "0X")
	if strings.Contains(text, ".") || !hex && strings.ContainsAny(text, "eE") {
		return nil
	}
	n, err := strconv.ParseUint(text, 0, 64)
	if !hex {
		n, err = strconv.ParseUint(text, 10, 64)
	}
	if errors.Is(err, strconv.ErrRange) || err == nil && n > maxExact {
		return fmt.Errorf("the integer %s is beyond 2^53: the engine %s would round it", text, Name)
	}
	return nil // what else is wrong with it the compiler tells
}

// escapes rewrites those escapes of a quoted string that Lua 5.1 does not have.
func escapes(s string) (text string, changed bool, err error) {
	if !strings.Contains(s, `\x`) && !strings.Contains(s, `\u`) && !strings.Contains(s, `\z`) {
		return s, false, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 >= len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'x':
			if i+2 >= len(s) {
				return "", false, errors.New("hexadecimal digit expected")
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", false, errors.New("hexadecimal digit expected")
			}
			fmt.Fprintf(&b, `\%03d`, n)
			i += 2
		case 'u':
			end := strings.IndexByte(s[i:], '}')
			if end < 3 || s[i+1] != '{' {
				return "", false, errors.New(`\u needs hexadecimal digits in braces`)
			}
			n, err := strconv.ParseUint(s[i+2:i+end], 16, 31)
			if err != nil {
				return "", false, errors.New("UTF-8 value too large")
			}
			for _, c := range encodeUTF8(uint32(n)) {
				fmt.Fprintf(&b, `\%03d`, c)
			}
			i += end
		case 'z':
			for i+1 < len(s) && strings.IndexByte(" \t\r\n\f\v", s[i+1]) >= 0 {
				i++
			}
		default:
			b.WriteByte('\\')
			b.WriteByte(s[i])
		}
	}
	return b.String(), true, nil
}

// encodeUTF8 encodes up to 31 bits, as Lua does (the original UTF-8 of RFC 2279).
func encodeUTF8(n uint32) []byte {
	if n < 0x110000 && utf8.ValidRune(rune(n)) {
		return utf8.AppendRune(nil, rune(n))
	}
	size, first := 3, byte(0xe0)
	switch {
	case n >= 1<<26:
		size, first = 6, 0xfc
	case n >= 1<<21:
		size, first = 5, 0xf8
	case n >= 1<<16:
		size, first = 4, 0xf0
	}
	b := make([]byte, size)
	for i := size - 1; i > 0; i-- {
		b[i] = 0x80 | byte(n&0x3f)
		n >>= 6
	}
	b[0] = first | byte(n)
	return b
}

// maxLoaded bounds the different names and constants of a source that a script loads while it runs, and its gotos: what the library's compiler takes is in
// proportion to the square of these.
const maxLoaded = 16384

// tooMuch refuses sources that the compiler would take many seconds for, which no budget could stop.
func tooMuch(name, source string) error {
	if len(source) < maxLoaded {
		return nil
	}
	seen, gotos := map[string]struct{}{}, 0
	for _, t := range token.Scan(source) {
		switch {
		case t.Kind == token.Name, t.Kind == token.String, t.Kind == token.Number:
			seen[t.Text] = struct{}{}
		case t.Is("goto"):
			gotos++
		}
		if len(seen) > maxLoaded || gotos > maxLoaded {
			return fmt.Errorf("%s:%d: load: more than %d different names and constants, or gotos", name, t.Line, maxLoaded)
		}
	}
	return nil
}

// clip gives back what the compiler has reserved: three quarters of it.
func clip(p *lua.FunctionProto) {
	p.Code = clone(p.Code)
	p.Constants = clone(p.Constants)
	p.FunctionPrototypes = clone(p.FunctionPrototypes)
	p.DbgSourcePositions = clone(p.DbgSourcePositions)
	p.DbgLocals = clone(p.DbgLocals)
	p.DbgCalls = clone(p.DbgCalls)
	p.DbgUpvalues = clone(p.DbgUpvalues)
	for _, f := range p.FunctionPrototypes {
		clip(f)
	}
}

func clone[T any](s []T) []T {
	if cap(s) == len(s) {
		return s
	}
	c := make([]T, len(s))
	copy(c, s)
	return c
}

// maxLevels bounds the depth of a syntax tree: the compiler goes down with a call a level, and Go's stack is not to be exhausted by a script.
const maxLevels = 4000

// rewrite prepares a syntax tree for the compiler: see unrolled, atOnce, noJumpFirst and constructor. Its result is the line where the tree is deeper than maxLevels, else 0.
func rewrite(chunk []ast.Stmt) int {
	var d rewriter
	d.stmts(chunk, 0)
	return d.line
}

type rewriter struct{ line int }

func (d *rewriter) over(n ast.PositionHolder, level int) bool {
	if d.line == 0 && level > maxLevels {
		d.line = max(n.Line(), 1)
	}
	return d.line > 0
}

func (d *rewriter) stmts(list []ast.Stmt, level int) {
	for i, s := range list {
		if d.over(s, level) {
			return
		}
		d.stmt(s, level+1)
		switch s := s.(type) {
		case *ast.AssignStmt:
			list[i] = atOnce(s)
		case *ast.GenericForStmt:
			list[i] = unrolled(s)
		}
	}
}

func (d *rewriter) stmt(s ast.Stmt, level int) {
	switch s := s.(type) {
	case *ast.AssignStmt:
		d.exprs(level, s.Lhs...)
		d.exprs(level, s.Rhs...)
	case *ast.LocalAssignStmt:
		d.exprs(level, s.Exprs...)
	case *ast.FuncCallStmt:
		d.exprs(level, s.Expr)
	case *ast.DoBlockStmt:
		d.stmts(s.Stmts, level)
	case *ast.WhileStmt:
		s.Condition = noJumpFirst(s.Condition)
		d.exprs(level, s.Condition)
		d.stmts(s.Stmts, level)
	case *ast.RepeatStmt:
		s.Condition = noJumpFirst(s.Condition)
		d.exprs(level, s.Condition)
		d.stmts(s.Stmts, level)
	case *ast.IfStmt:
		s.Condition = noJumpFirst(s.Condition)
		d.exprs(level, s.Condition)
		d.stmts(s.Then, level)
		d.stmts(s.Else, level)
	case *ast.NumberForStmt:
		d.exprs(level, s.Init, s.Limit, s.Step)
		d.stmts(s.Stmts, level)
	case *ast.GenericForStmt:
		d.exprs(level, s.Exprs...)
		d.stmts(s.Stmts, level)
	case *ast.FuncDefStmt:
		d.exprs(level, s.Name.Func, s.Name.Receiver)
		d.stmts(s.Func.Stmts, level)
	case *ast.ReturnStmt:
		d.exprs(level, s.Exprs...)
	}
}

func (d *rewriter) exprs(level int, list ...ast.Expr) {
	for _, e := range list {
		if e == nil || d.over(e, level) {
			continue
		}
		d.expr(e, level+1)
	}
}

func (d *rewriter) expr(e ast.Expr, level int) {
	switch e := e.(type) {
	case *ast.AttrGetExpr:
		d.exprs(level, e.Object, e.Key)
	case *ast.TableExpr:
		for _, f := range e.Fields {
			d.exprs(level, f.Key, f.Value)
		}
		constructor(e.Fields)
	case *ast.FuncCallExpr:
		d.exprs(level, e.Func, e.Receiver)
		d.exprs(level, e.Args...)
	case *ast.LogicalOpExpr:
		d.exprs(level, e.Lhs, e.Rhs)
	case *ast.RelationalOpExpr:
		d.exprs(level, e.Lhs, e.Rhs)
	case *ast.StringConcatOpExpr:
		d.exprs(level, e.Lhs, e.Rhs)
	case *ast.ArithmeticOpExpr:
		d.exprs(level, e.Lhs, e.Rhs)
	case *ast.UnaryMinusOpExpr:
		d.exprs(level, e.Expr)
	case *ast.UnaryNotOpExpr:
		d.exprs(level, e.Expr)
	case *ast.UnaryLenOpExpr:
		d.exprs(level, e.Expr)
	case *ast.FunctionExpr:
		d.stmts(e.Stmts, level)
	}
}
