package lua54

import "math"

// run runs the frame on top, which is one of Lua, and all that it calls, until the frames are down to stop or the thread waits.
//
//nolint:gocyclo,cyclop,funlen,maintidx,gocognit,revive // the loop of an interpreter: one case an instruction
func (th *thread) run(stop int) {
	m := th.m
reload:
	f := &th.frames[len(th.frames)-1]
	p := f.fn.p
	code, k := p.code, p.k
	R := th.stack[f.base : f.base+p.regs]
	pc := f.pc
	for {
		i := code[pc]
		pc++
		switch i.op() {
		case opMove:
			R[i.a()] = R[i.b()]
		case opLoadK:
			R[i.a()] = k[i.c()]
		case opLoadInt:
			R[i.a()] = intValue(int64(i.c()))
		case opLoadNil:
			for a := i.a(); a <= i.a()+i.b(); a++ {
				R[a] = value{}
			}
		case opLoadTrue:
			R[i.a()] = value{o: &trueObj}
		case opLoadFalse:
			R[i.a()] = value{o: &falseObj}
		case opGetUpval:
			R[i.a()] = *f.fn.up[i.b()].p
		case opSetUpval:
			*f.fn.up[i.b()].p = R[i.a()]

		case opGetTabUp:
			if t := f.fn.up[i.b()].p.asTable(); t != nil {
				if v := t.getStr(k[i.c()].o.str()); v.o != nil || t.meta == nil {
					R[i.a()] = v
					continue
				}
			}
			f.pc = pc
			if th.index(f, *f.fn.up[i.b()].p, k[i.c()], i.a(), stop) {
				goto reload
			}
			return
		case opGetField:
			if t := R[i.b()].asTable(); t != nil {
				if v := t.getStr(k[i.c()].o.str()); v.o != nil || t.meta == nil {
					R[i.a()] = v
					continue
				}
			}
			f.pc = pc
			if th.index(f, R[i.b()], k[i.c()], i.a(), stop) {
				goto reload
			}
			return
		case opGetTable:
			key := R[i.c()]
			if t := R[i.b()].asTable(); t != nil {
				var v value
				if key.o == &intObj {
					if n := key.n - 1; n < uint64(len(t.arr)) {
						v = t.arr[n]
					} else {
						v = t.getInt(int64(key.n))
					}
				} else {
					m.longText(key)
					v = t.get(key)
				}
				if v.o != nil || t.meta == nil {
					R[i.a()] = v
					continue
				}
			}
			f.pc = pc
			if th.index(f, R[i.b()], key, i.a(), stop) {
				goto reload
			}
			return
		case opGetInt:
			if t := R[i.b()].asTable(); t != nil {
				if v := t.getInt(int64(i.c())); v.o != nil || t.meta == nil {
					R[i.a()] = v
					continue
				}
			}
			f.pc = pc
			if th.index(f, R[i.b()], intValue(int64(i.c())), i.a(), stop) {
				goto reload
			}
			return
		case opSelf:
			obj, key := R[i.b()], k[i.c()]
			R[i.a()+1] = obj
			if t := obj.asTable(); t != nil {
				v := t.getStr(key.o.str())
				if v.o == nil && t.meta != nil { // a class: one step up is the common case
					if up := t.meta.method(evIndex).asTable(); up != nil {
						v = up.getStr(key.o.str())
					}
				}
				if v.o != nil {
					R[i.a()] = v
					continue
				}
			}
			f.pc = pc
			if th.index(f, obj, key, i.a(), stop) {
				goto reload
			}
			return

		case opSetTabUp:
			f.pc = pc
			v := rk(R, k, i.b())
			if t := f.fn.up[i.a()].p.asTable(); t != nil && t.meta == nil {
				m.grown(t.setStr(k[i.c()].o.str(), v))
				continue
			}
			if th.setIndex(f, *f.fn.up[i.a()].p, k[i.c()], v, stop) {
				goto reload
			}
			return
		case opSetField:
			v := rk(R, k, i.b())
			if t := R[i.a()].asTable(); t != nil {
				key := k[i.c()].o.str()
				if nd := t.findStr(key); nd != nil && nd.val.o != nil && v.o != nil && !t.frozen {
					nd.val = v
					continue
				} else if t.meta == nil {
					f.pc = pc
					m.grown(t.setStr(key, v))
					continue
				}
			}
			f.pc = pc
			if th.setIndex(f, R[i.a()], k[i.c()], v, stop) {
				goto reload
			}
			return
		case opSetTable:
			key, v := R[i.c()], rk(R, k, i.b())
			if t := R[i.a()].asTable(); t != nil {
				if key.o == &intObj {
					if n := key.n - 1; n < uint64(len(t.arr)) && v.o != nil && !t.frozen && (t.meta == nil || t.arr[n].o != nil) {
						t.arr[n] = v
						continue
					}
					if t.meta == nil {
						f.pc = pc
						m.grown(t.setInt(int64(key.n), v))
						continue
					}
				} else if t.meta == nil && key.isString() {
					m.longText(key)
					f.pc = pc
					m.grown(t.setStr(key.o.str(), v))
					continue
				}
			}
			f.pc = pc
			if th.setIndex(f, R[i.a()], key, v, stop) {
				goto reload
			}
			return
		case opSetInt:
			v := rk(R, k, i.b())
			f.pc = pc
			if t := R[i.a()].asTable(); t != nil && t.meta == nil {
				m.grown(t.setInt(int64(i.c()), v))
				continue
			}
			if th.setIndex(f, R[i.a()], intValue(int64(i.c())), v, stop) {
				goto reload
			}
			return
		case opNewTable:
			f.pc = pc
			R[i.a()] = value{o: &m.newTable(i.c(), i.b()).object}
		case opSetList:
			n := i.b()
			if n == 0 {
				n = th.top - (f.base + i.a()) - 1
			}
			f.pc = pc
			at := f.base + i.a() + 1
			m.grown(R[i.a()].o.table().setList(i.c(), th.stack[at:at+n]))

		case opAdd:
			b, c := &R[i.b()], &R[i.c()]
			if b.o == &intObj && c.o == &intObj {
				R[i.a()] = value{&intObj, b.n + c.n}
				continue
			}
			if b.o == &floatObj && c.o == &floatObj {
				R[i.a()] = floatValue(b.float() + c.float())
				continue
			}
			goto arith
		case opAddK:
			b, c := &R[i.b()], &k[i.c()]
			if b.o == &intObj && c.o == &intObj {
				R[i.a()] = value{&intObj, b.n + c.n}
				continue
			}
			if b.o == &floatObj && c.o == &floatObj {
				R[i.a()] = floatValue(b.float() + c.float())
				continue
			}
			goto arith
		case opSub:
			b, c := &R[i.b()], &R[i.c()]
			if b.o == &intObj && c.o == &intObj {
				R[i.a()] = value{&intObj, b.n - c.n}
				continue
			}
			if b.o == &floatObj && c.o == &floatObj {
				R[i.a()] = floatValue(b.float() - c.float())
				continue
			}
			goto arith
		case opSubK:
			b, c := &R[i.b()], &k[i.c()]
			if b.o == &intObj && c.o == &intObj {
				R[i.a()] = value{&intObj, b.n - c.n}
				continue
			}
			if b.o == &floatObj && c.o == &floatObj {
				R[i.a()] = floatValue(b.float() - c.float())
				continue
			}
			goto arith
		case opMul:
			b, c := &R[i.b()], &R[i.c()]
			if b.o == &intObj && c.o == &intObj {
				R[i.a()] = value{&intObj, b.n * c.n}
				continue
			}
			if b.o == &floatObj && c.o == &floatObj {
				R[i.a()] = floatValue(b.float() * c.float())
				continue
			}
			goto arith
		case opMulK:
			b, c := &R[i.b()], &k[i.c()]
			if b.o == &intObj && c.o == &intObj {
				R[i.a()] = value{&intObj, b.n * c.n}
				continue
			}
			if b.o == &floatObj && c.o == &floatObj {
				R[i.a()] = floatValue(b.float() * c.float())
				continue
			}
			goto arith
		case opDiv, opDivK:
			b, c := &R[i.b()], operand(R, k, i)
			if b.o == &floatObj && c.o == &floatObj {
				R[i.a()] = floatValue(b.float() / c.float())
				continue
			}
			goto arith
		case opModK:
			if b, c := &R[i.b()], &k[i.c()]; b.o == &intObj && c.o == &intObj && int64(c.n) > 0 {
				r := b.int() % c.int()
				if r < 0 {
					r += c.int()
				}
				R[i.a()] = intValue(r)
				continue
			}
			goto arith
		case opMod, opPow, opIDiv, opBAnd, opBOr, opBXor, opShl, opShr, opPowK, opIDivK, opBAndK, opBOrK, opBXorK, opShlK, opShrK:
			goto arith
		case opUnm:
			b := R[i.b()]
			switch b.o {
			case &intObj:
				R[i.a()] = intValue(-b.int())
				continue
			case &floatObj:
				R[i.a()] = floatValue(-b.float())
				continue
			}
			f.pc = pc
			if th.unary(f, i, b, stop) {
				goto reload
			}
			return
		case opBNot:
			f.pc = pc
			if th.unary(f, i, R[i.b()], stop) {
				goto reload
			}
			return
		case opNot:
			R[i.a()] = boolValue(R[i.b()].falsy())
		case opLen:
			b := R[i.b()]
			if b.o != nil {
				if b.o.kind == kindString {
					R[i.a()] = intValue(int64(len(b.text())))
					continue
				}
				if t := b.asTable(); t != nil && t.meta == nil {
					R[i.a()] = intValue(int64(len(t.arr)))
					continue
				}
			}
			f.pc = pc
			if th.unary(f, i, b, stop) {
				goto reload
			}
			return
		case opConcat:
			f.pc = pc
			f.aux = i.b()
			if th.concat(f, i.a(), stop) {
				goto reload
			}
			return

		case opJmp:
			if a := i.a(); a > 0 && th.opensAbove(f.base+a-1) {
				f.pc = pc
				th.closeFrom(f.base + a - 1)
				R = th.stack[f.base : f.base+p.regs]
				f = &th.frames[len(th.frames)-1]
			}
			pc += i.c()
			if i.c() < 0 {
				if m.fuel--; m.fuel < 0 {
					f.pc = pc
					th.refuel()
				}
			}
		case opEq:
			b := i.b()
			x, y := R[i.a()], R[b&^negate]
			if x.o == &intObj && y.o == &intObj {
				if (x.n == y.n) != (b&negate != 0) {
					pc += i.c()
				}
				continue
			}
			m.longText(x)
			if eq := equal(x, y); eq || !mayBeEqual(x, y) {
				if eq != (b&negate != 0) {
					pc += i.c()
				}
				continue
			}
			f.pc = pc
			if th.equalMeta(f, i, x, y, stop) {
				goto reload
			}
			return
		case opEqK:
			b := i.b()
			x, y := &R[i.a()], &k[b&^negate]
			if x.o == y.o && x.o != &floatObj { // the same string, too: constants are shared
				if (x.n == y.n || x.o != &intObj) != (b&negate != 0) {
					pc += i.c()
				}
				continue
			}
			if equal(*x, *y) != (b&negate != 0) {
				pc += i.c()
			}
		case opLt:
			b := i.b()
			x, y := &R[i.a()], &R[b&^negate]
			if x.o == &intObj && y.o == &intObj {
				if (x.int() < y.int()) != (b&negate != 0) {
					pc += i.c()
				}
				continue
			}
			if x.o == &floatObj && y.o == &floatObj {
				if (x.float() < y.float()) != (b&negate != 0) {
					pc += i.c()
				}
				continue
			}
			f.pc = pc
			if th.compare(f, i, *x, *y, evLt, stop) {
				goto reload
			}
			return
		case opLe:
			b := i.b()
			x, y := &R[i.a()], &R[b&^negate]
			if x.o == &intObj && y.o == &intObj {
				if (x.int() <= y.int()) != (b&negate != 0) {
					pc += i.c()
				}
				continue
			}
			if x.o == &floatObj && y.o == &floatObj {
				if (x.float() <= y.float()) != (b&negate != 0) {
					pc += i.c()
				}
				continue
			}
			f.pc = pc
			if th.compare(f, i, *x, *y, evLe, stop) {
				goto reload
			}
			return
		case opLtK, opLeK, opGtK, opGeK:
			b := i.b()
			x, y := R[i.a()], k[b&^negate]
			if x.o == &intObj && y.o == &intObj {
				var r bool
				switch i.op() {
				case opLtK:
					r = x.int() < y.int()
				case opLeK:
					r = x.int() <= y.int()
				case opGtK:
					r = x.int() > y.int()
				default:
					r = x.int() >= y.int()
				}
				if r != (b&negate != 0) {
					pc += i.c()
				}
				continue
			}
			if x.o == &floatObj && y.o == &floatObj {
				var r bool
				switch i.op() {
				case opLtK:
					r = x.float() < y.float()
				case opLeK:
					r = x.float() <= y.float()
				case opGtK:
					r = x.float() > y.float()
				default:
					r = x.float() >= y.float()
				}
				if r != (b&negate != 0) {
					pc += i.c()
				}
				continue
			}
			f.pc = pc
			e := evLt
			if i.op() == opLeK || i.op() == opGeK {
				e = evLe
			}
			if i.op() == opGtK || i.op() == opGeK {
				x, y = y, x
			}
			if th.compare(f, i, x, y, e, stop) {
				goto reload
			}
			return
		case opTest:
			if R[i.a()].falsy() == (i.b() != 0) {
				pc += i.c()
			}
		case opTestSet:
			if v := R[i.b()&^negate]; v.falsy() != (i.b()&negate != 0) {
				R[i.a()] = v
				pc += i.c()
			}

		case opCall:
			a := i.a()
			args := i.b() - 1
			if args < 0 {
				args = th.top - (f.base + a) - 1
			}
			f.pc = pc
			if m.fuel--; m.fuel < 0 {
				th.refuel()
			}
			if o := R[a].o; o != nil && o.kind == kindClosure {
				th.push(o.closure(), f.base+a, args, i.c()-1)
				goto reload
			}
			if th.enter(f.base+a, args, i.c()-1, stop, false) == goOn {
				goto reload
			}
			return
		case opTailCall:
			a := i.a()
			args := i.b() - 1
			if args < 0 {
				args = th.top - (f.base + a) - 1
			}
			f.pc = pc
			if m.fuel--; m.fuel < 0 {
				th.refuel()
			}
			if o := R[a].o; o != nil && o.kind == kindClosure {
				th.tailCall(f, o.closure(), f.base+a, args)
				goto reload
			}
			if th.enter(f.base+a, args, -1, stop, false) == goOn {
				goto reload
			}
			return
		case opReturn:
			a := i.a()
			n := i.b() - 1
			if n < 0 {
				n = th.top - (f.base + a)
			}
			f.pc = pc
			if th.opensAbove(f.base) {
				th.top = f.base + a + n
				th.closeFrom(f.base)
				f = &th.frames[len(th.frames)-1]
			}
			if th.ret(f.base+a, n, stop) == goOn {
				goto reload
			}
			return
		case opReturn0, opReturn1:
			if th.opensAbove(f.base) {
				f.pc = pc
				th.top = f.base + i.a() + 1
				th.closeFrom(f.base)
				f = &th.frames[len(th.frames)-1]
				R = th.stack[f.base : f.base+p.regs]
			}
			n := len(th.frames) - 1
			if n > stop && f.want >= 0 && f.want <= 1 && !f.meta && th.frames[n-1].kind == frameLua {
				if f.want == 1 {
					if i.op() == opReturn1 {
						th.stack[f.fun] = R[i.a()]
					} else {
						th.stack[f.fun] = value{}
					}
				}
				th.frames = th.frames[:n]
				goto reload
			}
			results := 1
			if i.op() == opReturn0 {
				results = 0
			}
			if th.ret(f.base+i.a(), results, stop) == goOn {
				goto reload
			}
			return

		case opForPrep:
			f.pc = pc
			if th.forPrep(R[i.a() : i.a()+4]) {
				pc += i.c()
			}
		case opForLoop:
			a := R[i.a() : i.a()+4 : i.a()+4]
			if m.fuel--; m.fuel < 0 {
				f.pc = pc
				th.refuel()
			}
			if a[2].o == &intObj {
				if a[1].n > 0 {
					a[1].n--
					a[0].n += a[2].n
					a[3] = a[0]
					pc -= i.c()
				}
				continue
			}
			x := a[0].float() + a[2].float()
			if step := a[2].float(); step > 0 && x <= a[1].float() || step <= 0 && x >= a[1].float() {
				a[0] = floatValue(x)
				a[3] = a[0]
				pc -= i.c()
			}
		case opTForPrep:
			f.pc = pc
			if R[i.a()+3].o != nil {
				th.toBeClosed(f, f.base+i.a()+3)
			}
			R[i.a()+3].n = 0 // where a traversal is, see opTForCall
			pc += i.c()
		case opTForCall:
			a := i.a()
			if o := R[a].o; o != nil && o.kind == kindGoFunc && o.goFunc().special == isNext && R[a+3].o == nil {
				if t := R[a+1].asTable(); t != nil && th.traverse(t, R[a+2:a+3+1+i.b()]) {
					continue
				}
			}
			R[a+4], R[a+5], R[a+6] = R[a], R[a+1], R[a+2]
			f.pc = pc
			if o := R[a].o; o != nil && o.kind == kindClosure {
				th.push(o.closure(), f.base+a+4, 2, i.b())
				goto reload
			}
			if th.enter(f.base+a+4, 2, i.b(), stop, false) == goOn {
				goto reload
			}
			return
		case opTForLoop:
			if m.fuel--; m.fuel < 0 {
				f.pc = pc
				th.refuel()
			}
			if v := R[i.a()+4]; v.o != nil {
				R[i.a()+2] = v
				pc -= i.c()
			}

		case opClosure:
			f.pc = pc
			R[i.a()] = value{o: &th.closure(f, p, i.c()).object}
		case opVararg:
			a, n := i.a(), i.b()-1
			if n < 0 {
				n = f.extra
				if f.base+a+n+1 > len(th.stack) {
					f.pc = pc
					th.grow(f.base+a, n+1)
					R = th.stack[f.base : f.base+p.regs]
				}
				th.top = f.base + a + n
				m.fuel -= n / 8
			}
			dst := th.stack[f.base+a : f.base+a+n]
			got := copy(dst, th.stack[f.base-f.extra:f.base])
			clear(dst[got:])
		case opClose:
			if th.opensAbove(f.base + i.a()) {
				f.pc = pc
				th.closeFrom(f.base + i.a())
				goto reload
			}
		case opTBC:
			f.pc = pc
			th.toBeClosed(f, f.base+i.a())
		default:
			panic("lua54: no such instruction")
		}
		continue
	arith:
		f.pc = pc
		if i.op() >= opAddK {
			if v, ok := arith(i.op()-opAddK+opAdd, R[i.b()], k[i.c()]); ok {
				R[i.a()] = v
				continue
			}
			if th.arithMeta(f, i, R[i.b()], k[i.c()], stop) {
				goto reload
			}
			return
		}
		if v, ok := arith(i.op(), R[i.b()], R[i.c()]); ok {
			R[i.a()] = v
			continue
		}
		if th.arithMeta(f, i, R[i.b()], R[i.c()], stop) {
			goto reload
		}
		return
	}
}

