package gopher

import (
	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// The library's compiler has defects in table constructors, which are mended here. It takes a call in the last field, { 1, x = f() }, for one that gives items,
// { 1, f() }. And behind each fiftieth item, with which it hands fifty of them to the table, it hands them over again at each field with a key, when their registers
// hold other values, and puts the items of a last call or `...` in the place of the first ones.

// constructor prepares a table constructor for the compiler. Where a field with a key comes right behind a fiftieth item, it goes before it: Lua leaves the order
// of assignments in a constructor open.
func constructor(fields []*ast.Field) {
	items := 0
	for i, f := range fields {
		if f.Key == nil {
			items++
			continue
		}
		oneValue(f.Value)
		if items > 0 && items%lua.FieldsPerFlush == 0 && fields[i-1].Key == nil {
			oneValue(fields[i-1].Value) // which may be the last one now
			fields[i-1], fields[i] = f, fields[i-1]
		}
	}
}

// oneValue does to an expression what parentheses do.
func oneValue(e ast.Expr) {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		e.AdjustRet = true
	case *ast.Comma3Expr:
		e.AdjustRet = true
	}
}

// lastItems has the items of a last call or `...` go behind the fiftieth: the compiler gives such an instruction the number of the one before.
func lastItems(p *lua.FunctionProto) {
	batches := map[uint32]uint32{} // by the register of the table that is being made
	for pc := 0; pc < len(p.Code); pc++ {
		inst := p.Code[pc]
		a := inst >> 18 & 0xff
		switch int(inst >> 26) {
		case lua.OP_NEWTABLE:
			delete(batches, a)
		case lua.OP_SETLIST:
			items, batch := inst&0x1ff, inst>>9&0x1ff
			if batch == 0 { // the next word is the number
				pc++
				continue
			}
			if items == 0 && batches[a] == batch {
				p.Code[pc] += 1 << 9
			}
			batches[a] = batch
		}
	}
	for _, inner := range p.FunctionPrototypes {
		lastItems(inner)
	}
}
