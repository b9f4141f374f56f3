package lua54

import (
	"strings"

	"github.com/skua-go/skua/lua/token"
)

// sink is a local that mended sources get: the extra target of their multiple assignments.
const sink = "__skua_extra"

// mend works around a defect of the engine's compiler (code.go, codeABRK, v0.1.6 to v0.1.10): in `a.x, a.y = p.u, p.v` the register of the last value is
// not given back, so that all targets get that value. Where there are more targets than values the compiler takes another way, which is right; so each
// multiple assignment gets one target more, on its own line. Sources without one stay as they are.
func mend(source string) string {
	at := multipleAssignments(token.Scan(source))
	if len(at) == 0 {
		return source
	}
	var b strings.Builder
	b.Grow(len(source) + len(at)*(len(sink)+2) + len(sink) + 8)
	from := 0
	if strings.HasPrefix(source, "#") {
		// The first line is for the shell. As a comment it leaves no place in its line, so the local goes in front of it.
		b.WriteString("local " + sink + " --")
	} else {
		b.WriteString("local " + sink + ";")
	}
	for _, offset := range at {
		b.WriteString(source[from:offset])
		b.WriteString("," + sink + " ")
		from = offset
	}
	b.WriteString(source[from:])
	return b.String()
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
