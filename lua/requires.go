package lua

import (
	"strings"

	"github.com/skua-go/skua/lua/token"
)

// Require is a module that a script asks for by a literal name.
type Require struct {
	Name         string
	Line, Column int // of the word require, from 1
}

// Requires finds the calls of require with a literal string, `require "x"` and `require("x")`, outside of comments and strings.
func Requires(source string) []Require {
	tokens := token.Scan(source)
	at := func(i int) token.Token {
		if i < 0 || i >= len(tokens) {
			return token.Token{}
		}
		return tokens[i]
	}
	var found []Require
	for i, t := range tokens {
		if t.Kind != token.Name || t.Text != "require" || at(i-1).Is(".") || at(i-1).Is(":") {
			continue
		}
		name := at(i + 1)
		if name.Is("(") {
			if name = at(i + 2); !at(i + 3).Is(")") {
				continue
			}
		}
		if name.Kind == token.String && !strings.Contains(name.Text, `\`) {
			found = append(found, Require{name.Text, t.Line, t.Column})
		}
	}
	return found
}