func rk(R, k []value, b int) value { //nolint:gocritic // R is what the instructions call it
	if b < constantB {
		return R[b]
	}
	return k[b-constantB]
}

func operand(R, k []value, i instr) *value { //nolint:gocritic // as above
	if i.op() >= opAddK {
		return &k[i.c()]
	}
	return &R[i.c()]
}

// mayBeEqual tells whether two values that differ may be equal by __eq.
func mayBeEqual(a, b value) bool {
	return a.o != nil && b.o != nil && a.o.kind == b.o.kind && (a.o.kind == kindTable || a.o.kind == kindUserdata)
}

// tailCall puts the function at index fun with its arguments in the place of the frame on top.
func (th *thread) tailCall(f *frame, cl *closure, fun, args int) {
	th.closeUpvalues(f.base)
	to, want, meta := f.fun, f.want, f.meta
	copy(th.stack[to:], th.stack[fun:fun+args+1])
	th.frames = th.frames[:len(th.frames)-1]
	th.push(cl, to, args, want).meta = meta
}

// closure makes the n-th function of the code outer in the frame f.
func (th *thread) closure(f *frame, outer *proto, n int) *closure {
	m, p := th.m, outer.protos[n]
	ups := p.ups
	if outer.captures != nil {
		ups = outer.captures[n]
	}
	cl := &closure{object: m.object(kindClosure), p: p}
	m.allocated += int64(48 + 8*len(p.ups))
	m.account()
	if len(p.ups) > 0 {
		cl.up = make([]*upvalue, len(p.ups))
	}
	for i, u := range ups {
		if u.inStack {
			cl.up[i] = th.findUpvalue(f.base + u.index)
		} else {
			cl.up[i] = f.fn.up[u.index]
		}
	}
	return cl
}

