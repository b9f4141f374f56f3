package gopher

import (
	lua "github.com/yuin/gopher-lua"
)

// How the memory of a VM is watched. What it takes is counted where it takes it, at some nanoseconds each: tables and their growth, closures, strings, threads,
// registers. The count knows nothing of what is garbage again, so from time to time a survey walks over all that lives (see compact.go). It comes when so much
// has been taken since the last one that the VM could be half again as large as its limit, and else by instructions, at a few per cent of the time.

// What is taken, in bytes. Go rounds up and its maps reserve, so these are between what Go needs at best and at worst.
const (
	tableSize   = 112
	itemSize    = 24  // of the array part; a number in it is 8 bytes of its own
	hashSize    = 112 // a key of the hash part, in all its maps
	leastKeys   = 6   // the smallest hash part takes as much as so many
	fieldSize   = 48  // a place that a constructor reserves
	closureSize = 96
	upvalueSize = 56
	stringSize  = 16
	threadSize  = 1400
)

// hashBytes is what a hash part with n keys takes.
func hashBytes(n int) int {
	if n == 0 {
		return 0
	}
	return hashSize * max(n, leastKeys)
}

const (
	// slack is how far the VM may be beyond half again its limit before it is surveyed: small limits need not be met closely.
	slack = 8 << 20
	// mercy is how much a VM that keeps too much may take before it is looked at again, as long as that does not bring it near twice its limit: whoever catches
	// the error may need a little to let go of the rest.
	mercy = 64 << 10
	// noticed is the growth that Memory shows soon.
	noticed = 512 << 10
	// smallString is up to where strings are counted at each place that has them, and not once.
	smallString = 256
	noLimit     = 1 << 62
)

const outOfMemory = "not enough memory"

// SetMemoryLimit sets how many bytes the VM may keep; 0 is no limit. A script whose VM keeps more gets the error "not enough memory" where it asks for more, at
// the latest before it has taken twice the limit and 16 MiB. It may be caught; as long as the VM keeps too much, it is raised again.
func (m *machine) SetMemoryLimit(bytes int64) {
	m.limit = bytes
	m.most = m.unseen()
}

// unseen is how much may be taken until the next survey.
func (m *machine) unseen() int64 {
	switch {
	case m.limit <= 0:
		return noLimit
	case m.size > m.limit:
		return min(max(2*m.limit+slack-m.size, 0), mercy)
	}
	return m.limit + m.limit/2 + slack - m.size
}

// Memory is the size of everything that the VM's values reach, in bytes, as the last survey found it; code, which VMs share, is not counted.
func (m *machine) Memory() int64 {
	if m.size == 0 && m.depth == 0 {
		m.survey()
	}
	return m.size
}

// Taken is what the last survey has found, and what has been taken since, garbage included. It costs nothing.
func (m *machine) Taken() int64 { return m.size + m.grown }

// took counts bytes that the VM has taken. Where these are too many, the next instruction looks at it.
func (m *machine) took(bytes int) {
	if m.grown += int64(bytes); m.grown > m.most {
		m.count = 0
	}
}

// alloc counts bytes that are about to be taken at once, and raises an error if they do not fit.
func (m *machine) alloc(t *thread, bytes int) {
	if m.limit > 0 && (m.grown+int64(bytes) > m.most || m.size+int64(bytes) > m.limit) {
		if int64(bytes) <= m.limit {
			m.survey()
		}
		if m.size+int64(bytes) > m.limit {
			t.raise(lua.LString(outOfMemory))
		}
	}
	m.grown += int64(bytes)
}

// due tells whether a survey is worth its time: see firstLook and lookFactor. One that has much to tell may come after half as many instructions.
func (m *machine) due() bool {
	return m.ran >= m.look || m.grown > m.size/2+noticed && m.ran >= (m.look-firstLook)/2
}

// watch surveys the VM if that is due, and raises an error if it is too large.
func (m *machine) watch(t *thread) {
	t.countRegisters()
	over := m.limit > 0 && m.size > m.limit
	if over || m.grown > m.most || m.due() {
		m.survey()
	}
	if m.limit > 0 && m.size > m.limit {
		t.raise(lua.LString(outOfMemory))
	}
}

// countRegisters counts what the registers of the thread have grown by.
func (t *thread) countRegisters() {
	if n := len(t.m.o.registers(t.l).array); n > t.registers {
		t.m.took(16 * (n - t.registers))
		t.registers = n
	}
}

// Alloc counts bytes that a function of Go is about to make for the script, before it makes them. It raises "not enough memory" if the VM's limit does not
// allow so many.
func (t *thread) Alloc(bytes int) { t.m.alloc(t, bytes) }

// growing is an instruction that may add to the table in its register A.
func (e *Engine) growing(op int) instruction {
	run := jumpTable[op]
	return func(l *lua.LState, inst uint32, base *frame) int {
		f := *e.o.frame(l)
		tbl, ok := e.o.registers(l).array[f.LocalBase+int(inst>>18)&0xff].(*lua.LTable)
		if !ok {
			return run(l, inst, base)
		}
		in := insides(tbl)
		keys, items := len(in.keys), len(in.array)
		result := run(l, inst, base)
		if len(in.keys) != keys || len(in.array) != items {
			stateOf(l).m.tookKeys(in, keys, items)
		}
		return result
	}
}

// setField is the instruction t.k = v.
func (e *Engine) setField() instruction {
	set := e.growing(lua.OP_SETTABLEKS)
	return func(l *lua.LState, inst uint32, base *frame) int {
		f := *e.o.frame(l)
		reg := e.o.registers(l)
		tbl, ok := reg.array[f.LocalBase+int(inst>>18)&0xff].(*lua.LTable)
		if !ok {
			return set(l, inst, base)
		}
		in := insides(tbl)
		if tbl.Metatable == lua.LNil { // as the library would, without looking for the key first and making it anew
			key, v := operand(f, reg, int(inst&0x1ff)), operand(f, reg, int(inst>>9)&0x1ff)
			if name, ok := key.(lua.LString); ok && v != nil && v != lua.LNil {
				keys := len(in.keys)
				if in.setName(name, key, v); len(in.keys) != keys {
					stateOf(l).m.tookKeys(in, keys, len(in.array))
				}
				return 0
			}
		}
		if in.strdict == nil {
			in.strdict = map[string]lua.LValue{} // the library's own would have place for 32 fields
		}
		return set(l, inst, base)
	}
}

// tookKeys counts what a table that had so many keys and items has grown by.
func (m *machine) tookKeys(in *table, keys, items int) {
	m.took(hashBytes(len(in.keys)) - hashBytes(keys) + itemSize*max(len(in.array)-items, 0))
}

// newTable is the instruction that makes a table.
func newTable(l *lua.LState, inst uint32, base *frame) int {
	stateOf(l).m.took(tableSize + 16*int(inst&0x1ff) + fieldSize*max(int(inst>>9&0x1ff)-leastKeys, 0))
	return jumpTable[lua.OP_NEWTABLE](l, inst, base)
}

// closure is the instruction that makes a function.
func (e *Engine) closure(l *lua.LState, inst uint32, base *frame) int {
	made := (*e.o.frame(l)).Fn.Proto.FunctionPrototypes[inst&0x3ffff]
	stateOf(l).m.took(closureSize + upvalueSize*int(made.NumUpvalues))
	return jumpTable[lua.OP_CLOSURE](l, inst, base)
}
