package actortest

import (
	"bytes"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// stack is a goroutine as the runtime prints it.
type stack struct {
	id, bubble string
	text       string
}

// header is the first line of a goroutine's stack: "goroutine 7 [select (durable), synctest bubble 3]:".
var header = regexp.MustCompile(`^goroutine (\d+) .*\[.*?(?:synctest bubble (\d+))?\]:`)

func parseStack(text string) stack {
	s := stack{text: text}
	if m := header.FindStringSubmatch(text); m != nil {
		s.id, s.bubble = m[1], m[2]
	}
	return s
}

// goroutine is the one that calls it.
func goroutine() stack {
	var buf [128]byte
	return parseStack(string(buf[:runtime.Stack(buf[:], false)]))
}

// goroutinesOf are the goroutines of a bubble.
func goroutinesOf(bubble string) []stack {
	const most = 64 << 20
	buf := make([]byte, 64<<10)
	n := runtime.Stack(buf, true)
	for n == len(buf) && n < most {
		buf = make([]byte, 2*n)
		n = runtime.Stack(buf, true)
	}
	var all []stack
	for text := range bytes.SplitSeq(buf[:n], []byte("\n\n")) {
		if s := parseStack(string(text)); s.bubble == bubble && s.id != "" {
			all = append(all, s)
		}
	}
	return all
}

// checkGoroutines fails the test for each goroutine that has been begun and goes on.
func (k *Kit) checkGoroutines() {
	k.t.Helper()
	k.settleOthers()
	for _, g := range goroutinesOf(k.bubble) {
		if !k.before[g.id] && g.id != k.owner {
			k.t.Errorf("actortest: a goroutine does not end:\n%s", g.text)
		}
	}
}

// reportStuck ends a test of which synctest has found that it can't go on.
func reportStuck(t *testing.T, k *Kit, r any) {
	t.Helper()
	err, ok := r.(error)
	if !ok || !strings.HasPrefix(err.Error(), "deadlock:") {
		panic(r)
	}
	if k == nil {
		t.Fatalf("actortest: %v", err)
	}
	if t.Failed() { // and has said why
		t.Logf("actortest: %v", err)
		t.FailNow()
	}
	var b strings.Builder
	for _, g := range goroutinesOf(k.bubble) {
		b.WriteString("\n\n" + g.text)
	}
	story := ""
	if k.turns != nil {
		story = "\n\n" + k.turns.story()
	}
	t.Fatalf("actortest: %v%s\n\nthe log:\n%s\nthe goroutines:%s", err, story, k.Logged(), b.String())
}
