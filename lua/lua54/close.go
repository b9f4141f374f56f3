package lua54

// opensAbove tells whether a variable from index at on is shared or is to be closed.
func (th *thread) opensAbove(at int) bool {
	return th.open != nil && th.open.at >= at || len(th.tbc) > 0 && th.tbc[len(th.tbc)-1] >= at
}

// closeFrom ends the variables from index at on behind which a block is left: it calls __close of those that are to be closed.
func (th *thread) closeFrom(at int) {
	th.closeUpvalues(at)
	for len(th.tbc) > 0 && th.tbc[len(th.tbc)-1] >= at {
		th.closeLast(value{})
	}
}

// closeErr is closeFrom behind an error. It returns the error that goes on: that of a __close that failed, if one did.
func (th *thread) closeErr(at int, err value) value {
	th.closeUpvalues(at) // before __close is called, which uses their places on the stack
	for len(th.tbc) > 0 && th.tbc[len(th.tbc)-1] >= at {
		if e, failed := th.closeCaught(err); failed {
			err = e
		}
	}
	return err
}

func (th *thread) closeCaught(err value) (e value, failed bool) {
	frames, nested := len(th.frames), th.nested
	defer func() {
		if failed {
			e = th.problem(recover())
			th.frames, th.nested = th.frames[:frames], nested
		}
	}()
	failed = true
	th.closeLast(err)
	return value{}, false
}

func (th *thread) closeLast(err value) {
	at := th.tbc[len(th.tbc)-1]
	th.tbc = th.tbc[:len(th.tbc)-1]
	v := th.stack[at]
	method := th.m.methodOf(v, evClose)
	free := max(th.free(), at+1)
	th.grow(free, 4)
	top := th.top
	th.stack[free], th.stack[free+1], th.stack[free+2] = method, v, err
	if method.o == nil {
		th.throw(stringValue(th.anywhere() + "attempt to call a nil value (metamethod 'close')"))
	}
	th.callNested(free, 2, 0)
	th.top = top
}

// toBeClosed marks the variable at an index.
func (th *thread) toBeClosed(f *frame, at int) {
	v := th.stack[at]
	if v.falsy() {
		return
	}
	if th.m.methodOf(v, evClose).o == nil {
		th.errorf("variable '%s' got a non-closable value", f.fn.p.localName(at-f.base, f.pc-1))
	}
	th.tbc = append(th.tbc, at)
}
