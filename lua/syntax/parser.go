package syntax

import "math"

const (
	// maxLevels is how deep statements and expressions may stand in one another. It is PUC Lua's limit (LUAI_MAXCCALLS), so what nests deeper runs nowhere.
	maxLevels = 200
	// maxHeight is how many operators, indices and calls may hang on one another without brackets, as in a+a+a. PUC Lua has no limit for what associates to the
	// left; here the tree is as deep as the chain is long, and those who walk it recurse.
	maxHeight = 20000
)

// parser makes the tree. It descends recursively, with its levels counted.
type parser struct {
	lexer
	tok      token
	ahead    token // the one behind tok, if hasAhead
	hasAhead bool

	levels int
	vararg bool // whether the function that is read has ...
	height int  // of the expression that was read last
	tall   int  // the greatest height in the function that is read

	exprs  list[Expr]
	stats  list[Stat]
	fields list[Field]
	idents list[Ident]

	// The parts that are most frequent.
	names    slab[NameExpr]
	strings  slab[StringExpr]
	ints     slab[IntExpr]
	indices  slab[IndexExpr]
	calls    slab[CallExpr]
	binaries slab[BinaryExpr]
	tables   slab[TableExpr]
}

// Parse makes the tree of a source: its main function, which is vararg and whose Pos is zero. Chunk is the source's name as messages show it, such as "agent.lua".
// A first line that begins with # is skipped, and so is a UTF-8 byte order mark. The error is a *SyntaxError. Time and memory are linear in the length of the
// source, and the depth of the tree is bounded whatever the source is: levels of nesting as in PUC Lua, the length of a chain without brackets by 20,000. What
// only a compiler knows is not checked: labels, break outside of a loop, assignment to constants, and the limits on variables.
//
// Strings of the tree may share the memory of source. Several goroutines may call Parse at once.
func Parse(chunk, source string) (fn *FuncExpr, err error) {
	p := &parser{lexer: lexer{chunk: chunk, src: source, line: 1}, vararg: true}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *SyntaxError:
			fn, err = nil, r
		default:
			panic(r)
		}
	}()
	if len(source) >= math.MaxInt32 {
		p.fail(Pos{1, 1}, "chunk has too many lines")
	}
	p.skipHead()
	p.next()
	body := p.block()
	if p.tok.kind != kEOF {
		p.failExpected(kEOF)
	}
	return &FuncExpr{End: p.tok.pos, Vararg: true, Body: body}, nil
}

// next moves to the next token.
func (p *parser) next() {
	if p.hasAhead {
		p.tok, p.hasAhead = p.ahead, false
		return
	}
	p.lex(&p.tok)
}

// accept moves on if the present token is a k.
func (p *parser) accept(k kind) bool {
	if p.tok.kind != k {
		return false
	}
	p.next()
	return true
}

// expect moves over a k.
func (p *parser) expect(k kind) {
	if !p.accept(k) {
		p.failExpected(k)
	}
}

// name moves over a name.
func (p *parser) name() (string, Pos) {
	if p.tok.kind != kName {
		p.failExpected(kName)
	}
	text, pos := p.tok.text, p.tok.pos
	p.next()
	return text, pos
}

// match moves over the token that closes what open opened in the given line.
func (p *parser) match(what, open kind, line int32) {
	switch {
	case p.accept(what):
	case line == p.line:
		p.failExpected(what)
	default:
		p.failNear(what.show() + " expected (to close " + open.show() + " at line " + itoa(int(line)) + ")")
	}
}

// enter goes down a level.
func (p *parser) enter() {
	if p.levels++; p.levels > maxLevels {
		p.failNear("C stack overflow")
	}
}

// reach notes the height of the expression that was just read.
func (p *parser) reach(height int) {
	p.height = height
	if height > p.tall {
		if height > maxHeight {
			p.failNear("chunk has too many syntax levels")
		}
		p.tall = height
	}
}
