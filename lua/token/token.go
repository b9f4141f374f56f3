// Package token cuts Lua source into tokens (Lua 5.4 manual, section 3.1): enough for looking at a script without compiling it. What no token can begin
// with is skipped, because the engine's compiler tells errors better.
package token

import "strings"

// Kind tells what a Token is.
type Kind uint8

// The kinds.
const (
	Name    Kind = iota + 1 // Text is the name
	Keyword                 // Text is the word
	String                  // Text is what is between the quotes or brackets, escapes untouched
	Number                  // Text is the numeral
	Symbol                  // Text is the operator or punctuation
)

// Token is one piece of a script.
type Token struct {
	Kind         Kind
	Text         string
	Offset       int // of its first byte
	Line, Column int // of it, from 1; the column counts bytes
}

// Is tells whether the token is this keyword or symbol.
func (t Token) Is(text string) bool { return (t.Kind == Keyword || t.Kind == Symbol) && t.Text == text }

// keywords of the manual.
const keywords = " and break do else elseif end false for function goto if in local nil not or repeat return then true until while "

// symbols of more than one byte, the longest first.
var symbols = []string{"...", "..", "==", "~=", "<=", ">=", "//", "::", "<<", ">>"} //nolint:gochecknoglobals // a constant

// Scan gives the tokens of a source, without comments.
func Scan(source string) []Token {
	s := scanner{src: source, line: 1, column: 1}
	if strings.HasPrefix(source, "#") {
		s.toLineEnd()
	}
	var tokens []Token
	for {
		t, ok := s.next()
		if !ok {
			return tokens
		}
		tokens = append(tokens, t)
	}
}

type scanner struct {
	src          string
	pos          int
	line, column int
}

func (s *scanner) peek(n int) byte {
	if s.pos+n < len(s.src) {
		return s.src[s.pos+n]
	}
	return 0
}

func (s *scanner) advance(n int) {
	for range n {
		if s.pos >= len(s.src) {
			return
		}
		if s.src[s.pos] == '\n' {
			s.line, s.column = s.line+1, 0
		}
		s.pos++
		s.column++
	}
}

func (s *scanner) next() (Token, bool) {
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		t := Token{Offset: s.pos, Line: s.line, Column: s.column}
		switch {
		case c == '-' && s.peek(1) == '-':
			s.comment()
			continue
		case c == '"' || c == '\'':
			t.Kind, t.Text = String, s.quoted()
		case c == '[' && s.level() >= 0:
			t.Kind, t.Text = String, s.long()
		case isDigit(c) || c == '.' && isDigit(s.peek(1)):
			t.Kind, t.Text = Number, s.number()
		case isNameStart(c):
			t.Kind, t.Text = Name, s.take(isName)
			if strings.Contains(keywords, " "+t.Text+" ") {
				t.Kind = Keyword
			}
		case strings.IndexByte("+-*/%^#&~|<>=(){}[];:,.", c) >= 0:
			t.Kind, t.Text = Symbol, s.symbol()
		default:
			s.advance(1)
			continue
		}
		return t, true
	}
	return Token{}, false
}

func isDigit(c byte) bool     { return c >= '0' && c <= '9' }
func isNameStart(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isName(c byte) bool      { return isNameStart(c) || isDigit(c) }

func (s *scanner) take(in func(byte) bool) string {
	start := s.pos
	for s.pos < len(s.src) && in(s.src[s.pos]) {
		s.advance(1)
	}
	return s.src[start:s.pos]
}

func (s *scanner) symbol() string {
	for _, sym := range symbols {
		if strings.HasPrefix(s.src[s.pos:], sym) {
			s.advance(len(sym))
			return sym
		}
	}
	s.advance(1)
	return s.src[s.pos-1 : s.pos]
}

// number takes what the reference implementation's read_numeral takes: digits, letters, points, and signs behind an exponent.
func (s *scanner) number() string {
	start := s.pos
	exponent := "eE"
	if s.src[s.pos] == '0' && (s.peek(1) == 'x' || s.peek(1) == 'X') {
		exponent = "pP"
		s.advance(2)
	}
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		switch {
		case strings.IndexByte(exponent, c) >= 0:
			s.advance(1)
			if c := s.peek(0); c == '+' || c == '-' {
				s.advance(1)
			}
		case isName(c) || c == '.':
			s.advance(1)
		default:
			return s.src[start:s.pos]
		}
	}
	return s.src[start:]
}

func (s *scanner) toLineEnd() {
	for s.pos < len(s.src) && s.src[s.pos] != '\n' {
		s.advance(1)
	}
}

func (s *scanner) comment() {
	s.advance(2)
	if s.peek(0) == '[' && s.level() >= 0 {
		s.long()
		return
	}
	s.toLineEnd()
}

// level is that of the long bracket which begins here, -1 if none does.
func (s *scanner) level() int {
	level := 0
	for s.peek(1+level) == '=' {
		level++
	}
	if s.peek(1+level) != '[' {
		return -1
	}
	return level
}

func (s *scanner) long() string {
	level := s.level()
	s.advance(level + 2)
	start := s.pos
	n := strings.Index(s.src[start:], "]"+strings.Repeat("=", level)+"]")
	if n < 0 {
		s.advance(len(s.src) - start)
		return s.src[start:]
	}
	s.advance(n + level + 2)
	return s.src[start : start+n]
}

func (s *scanner) quoted() string {
	quote := s.src[s.pos]
	s.advance(1)
	start := s.pos
	for s.pos < len(s.src) && s.src[s.pos] != quote && s.src[s.pos] != '\n' {
		if s.src[s.pos] == '\\' {
			if s.peek(1) == 'z' {
				s.advance(2)
				s.take(func(c byte) bool { return strings.IndexByte(" \t\r\n\f\v", c) >= 0 })
				continue
			}
			s.advance(1)
		}
		s.advance(1)
	}
	text := s.src[start:min(s.pos, len(s.src))]
	s.advance(1)
	return text
}
