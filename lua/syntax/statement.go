package syntax

// block reads statements up to a word that ends a block.
func (p *parser) block() *Block {
	base := p.stats.since()
	for !p.blockEnds(true) {
		last := p.tok.kind == kReturn
		p.enter()
		if s := p.statement(); s != nil {
			p.stats.push(s)
		}
		p.levels--
		if last {
			break
		}
	}
	return &Block{Stats: p.stats.take(base), End: p.tok.pos}
}

// blockEnds tells whether the present token ends a block; until does so, except for those who ask whether nothing follows in the scope.
func (p *parser) blockEnds(until bool) bool {
	switch p.tok.kind {
	case kElse, kElseif, kEnd, kEOF:
		return true
	case kUntil:
		return until
	}
	return false
}

// statement reads one; nil for an empty one.
func (p *parser) statement() Stat {
	pos, line := p.tok.pos, p.line
	switch p.tok.kind {
	case ';':
		p.next()
		return nil
	case kIf:
		return p.ifStat(pos, line)
	case kWhile:
		return p.whileStat(pos, line)
	case kDo:
		p.next()
		body := p.block()
		p.match(kEnd, kDo, line)
		return &DoStat{pos, body}
	case kFor:
		return p.forStat(pos, line)
	case kRepeat:
		p.next()
		body := p.block()
		p.match(kUntil, kRepeat, line)
		return &RepeatStat{pos, body, p.expr()}
	case kFunction:
		return p.funcStat(pos, line)
	case kLocal:
		p.next()
		if p.accept(kFunction) {
			return p.localFunc(pos)
		}
		return p.local(pos)
	case kColons:
		p.next()
		name, _ := p.name()
		p.expect(kColons)
		return &LabelStat{pos, name}
	case kReturn:
		return p.returnStat(pos)
	case kBreak:
		p.next()
		return &BreakStat{pos}
	case kGoto:
		p.next()
		name, _ := p.name()
		return &GotoStat{pos, name}
	}
	return p.exprStat(pos)
}

func (p *parser) ifStat(pos Pos, line int32) Stat {
	s := &IfStat{Pos: pos}
	for p.tok.kind == kIf || p.tok.kind == kElseif {
		p.next()
		s.Conds = append(s.Conds, p.expr())
		p.expect(kThen)
		s.Blocks = append(s.Blocks, p.block())
		if p.tok.kind != kElseif {
			break
		}
	}
	if p.accept(kElse) {
		s.Else = p.block()
	}
	p.match(kEnd, kIf, line)
	return s
}

func (p *parser) whileStat(pos Pos, line int32) Stat {
	p.next()
	cond := p.expr()
	p.expect(kDo)
	body := p.block()
	p.match(kEnd, kWhile, line)
	return &WhileStat{pos, cond, body}
}

func (p *parser) forStat(pos Pos, line int32) Stat {
	p.next()
	name, namePos := p.name()
	v := Ident{Name: name, Pos: namePos}
	switch p.tok.kind {
	case '=':
		return p.numFor(pos, line, v)
	case ',', kIn:
		return p.genFor(pos, line, v)
	}
	p.failNear("'=' or 'in' expected")
	return nil
}

func (p *parser) numFor(pos Pos, line int32, v Ident) Stat {
	s := &NumForStat{Pos: pos, Var: v}
	p.next()
	s.Start = p.expr()
	p.expect(',')
	s.Limit = p.expr()
	if p.accept(',') {
		s.Step = p.expr()
	}
	s.Body = p.forBody(line)
	return s
}

func (p *parser) genFor(pos Pos, line int32, v Ident) Stat {
	base := p.idents.since()
	p.idents.push(v)
	for p.accept(',') {
		name, namePos := p.name()
		p.idents.push(Ident{Name: name, Pos: namePos})
	}
	p.expect(kIn)
	s := &GenForStat{Pos: pos, Names: p.idents.take(base)}
	s.Exprs = p.exprList()
	s.Body = p.forBody(line)
	return s
}

func (p *parser) forBody(line int32) *Block {
	p.expect(kDo)
	body := p.block()
	p.match(kEnd, kFor, line)
	return body
}

// funcStat reads `function a.b:c() end`.
func (p *parser) funcStat(pos Pos, line int32) Stat {
	p.next()
	name, namePos := p.name()
	target := Expr(p.names.put(NameExpr{namePos, name}))
	p.reach(1)
	height := 1
	for p.tok.kind == '.' || p.tok.kind == ':' {
		method := p.tok.kind == ':'
		at := p.tok.pos
		target = p.field(target)
		height++
		p.reach(height)
		if method {
			return &FuncStat{pos, target, p.function(pos, line, &Ident{Name: "self", Pos: at})}
		}
	}
	return &FuncStat{pos, target, p.function(pos, line, nil)}
}

func (p *parser) localFunc(pos Pos) Stat {
	name, namePos := p.name()
	return &LocalFuncStat{pos, Ident{Name: name, Pos: namePos}, p.function(pos, p.line, nil)}
}

func (p *parser) local(pos Pos) Stat {
	base, closes := p.idents.since(), false
	for {
		name, namePos := p.name()
		attr := p.attrib()
		if attr == Close {
			if closes {
				p.fail(p.here(p.tok.pos), "multiple to-be-closed variables in local list")
			}
			closes = true
		}
		p.idents.push(Ident{name, namePos, attr})
		if !p.accept(',') {
			break
		}
	}
	s := &LocalStat{Pos: pos, Names: p.idents.take(base)}
	if p.accept('=') {
		s.Exprs = p.exprList()
	}
	return s
}

// attrib reads the attribute of a local variable, if there is one.
func (p *parser) attrib() Attrib {
	if !p.accept('<') {
		return Regular
	}
	name, _ := p.name()
	p.expect('>')
	switch name {
	case "const":
		return Const
	case "close":
		return Close
	}
	p.fail(p.here(p.tok.pos), "unknown attribute "+quote(name))
	return Regular
}

func (p *parser) returnStat(pos Pos) Stat {
	p.next()
	s := &ReturnStat{Pos: pos}
	if !p.blockEnds(true) && p.tok.kind != ';' {
		s.Exprs = p.exprList()
	}
	p.accept(';')
	return s
}

// exprStat reads a call or an assignment.
func (p *parser) exprStat(pos Pos) Stat {
	e := p.suffixed()
	if p.tok.kind == '=' || p.tok.kind == ',' {
		return p.assign(pos, e)
	}
	switch e.(type) {
	case *CallExpr, *MethodExpr:
		return &CallStat{e}
	}
	p.failNear("syntax error")
	return nil
}

func (p *parser) assign(pos Pos, first Expr) Stat {
	base, levels := p.exprs.since(), p.levels
	for target := first; ; target = p.suffixed() {
		switch target.(type) {
		case *NameExpr, *IndexExpr:
		default:
			p.failNear("syntax error")
		}
		p.exprs.push(target)
		if !p.accept(',') {
			break
		}
		p.enter() // PUC Lua nests here, which is its limit on targets
	}
	p.levels = levels
	p.expect('=')
	s := &AssignStat{Pos: pos, Targets: p.exprs.take(base)}
	s.Exprs = p.exprList()
	return s
}
