package lua54

import (
	"slices"
	"strings"

	"github.com/skua-go/skua/lua/token"
)

const (
	// sink is a local that mended sources get: the extra target of their multiple assignments.
	sink = "__skua_extra"
	// noTail is a statement behind which a function makes no tail calls (Lua 5.4 manual, 3.3.8).
	noTail = "local __skua_tail <close> = nil"
)

// mend works around defects of the engine (v0.1.6 to v0.1.10). No line moves.
//
// In `a.x, a.y = p.u, p.v` the register of the last value is not given back (code.go, codeABRK), so that all targets get that value. Where there are
// more targets than values the compiler takes another way, which is right; so each multiple assignment gets one target more.
//
// `#t` is a float (vm.go, objectLength), which shows as soon as it leaves the VM: 3.0 in JSON, where a client expects 3. `~~#t` is the integer, and
// binds as `#t` does.
//
// A tail call from a function that was given two values or more for its `...` can return to the wrong place (vm.go, opTailCall), so such functions
// make none. The price is that they can't recur without end.
//
// The count hook can be lost where a function with `...` begins, and a chunk is one: see arm.go.
func mend(source string) string {
	tokens := token.Scan(source)
	var edits []edit
	sinks := false
	prologue := "local " + armName + `=("").` + armName + " " + armName + "()"
	for _, offset := range multipleAssignments(tokens) {
		edits = append(edits, edit{offset, "," + sink + " "})
		sinks = true
	}
	if sinks {
		prologue += " local " + sink
	}
	for _, t := range tokens {
		if t.Is("#") {
			edits = append(edits, edit{t.Offset, "~~"})
		}
	}
	functions, chunk := variadic(tokens)
	for _, f := range functions {
		text := " " + armName + "();"
		if f.tail {
			text += noTail + ";"
		}
		edits = append(edits, edit{f.offset, text})
	}
	if chunk {
		prologue += " " + noTail
	}
	end := ";"
	if strings.HasPrefix(source, "#") {
		end = " --" // the first line is for the shell: as a comment it leaves no place behind it
	}
	edits = append(edits, edit{0, prologue + end})
	return apply(source, edits)
}

// edit is text to insert.
type edit struct {
	offset int
	text   string
}

func apply(source string, edits []edit) string {
	if len(edits) == 0 {
		return source
	}
	slices.SortFunc(edits, func(a, b edit) int { return a.offset - b.offset })
	size := len(source)
	for _, e := range edits {
		size += len(e.text)
	}
	var b strings.Builder
	b.Grow(size)
	from := 0
	for _, e := range edits {
		b.WriteString(source[from:e.offset])
		b.WriteString(e.text)
		from = e.offset
	}
	b.WriteString(source[from:])
	return b.String()
}

// variadicFunction is a function with a `...`.
type variadicFunction struct {
	offset int  // behind its parameters
	tail   bool // it may make a tail call
}

// variadic finds the functions with a `...`, and tells whether the chunk, which is one too, may make a tail call.
func variadic(tokens []token.Token) (functions []variadicFunction, chunk bool) {
	const other, fixed = -1, -2 // what is open: a block, a function without `...`, or the index of one with it
	var open []int
	for i, t := range tokens {
		switch {
		case t.Is("function"):
			open = append(open, fixed)
			if at := varargs(tokens[i+1:]); at > 0 {
				open[len(open)-1] = len(functions)
				functions = append(functions, variadicFunction{offset: at})
			}
		case t.Is("do"), t.Is("if"), t.Is("repeat"):
			open = append(open, other)
		case t.Is("end"), t.Is("until"):
			if len(open) == 0 {
				return nil, false // no Lua: the compiler will say so
			}
			open = open[:len(open)-1]
		case t.Is("return") && i+1 < len(tokens) && (tokens[i+1].Kind == token.Name || tokens[i+1].Is("(")):
			n := len(open) - 1
			for n >= 0 && open[n] == other {
				n--
			}
			switch {
			case n < 0:
				chunk = true
			case open[n] >= 0:
				functions[open[n]].tail = true
			}
		}
	}
	return functions, chunk
}

// varargs is the offset behind the parameters of the function whose name or parameters come next, if they end with `...`.
func varargs(tokens []token.Token) int {
	for i, t := range tokens {
		if t.Is(")") {
			if i > 0 && tokens[i-1].Is("...") {
				return t.Offset + 1
			}
			return 0
		}
	}
	return 0
}

// multipleAssignments finds the offsets of the `=` of all assignments with more than one target, which are not declarations of locals.
func multipleAssignments(tokens []token.Token) []int {
	var offsets []int
	var open []int // where the brackets and blocks around the token begin
	match := map[int]int{}
	header := false // between `local` or `for` and its `=`: those names are no targets
	for i, t := range tokens {
		switch {
		case t.Is("("), t.Is("["), t.Is("{"), t.Is("function"), t.Is("do"), t.Is("if"), t.Is("repeat"):
			open = append(open, i)
		case t.Is(")"), t.Is("]"), t.Is("}"), t.Is("end"), t.Is("until"):
			if len(open) == 0 {
				return nil // no Lua: the compiler will say so
			}
			match[i] = open[len(open)-1]
			open = open[:len(open)-1]
		case t.Is("local"), t.Is("for"):
			header = i+1 < len(tokens) && tokens[i+1].Kind == token.Name
		case t.Is("in"):
			header = false
		case t.Is("="):
			inTable := len(open) > 0 && tokens[open[len(open)-1]].Is("{")
			if !inTable && !header && comma(tokens, match, i-1) {
				offsets = append(offsets, t.Offset)
			}
			if !inTable {
				header = false
			}
		}
		if header && !partOfHeader(t) {
			header = false // `local a, b` without values
		}
	}
	return offsets
}

// partOfHeader tells whether a token can be in `local a <const>, b` or `for k, v`.
func partOfHeader(t token.Token) bool {
	return t.Kind == token.Name || t.Is("local") || t.Is("for") || t.Is(",") || t.Is("<") || t.Is(">")
}

// comma tells whether a comma stands in front of the assignment's target that ends at token i.
func comma(tokens []token.Token, match map[int]int, i int) bool {
	for i >= 0 {
		t := tokens[i]
		switch {
		case t.Is("]"), t.Is("}"):
			i = match[i] - 1
		case t.Is(")"):
			i = match[i] - 1
			if i < 0 || !endsPrefix(tokens[i]) {
				return i >= 0 && tokens[i].Is(",") // (exp).x
			}
		case t.Kind == token.String:
			i--
		case t.Kind == token.Name:
			if i == 0 || !tokens[i-1].Is(".") && !tokens[i-1].Is(":") {
				return i > 0 && tokens[i-1].Is(",")
			}
			i -= 2
		default:
			return false
		}
	}
	return false
}

// endsPrefix tells whether a token can end what is called by the parentheses behind it.
func endsPrefix(t token.Token) bool {
	return t.Kind == token.Name || t.Kind == token.String || t.Is(")") || t.Is("]") || t.Is("}")
}
