package syntax

// unaryPriority is that of the unary operators: above all binary ones but the power.
const unaryPriority = 12

// binary is the operator that a token stands for, with its priorities to both sides: greater to the left for those that associate to the left. Left is 0 if it is
// none.
func (k kind) binary() (op Op, left, right int) {
	switch k {
	case '+':
		return Add, 10, 10
	case '-':
		return Sub, 10, 10
	case '*':
		return Mul, 11, 11
	case '%':
		return Mod, 11, 11
	case '^':
		return Pow, 14, 13
	case '/':
		return Div, 11, 11
	case kIDiv:
		return IDiv, 11, 11
	case '&':
		return BAnd, 6, 6
	case '|':
		return BOr, 4, 4
	case '~':
		return BXor, 5, 5
	case kShl:
		return Shl, 7, 7
	case kShr:
		return Shr, 7, 7
	case kConcat:
		return Concat, 9, 8
	case kEq:
		return Eq, 3, 3
	case '<':
		return Lt, 3, 3
	case kLe:
		return Le, 3, 3
	case kNe:
		return Ne, 3, 3
	case '>':
		return Gt, 3, 3
	case kGe:
		return Ge, 3, 3
	case kAnd:
		return And, 2, 2
	case kOr:
		return Or, 1, 1
	}
	return 0, 0, 0
}

// unary is the unary operator that a token stands for.
func (k kind) unary() (Op, bool) {
	switch k {
	case kNot:
		return Not, true
	case '-':
		return Neg, true
	case '~':
		return BNot, true
	case '#':
		return Len, true
	}
	return 0, false
}

func (p *parser) expr() Expr { return p.operators(0) }

// exprList reads one expression or more. p.height is that of the highest afterwards.
func (p *parser) exprList() []Expr {
	base, height := p.exprs.since(), 0
	for {
		p.exprs.push(p.expr())
		height = max(height, p.height)
		if !p.accept(',') {
			p.height = height
			return p.exprs.take(base)
		}
	}
}

// operators reads an expression of operators that bind tighter to the left than limit.
func (p *parser) operators(limit int) Expr {
	p.enter()
	var e Expr
	if op, ok := p.tok.kind.unary(); ok {
		pos := p.tok.pos
		p.next()
		e = &UnaryExpr{pos, op, p.operators(unaryPriority)}
		p.reach(p.height + 1)
	} else {
		e = p.simple()
	}
	for op, left, right := p.tok.kind.binary(); left > limit; op, left, right = p.tok.kind.binary() {
		pos, height := p.tok.pos, p.height
		p.next()
		e = p.binaries.put(BinaryExpr{pos, op, e, p.operators(right)})
		p.reach(max(height, p.height) + 1)
	}
	p.levels--
	return e
}

// simple reads what operators stand between.
func (p *parser) simple() Expr {
	var e Expr
	pos := p.tok.pos
	switch p.tok.kind {
	case kInt:
		e = p.ints.put(IntExpr{pos, p.tok.i})
	case kFloat:
		e = &FloatExpr{pos, p.tok.f}
	case kString:
		e = p.strings.put(StringExpr{pos, p.tok.text})
	case kNil:
		e = &NilExpr{pos}
	case kTrue:
		e = &TrueExpr{pos}
	case kFalse:
		e = &FalseExpr{pos}
	case kDots:
		if !p.vararg {
			p.failNear("cannot use '...' outside a vararg function")
		}
		e = &VarargExpr{pos}
	case '{':
		return p.table()
	case kFunction:
		p.next()
		return p.function(pos, p.line, nil)
	default:
		return p.suffixed()
	}
	p.next()
	p.reach(1)
	return e
}

// primary reads what indices and calls may follow.
func (p *parser) primary() Expr {
	pos := p.tok.pos
	switch p.tok.kind {
	case kName:
		e := p.names.put(NameExpr{pos, p.tok.text})
		p.next()
		p.reach(1)
		return e
	case '(':
		line := p.line
		p.next()
		e := &ParenExpr{pos, p.expr()}
		p.match(')', '(', line)
		p.reach(p.height + 1)
		return e
	}
	p.failNear("unexpected symbol")
	return nil
}