// traverse does what next does, for a loop over a table: a is the control variable, the loop's fourth value, whose spare word keeps the place in the table, and
// what the loop declares. It is false if next has to see to it, which knows how to fail.
func (th *thread) traverse(t *table, a []value) bool {
	place, key := int(a[1].n), a[0]
	if key.o != nil {
		if !t.isAt(place, key) {
			var ok bool
			if place, ok = t.after(key); !ok {
				return false
			}
		}
	} else {
		place = 0
	}
	k, v, next := t.step(place)
	if next < 0 {
		a[2] = value{}
		return true
	}
	a[1].n = uint64(next)
	a[2] = k
	if len(a) > 3 {
		a[3] = v
		clear(a[4:])
	}
	return true
}

// isAt tells whether the traversal that is at a place came there by the key.
func (t *table) isAt(place int, key value) bool {
	i := place - 1
	if i < 0 {
		return false
	}
	if i < len(t.arr) {
		return key.o == &intObj && key.n == uint64(place)
	}
	i -= len(t.arr)
	return i < len(t.nodes) && t.nodes[i].key.o == key.o && (key.o.kind == kindString || !key.isNumber() || t.nodes[i].key.n == key.n)
}

// forPrep prepares a numeric loop: a is its start, limit, step and variable. It is true if the loop does not run.
func (th *thread) forPrep(a []value) bool {
	if a[0].o == &intObj && a[2].o == &intObj {
		start, step := a[0].int(), a[2].int()
		if step == 0 {
			th.errorf("'for' step is zero")
		}
		limit, skip := th.forLimit(start, a[1], step)
		if skip {
			return true
		}
		var count uint64
		if step > 0 {
			count = uint64(limit) - uint64(start)
			if step != 1 {
				count /= uint64(step)
			}
		} else {
			count = (uint64(start) - uint64(limit)) / (uint64(-(step + 1)) + 1)
		}
		a[1] = value{&intObj, count}
		a[3] = a[0]
		return false
	}
	limit := th.forNumber(a[1], "limit")
	step := th.forNumber(a[2], "step")
	start := th.forNumber(a[0], "initial value")
	if step == 0 {
		th.errorf("'for' step is zero")
	}
	if step > 0 && limit < start || step < 0 && start < limit || math.IsNaN(start) || math.IsNaN(limit) {
		return true
	}
	a[0], a[1], a[2] = floatValue(start), floatValue(limit), floatValue(step)
	a[3] = a[0]
	return false
}

func (th *thread) forNumber(v value, what string) float64 {
	x, ok := v.toFloat()
	if !ok {
		th.errorf("bad 'for' %s (number expected, got %s)", what, typeName(v))
	}
	return x
}

// forLimit is the limit of a loop over integers: one that is a float is cut to an integer.
func (th *thread) forLimit(start int64, v value, step int64) (limit int64, skip bool) {
	switch {
	case v.isInt():
		limit = v.int()
	default:
		x := th.forNumber(v, "limit")
		if math.IsNaN(x) {
			return 0, true
		}
		if step < 0 {
			x = math.Ceil(x)
		} else {
			x = math.Floor(x)
		}
		var ok bool
		if limit, ok = floatToInt(x); !ok {
			if x > 0 {
				if step < 0 {
					return 0, true
				}
				limit = math.MaxInt64
			} else {
				if step > 0 {
					return 0, true
				}
				limit = math.MinInt64
			}
		}
	}
	if step > 0 {
		return limit, start > limit
	}
	return limit, start < limit
}
