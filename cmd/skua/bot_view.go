package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/skua-go/skua/examples/arena/bot"
)

// botView shows how a run of bots goes: on a terminal a few lines that are drawn anew each second, elsewhere a line now and then.
type botView struct {
	w        io.Writer
	terminal bool

	mu    sync.Mutex
	last  bot.Snapshot
	drawn int // lines on the terminal
	said  time.Duration
}

// sayEvery is how often there is a line where there is no terminal.
const sayEvery = 10 * time.Second

func newBotView(w io.Writer) *botView {
	v := &botView{w: w}
	if f, ok := w.(*os.File); ok {
		v.terminal = isatty.IsTerminal(f.Fd())
	}
	return v
}

// entered says that all are in.
func (v *botView) entered(clients int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wipe()
	fmt.Fprintf(v.w, "skua bot: %d clients are in\n", clients)
}

func (v *botView) show(s bot.Snapshot) {
	v.mu.Lock()
	defer v.mu.Unlock()
	seconds := max((s.Since - v.last.Since).Seconds(), 0.001)
	answers, pushes := float64(s.Answers-v.last.Answers)/seconds, float64(s.Pushes-v.last.Pushes)/seconds
	switch {
	case v.terminal:
		v.wipe()
		fmt.Fprintf(v.w, "%8s  clients %d of %d   resumes %d   errors %d\n", s.Since.Round(time.Second), s.Clients, s.Wanted, s.Resumes, s.Errors)
		fmt.Fprintf(v.w, "          answers %.0f/s   pushes %.0f/s\n", answers, pushes)
		fmt.Fprintf(v.w, "          p50 %.2f ms   p90 %.2f ms   p99 %.2f ms   max %.2f ms\n", ms(s.Latency.P50), ms(s.Latency.P90), ms(s.Latency.P99), ms(s.Latency.Max))
		v.drawn = 3
	case s.Since >= v.said+sayEvery:
		v.said = s.Since
		fmt.Fprintf(v.w, "skua bot: %s: %d of %d clients, %.0f answers/s, %.0f pushes/s, p50 %.2f ms, p99 %.2f ms, max %.2f ms, %d resumes, %d errors\n",
			s.Since.Round(time.Second), s.Clients, s.Wanted, answers, pushes, ms(s.Latency.P50), ms(s.Latency.P99), ms(s.Latency.Max), s.Resumes, s.Errors)
	}
	v.last = s
}

// end takes the lines away: the report follows.
func (v *botView) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wipe()
}

// wipe moves to the first of the lines and clears what is below (ECMA-48: CUU, ED); v.mu is held.
func (v *botView) wipe() {
	if v.drawn > 0 {
		fmt.Fprintf(v.w, "\x1b[%dA\x1b[J", v.drawn)
		v.drawn = 0
	}
}