// suffixed reads a primary expression with its indices and calls.
func (p *parser) suffixed() Expr {
	e := p.primary()
	for {
		height := p.height
		pos := p.tok.pos
		switch p.tok.kind {
		case '.':
			e = p.field(e)
			p.height = 0
		case '[':
			e = p.indices.put(IndexExpr{pos, e, p.index()})
		case ':':
			p.next()
			name, namePos := p.name()
			pos = p.tok.pos
			e = &MethodExpr{pos, e, name, namePos, p.args()}
		case '(', kString, '{':
			e = p.calls.put(CallExpr{pos, e, p.args()})
		default:
			return e
		}
		p.reach(max(height, p.height) + 1)
	}
}

// field reads `.name` or `:name`.
func (p *parser) field(obj Expr) Expr {
	pos := p.tok.pos
	p.next()
	name, namePos := p.name()
	return p.indices.put(IndexExpr{pos, obj, p.strings.put(StringExpr{namePos, name})})
}

// index reads `[key]`.
func (p *parser) index() Expr {
	p.next()
	e := p.expr()
	p.expect(']')
	return e
}

// args reads the arguments of a call.
func (p *parser) args() []Expr {
	switch p.tok.kind {
	case '(':
		line := p.line
		p.next()
		if p.accept(')') {
			p.height = 0
			return nil
		}
		list := p.exprList()
		p.match(')', '(', line)
		return list
	case '{':
		return []Expr{p.table()}
	case kString:
		e := p.strings.put(StringExpr{p.tok.pos, p.tok.text})
		p.next()
		p.height = 1
		return []Expr{e}
	}
	p.failNear("function arguments expected")
	return nil
}

// table reads a constructor.
func (p *parser) table() Expr {
	t := p.tables.put(TableExpr{Pos: p.tok.pos})
	line, base, height := p.line, p.fields.since(), 0
	p.next()
	for p.tok.kind != '}' {
		p.fields.push(p.item(&height))
		if !p.accept(',') && !p.accept(';') {
			break
		}
	}
	t.Fields = p.fields.take(base)
	t.End = p.tok.pos
	p.match('}', '{', line)
	p.reach(height + 1)
	return t
}

// item reads one item of a constructor and makes height that of its expressions, if they are higher.
func (p *parser) item(height *int) Field {
	f := Field{Pos: p.tok.pos}
	switch p.tok.kind {
	case kName:
		p.lex(&p.ahead)
		p.hasAhead = true
		if p.ahead.kind == '=' {
			f.Key = p.strings.put(StringExpr{p.tok.pos, p.tok.text})
			p.next()
			p.next()
		}
	case '[':
		f.Key = p.index()
		*height = max(*height, p.height)
		p.expect('=')
	}
	f.Value = p.expr()
	*height = max(*height, p.height)
	return f
}

// function reads a function from its parameters on. Line is that of the word function, for messages; self is the parameter that a method has first.
func (p *parser) function(pos Pos, line int32, self *Ident) *FuncExpr {
	f := &FuncExpr{Pos: pos}
	vararg, tall := p.vararg, p.tall
	p.expect('(')
	f.Params, f.Vararg = p.params(self)
	p.expect(')')
	p.vararg, p.tall = f.Vararg, 0
	f.Body = p.block()
	f.End = p.tok.pos
	p.match(kEnd, kFunction, line)
	height := p.tall + 1
	p.vararg, p.tall = vararg, tall
	p.reach(height)
	return f
}

// params reads what stands between the brackets of a function.
func (p *parser) params(self *Ident) (list []Ident, vararg bool) {
	base := p.idents.since()
	if self != nil {
		p.idents.push(*self)
	}
	for p.tok.kind != ')' {
		switch p.tok.kind {
		case kName:
			p.idents.push(Ident{Name: p.tok.text, Pos: p.tok.pos})
			p.next()
			if p.accept(',') {
				if p.tok.kind == ')' {
					p.failNear("<name> or '...' expected")
				}
				continue
			}
		case kDots:
			p.next()
			vararg = true
		default:
			p.failNear("<name> or '...' expected")
		}
		break
	}
	return p.idents.take(base), vararg
}
