package syntax_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
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

// puc is the reference implementation in a process of its own.
type puc struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func startPUC(t *testing.T) *puc {
	t.Helper()
	path, err := exec.LookPath("lua5.4")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("lua5.4 is missing (tools/deps.sh installs it)")
		}
		t.Skip("lua5.4 is not installed (tools/deps.sh): nothing to compare with")
	}
	cmd := exec.CommandContext(t.Context(), path, "-e", server)
	cmd.Stderr = os.Stderr
	p := &puc{}
	if p.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.in.Close()
		_ = cmd.Wait()
	})
	return p
}

// ask sends a request and returns the answer.
func (p *puc) ask(t *testing.T, what byte, text string) string {
	t.Helper()
	if _, err := fmt.Fprintf(p.in, "%d\n%c%s", len(text)+1, what, text); err != nil {
		t.Fatal(err)
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("lua5.4 has ended (%v) on:\n%s", err, text)
	}
	n, err := strconv.Atoi(strings.TrimSuffix(line, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, n)
	if _, err := io.ReadFull(p.out, out); err != nil {
		t.Fatal(err)
	}
	return string(out)
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
