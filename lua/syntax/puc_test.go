package syntax_test

import (
	"testing"

	"github.com/skua-go/skua/internal/puctest"
)

// server lets PUC Lua answer requests that come on its standard input, each behind its length: 'p' compiles what follows, and answers with 'd' and the code, or
// with 'e' and the message; 'n' converts what follows to a number.
const server = `
while true do
  local n = io.read("l")
  if not n then return end
  local request = io.read(tonumber(n))
  local what, text, out = request:sub(1, 1), request:sub(2)
  if what == "p" then
    local f, err = load(text, "=agent.lua", "t")
    out = f and "d" .. string.dump(f, true) or "e" .. err
  else
    local v = tonumber(text)
    out = v and string.format(math.type(v) == "integer" and "%d" or "%a", v) or "none"
  end
  io.write(#out, "\n", out)
  io.flush()
end`

// puc is the reference implementation.
type puc struct{ *puctest.Process }

func startPUC(t *testing.T) *puc {
	t.Helper()
	return &puc{puctest.Start(t, "-e", server)}
}

// ask sends a request of one kind and returns the answer.
func (p *puc) ask(t *testing.T, what byte, text string) string {
	t.Helper()
	return p.Ask(t, string(what)+text)
}

// compile is PUC Lua's code for a source, without the names for debugging, or its message.
func (p *puc) compile(t *testing.T, source string) (code, message string) {
	t.Helper()
	answer := p.ask(t, 'p', source)
	if answer[0] == 'd' {
		return answer[1:], ""
	}
	return "", answer[1:]
}
