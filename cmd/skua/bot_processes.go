package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/skua-go/skua/examples/arena/bot"
)

// spareFiles is what a process needs besides its connections.
const spareFiles = 100

// checkFiles says what to do when a process may not open as many files as it needs.
func checkFiles(clients int) error {
	limit, known := openFiles()
	if need := uint64(clients + spareFiles); known && need > limit {
		return fmt.Errorf("%d clients in a process need %d open files, it may have %d: raise the limit (ulimit -n %d), or share them out with --processes %d",
			clients, need, limit, need, uint64(clients)/max(1, limit-min(limit-1, spareFiles))+1)
	}
	return nil
}

// botMessage is a line from a process to the one that has started it.
type botMessage struct {
	Progress *bot.Snapshot `json:"progress,omitempty"`
	Entered  int           `json:"entered,omitempty"`
	Report   *bot.Part     `json:"report,omitempty"`
	Failed   string        `json:"failed,omitempty"`
}

// runBotWorker is a process of --processes: the plan comes on standard input, whose end ends it.
func runBotWorker(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var plan botPlan
	in := json.NewDecoder(stdin)
	if err := in.Decode(&plan); err != nil {
		return &usageError{fmt.Errorf("--worker: a plan is expected on standard input: %w", err)}
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		cancel() // who has started us is gone
	}()
	var mu sync.Mutex
	out := json.NewEncoder(stdout)
	say := func(m botMessage) error {
		mu.Lock()
		defer mu.Unlock()
		return out.Encode(m)
	}
	report, err := runBots(ctx, plan,
		func(s bot.Snapshot) { _ = say(botMessage{Progress: &s}) },
		func(n int) { _ = say(botMessage{Entered: n}) })
	if err != nil {
		return say(botMessage{Failed: err.Error()})
	}
	part, err := report.Part()
	if err != nil {
		return err
	}
	return say(botMessage{Report: &part})
}

// split shares a plan out over processes. Those whose node is at 127.0.0.1 come from an address each, unless the plan names some.
func (p botPlan) split(processes int) []botPlan {
	plans := make([]botPlan, processes)
	first := max(p.First, 1)
	for i := range plans {
		part := p
		part.Targets, part.Clients, part.First = nil, 0, first
		for _, t := range p.Targets {
			t.Clients = t.Clients*(i+1)/processes - t.Clients*i/processes
			if t.Clients > 0 {
				part.Targets = append(part.Targets, t)
				part.Clients += t.Clients
			}
		}
		if len(p.Sources) == 0 && atLoopback(p.Targets) {
			part.Sources = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 1, byte(1 + i%250)})}
		}
		part.Ramp = slowRamp(p.Ramp, processes)
		part.Logins = max(1, p.Logins/processes)
		first += part.Clients
		plans[i] = part
	}
	return plans
}

func atLoopback(targets []bot.Target) bool {
	for _, t := range targets {
		if !strings.HasPrefix(t.Addr, "127.") {
			return false
		}
	}
	return true
}

// slowRamp is a process's share of a ramp.
func slowRamp(text string, processes int) string {
	ramp, err := bot.ParseRamp(text)
	if err != nil {
		return text // there is none: others have been refused
	}
	var parts []string
	for _, s := range ramp {
		part := fmt.Sprintf("%g/s", s.Rate/float64(processes))
		if s.For > 0 {
			part += ":" + s.For.String()
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ",")
}

// runBotProcesses plays a plan in several processes like this one, and puts their reports together.
func runBotProcesses(ctx context.Context, plan botPlan, processes int, view *botView) (*bot.Report, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("bot: %w", err)
	}
	all := &botProcesses{view: view, latest: make([]bot.Snapshot, processes), wanted: processes}
	parts := make([]bot.Part, processes)
	var running sync.WaitGroup
	for i, part := range plan.split(processes) {
		running.Go(func() {
			report, err := all.runOne(ctx, self, i, part)
			if err != nil {
				report = bot.Part{Errors: []string{fmt.Sprintf("process %d: %v", i+1, err)}, ErrorCount: 1, Kinds: map[string]int{"process": 1}}
			}
			parts[i] = report
		})
	}
	running.Wait()
	return bot.Merge(parts)
}

// botProcesses puts together what processes say.
type botProcesses struct {
	view   *botView
	wanted int

	mu      sync.Mutex
	latest  []bot.Snapshot
	entered []int
}

// runOne runs one process to its end. When ctx ends, its standard input does, and it reports what it has seen.
func (b *botProcesses) runOne(ctx context.Context, self string, i int, plan botPlan) (bot.Part, error) {
	data, err := json.Marshal(plan) //nolint:gosec // the password goes to a process of ours, through a pipe
	if err != nil {
		return bot.Part{}, err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), self, "bot", "--worker")
	ownGroup(cmd) // Ctrl-C is for us: it has a report to make
	var said bytes.Buffer
	cmd.Stderr = &said
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return bot.Part{}, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return bot.Part{}, err
	}
	if err := cmd.Start(); err != nil {
		return bot.Part{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = stdin.Close() })
	defer stop()
	if _, err = stdin.Write(data); err != nil {
		_ = stdin.Close()
	}
	report, err := b.listen(i, stdout)
	_ = stdin.Close()
	if ended := cmd.Wait(); ended != nil && err == nil {
		err = ended
	}
	if err != nil && said.Len() > 0 {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	return report, err
}

// listen reads what a process says until its end.
func (b *botProcesses) listen(i int, stdout io.Reader) (bot.Part, error) {
	in := json.NewDecoder(bufio.NewReader(stdout))
	var report *bot.Part
	var failed error
	for {
		var m botMessage
		if err := in.Decode(&m); err != nil {
			break
		}
		switch {
		case m.Progress != nil:
			b.progress(i, *m.Progress)
		case m.Entered > 0:
			b.in(m.Entered)
		case m.Failed != "":
			failed = fmt.Errorf("%s", m.Failed)
		case m.Report != nil:
			report = m.Report
		}
	}
	if report == nil {
		if failed == nil {
			failed = fmt.Errorf("it ended without a report")
		}
		return bot.Part{}, failed
	}
	return *report, nil
}

// progress shows the sums; of the latencies the worst process's.
func (b *botProcesses) progress(i int, s bot.Snapshot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.latest[i] = s
	if i != 0 {
		return // once a second is enough
	}
	sum := bot.Snapshot{Since: s.Since}
	for _, p := range b.latest {
		sum.Clients += p.Clients
		sum.Wanted += p.Wanted
		sum.Answers += p.Answers
		sum.Pushes += p.Pushes
		sum.Resumes += p.Resumes
		sum.Errors += p.Errors
		sum.Latency.P50 = max(sum.Latency.P50, p.Latency.P50)
		sum.Latency.P90 = max(sum.Latency.P90, p.Latency.P90)
		sum.Latency.P99 = max(sum.Latency.P99, p.Latency.P99)
		sum.Latency.Max = max(sum.Latency.Max, p.Latency.Max)
	}
	b.view.show(sum)
}

func (b *botProcesses) in(clients int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entered = append(b.entered, clients); len(b.entered) < b.wanted {
		return
	}
	all := 0
	for _, n := range b.entered {
		all += n
	}
	b.view.entered(all)
}

func nobodyPlayed(err error) *bot.Report {
	return &bot.Report{Errors: []string{strings.TrimPrefix(err.Error(), "bot: ")}, ErrorCount: 1, Kinds: map[string]int{"nobody": 1}}
}
