// Package std is Lua's standard library: string, table, math, utf8 and os of Lua 5.4, with the results and the messages of the reference implementation,
// written once against the seam of package vm for every engine.
//
// What a script can make large is bounded: a string that one call makes by 256 MiB, the values that one call returns by 250,000, the depth of a pattern's match
// by 200. Work whose length a script chooses is counted with State.Spend, so that a budget stops it. Callbacks (of gsub and sort) and metamethods are called
// with State.Call and the like, so they cannot wait.
//
// Missing on purpose: string.dump, since no engine loads bytecode; os.exit and os.setlocale, which would act on the whole node, exit by ending it; io.popen.
// What reaches the host, namely io and the half of os, is for trusted scripts.
package std

import (
	"math"

	"github.com/skua-go/skua/lua/vm"
)

const (
	// maxString bounds the strings that one call makes, in bytes.
	maxString = 256 << 20
	// maxResults bounds the values that one call returns.
	maxResults = 250_000
	// maxExact is up to which integer a float64 has all: 2^53.
	maxExact = 1 << 53
)

// Library is one of Lua's libraries.
type Library struct {
	Name string
	// Funcs keep nothing between two calls: an engine can make its function objects of them once and share these between all its VMs.
	Funcs map[string]vm.Func
	// Constants are values of type int64, float64 or string, for an engine with integers of 64 bits.
	Constants map[string]any
	// Inexact holds what Constants are on an engine without these instead (see State.Exact), where they differ.
	Inexact map[string]any
	// PerVM makes functions that keep something for one VM, such as the generator behind math.random. It is nil if the library has none.
	PerVM func() map[string]vm.Func
	// Open fills the library's table for one VM, which is on top of the stack, when all others are there. It returns what the end of the VM has to call. It is
	// nil if the library has nothing to add.
	Open func(s vm.State) (end func())
}

// Options choose what Libraries gives.
type Options struct {
	// Trusted adds what reaches the host: the library io, dofile, loadfile, and of os execute, getenv, remove, rename and tmpname.
	Trusted bool
}

// Libraries are all of them.
func Libraries(o Options) []Library {
	libraries := []Library{String(), Table(), Math(), UTF8(), OS(o.Trusted)}
	if o.Trusted {
		libraries = append(libraries, IO())
	}
	return libraries
}

// Open makes the libraries' tables as globals of the VM, in place of those that are there, and the string library the metatable's index of all strings. It
// leaves the stack as it was. What it returns is to be called when the VM is closed.
func Open(s vm.State, o Options) (end func()) {
	ends := []func(){}
	for _, lib := range Libraries(o) {
		s.NewTable(0, len(lib.Funcs)+len(lib.Constants))
		set := func(funcs map[string]vm.Func) {
			for name, f := range funcs {
				s.PushFunc(name, f)
				s.SetField(-2, name)
			}
		}
		set(lib.Funcs)
		if lib.PerVM != nil {
			set(lib.PerVM())
		}
		for name, v := range lib.Values(s.Exact()) {
			switch v := v.(type) {
			case int64:
				s.PushInt(v)
			case float64:
				s.PushFloat(v)
			case string:
				s.PushString(v)
			}
			s.SetField(-2, name)
		}
		if lib.Name == "string" {
			s.PushString("")
			s.NewTable(0, 1)
			s.Copy(-3)
			s.SetField(-2, "__index")
			s.SetMetatable(-2)
			s.Pop(1)
		}
		if lib.Open != nil {
			ends = append(ends, lib.Open(s))
		}
		s.SetGlobal(lib.Name)
	}
	return func() {
		for _, f := range ends {
			f()
		}
	}
}

// Values are the constants for an engine that has integers of 64 bits, or has not.
func (l Library) Values(exact bool) map[string]any {
	values := map[string]any{}
	for name, v := range l.Constants {
		if other, ok := l.Inexact[name]; ok && !exact {
			v = other
		}
		values[name] = v
	}
	return values
}

