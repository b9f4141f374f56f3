package lua

import "strings"

// Require is a module that a script asks for by a literal name.
type Require struct {
	Name         string
	Line, Column int // of the word require, from 1
}

// Requires finds the calls of require with a literal string, `require "x"` and `require("x")`, outside of comments and strings.
func Requires(source string) []Require {
	var found []Require
	sc := scanner{src: source, line: 1, column: 1}
	for {
		word, line, column, ok := sc.word()
		if !ok {
			return found
		}
		if word != "require" {
			continue
		}
		if name, ok := sc.literal(); ok {
			found = append(found, Require{name, line, column})
		}
	}
}

// scanner reads just enough of Lua to tell words from what is in strings and comments (manual, section 3.1).
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

// word skips to the next name or keyword that is not a field (x.require) or a method.
func (s *scanner) word() (word string, line, column int, ok bool) {
	field := false
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		switch {
		case c == '-' && s.peek(1) == '-':
			s.comment()
		case c == '"' || c == '\'':
			s.quoted()
		case c == '[' && s.longBracket() >= 0:
			s.long()
		case isNameStart(c):
			line, column = s.line, s.column
			start := s.pos
			for s.pos < len(s.src) && isName(s.src[s.pos]) {
				s.advance(1)
			}
			if !field {
				return s.src[start:s.pos], line, column, true
			}
			field = false
		default:
			if c == '.' || c == ':' {
				field = s.peek(1) != '.'
			} else if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
				field = false
			}
			s.advance(1)
		}
	}
	return "", 0, 0, false
}

func isNameStart(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isName(c byte) bool      { return isNameStart(c) || c >= '0' && c <= '9' }

func (s *scanner) comment() {
	s.advance(2)
	if s.peek(0) == '[' && s.longBracket() >= 0 {
		s.long()
		return
	}
	for s.pos < len(s.src) && s.src[s.pos] != '\n' {
		s.advance(1)
	}
}

// longBracket is the level of the long bracket that begins here, -1 if none does.
func (s *scanner) longBracket() int {
	level := 0
	for s.peek(1+level) == '=' {
		level++
	}
	if s.peek(1+level) != '[' {
		return -1
	}
	return level
}

func (s *scanner) long() {
	end := "]" + strings.Repeat("=", s.longBracket()) + "]"
	n := strings.Index(s.src[s.pos:], end)
	if n < 0 {
		n = len(s.src) - s.pos
	}
	s.advance(n + len(end))
}

// quoted skips a string and returns what is between its quotes, if that has no escapes.
func (s *scanner) quoted() (text string, plain bool) {
	quote := s.src[s.pos]
	s.advance(1)
	start, plain := s.pos, true
	for s.pos < len(s.src) && s.src[s.pos] != quote && s.src[s.pos] != '\n' {
		if s.src[s.pos] == '\\' {
			plain = false
			s.advance(1)
		}
		s.advance(1)
	}
	text = s.src[start:min(s.pos, len(s.src))]
	s.advance(1)
	return text, plain
}

// literal reads the string that a call has as its only argument.
func (s *scanner) literal() (string, bool) {
	s.blank()
	paren := s.peek(0) == '('
	if paren {
		s.advance(1)
		s.blank()
	}
	if c := s.peek(0); c != '"' && c != '\'' {
		return "", false
	}
	text, plain := s.quoted()
	if paren {
		s.blank()
		plain = plain && s.peek(0) == ')'
	}
	return text, plain
}

func (s *scanner) blank() {
	for s.pos < len(s.src) && strings.IndexByte(" \t\r\n", s.src[s.pos]) >= 0 {
		s.advance(1)
	}
}
