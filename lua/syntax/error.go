package syntax

import (
	"strconv"
	"strings"
)

// maxNear is the most bytes of a token that a message shows: a source may be one string of megabytes, and a message is a line in a log.
const maxNear = 200

// Error is the message behind its chunk and line, as Lua shows it: "agent.lua:12: unexpected symbol near 'x'".
func (e *SyntaxError) Error() string {
	return e.Chunk + ":" + itoa(int(e.Pos.Line)) + ": " + e.Message
}

func itoa(n int) string { return strconv.Itoa(n) }

// fail gives the source up. Parse recovers what it panics with.
func (l *lexer) fail(pos Pos, message string) {
	panic(&SyntaxError{Chunk: l.chunk, Pos: pos, Message: message})
}

// failToken gives the source up at a token that is not finished: text is what was read of it, pos where to look. The line is the one where reading ended, as in
// PUC Lua.
func (l *lexer) failToken(pos Pos, message, text string) {
	l.fail(l.here(pos), message+" near "+quote(text))
}

// here is pos if that is in the line where reading ended, and else the beginning of that line.
func (l *lexer) here(pos Pos) Pos {
	if pos.Line == l.line {
		return pos
	}
	return Pos{l.line, 1}
}

// quote shows the text of a token. PUC Lua shows it up to its first zero byte, since it is a string of C.
func quote(text string) string {
	if i := strings.IndexByte(text, 0); i >= 0 {
		text = text[:i]
	}
	if len(text) > maxNear {
		text = text[:maxNear] + "..."
	}
	return "'" + text + "'"
}

// failNear gives the source up at the present token. A zero byte is not shown, since PUC Lua takes it for no token.
func (p *parser) failNear(message string) {
	if p.tok.kind != 0 {
		message += " near " + p.show(&p.tok)
	}
	p.fail(p.here(p.tok.pos), message)
}

// show is how a message calls a token: by its text if it has a value. That of a string has its escapes resolved.
func (p *parser) show(t *token) string {
	switch t.kind {
	case kName, kInt, kFloat:
		return quote(p.src[t.start:t.end])
	case kString:
		open := 1
		if p.src[t.start] == '[' {
			open = 2 + strings.IndexByte(p.src[t.start+1:], '[')
		}
		return quote(p.src[t.start:t.start+open] + t.text + p.src[t.end-open:t.end])
	}
	return t.kind.show()
}

// failExpected gives the source up because the present token is not what has to stand here.
func (p *parser) failExpected(what kind) {
	p.failNear(what.show() + " expected")
}