// functions wraps the functions of a library.
func functions(lib string, funcs map[string]func(call) int) map[string]vm.Func {
	wrapped := make(map[string]vm.Func, len(funcs))
	for name, f := range funcs {
		full := lib + "." + name
		wrapped[name] = func(s vm.State) int { return f(call{s, full}) }
	}
	return wrapped
}

// String is the library string.
func String() Library {
	return Library{Name: "string", Funcs: functions("string", map[string]func(call) int{
		"byte": stringByte, "char": stringChar, "find": stringFind, "format": stringFormat, "gmatch": stringGmatch, "gsub": stringGsub, "len": stringLen,
		"lower": stringLower, "match": stringMatch, "pack": stringPack, "packsize": stringPackSize, "rep": stringRep, "reverse": stringReverse, "sub": stringSub,
		"unpack": stringUnpack, "upper": stringUpper,
	})}
}

// Table is the library table.
func Table() Library {
	return Library{Name: "table", Funcs: functions("table", map[string]func(call) int{
		"concat": tableConcat, "insert": tableInsert, "move": tableMove, "pack": tablePack, "remove": tableRemove, "sort": tableSort, "unpack": tableUnpack,
	})}
}

// Math is the library math. The generator of math.random, and of math.randomseed, is the VM's own.
func Math() Library {
	return Library{
		Name: "math",
		Funcs: functions("math", map[string]func(call) int{
			"abs": mathAbs, "ceil": mathCeil, "floor": mathFloor, "fmod": mathFmod, "log": mathLog, "max": mathMax, "min": mathMin, "modf": mathModf,
			"tointeger": mathToInteger, "type": mathType, "ult": mathUlt, "atan": mathAtan, "acos": ofFloat(math.Acos), "asin": ofFloat(math.Asin),
			"cos": ofFloat(math.Cos), "exp": ofFloat(math.Exp), "sin": ofFloat(math.Sin), "sqrt": ofFloat(math.Sqrt), "tan": ofFloat(math.Tan),
			"deg": ofFloat(func(x float64) float64 { return x * (180 / math.Pi) }), "rad": ofFloat(func(x float64) float64 { return x * (math.Pi / 180) }),
		}),
		Constants: map[string]any{"pi": math.Pi, "huge": math.Inf(1), "maxinteger": int64(math.MaxInt64), "mininteger": int64(math.MinInt64)},
		Inexact:   map[string]any{"maxinteger": int64(maxExact), "mininteger": int64(-maxExact)},
		PerVM: func() map[string]vm.Func {
			g := &generator{}
			return functions("math", map[string]func(call) int{"random": g.random, "randomseed": g.randomSeed})
		},
	}
}

// UTF8 is the library utf8.
func UTF8() Library {
	return Library{
		Name: "utf8",
		Funcs: functions("utf8", map[string]func(call) int{
			"char": utf8Char, "codepoint": utf8Codepoint, "codes": utf8Codes, "len": utf8Len, "offset": utf8Offset,
		}),
		Constants: map[string]any{"charpattern": "[\x00-\x7F\xC2-\xFD][\x80-\xBF]*"},
	}
}

// OS is the library os: what tells the time, and for trusted scripts what reaches the environment and files. Its clock counts from the first call on, since
// the processor's time of a node says nothing about one of its scripts.
func OS(trusted bool) Library {
	funcs := map[string]func(call) int{"date": osDate, "difftime": osDiffTime, "time": osTime}
	if trusted {
		funcs["execute"], funcs["getenv"], funcs["remove"], funcs["rename"], funcs["tmpname"] = osExecute, osGetenv, osRemove, osRename, osTmpname
	}
	return Library{Name: "os", Funcs: functions("os", funcs), PerVM: func() map[string]vm.Func {
		return functions("os", map[string]func(call) int{"clock": newClock()})
	}}
}
