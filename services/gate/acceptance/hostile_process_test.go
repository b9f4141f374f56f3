package acceptance_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// roleVariable makes this program another part of the test under attack: the node, the players, or the attackers. Each is a process of its own, so that it is
// known which of them has used a core, or has waited for one.
const roleVariable = "SKUA_ACCEPTANCE_ROLE"

// The roles, and what else their processes are told.
const (
	roleNode       = "node"
	rolePlayers    = "players"
	roleAttackers  = "attackers"
	dirVariable    = "SKUA_ACCEPTANCE_DIR" // the node's
	placesVariable = "SKUA_ACCEPTANCE_PLACES"
)

// process is one of them. It is ended by the end of its standard input.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder // what it has to say
	log syncBuffer
}

// startProcess starts one that ends with the test.
func startProcess(t *testing.T, role string, more ...string) *process {
	t.Helper()
	p := &process{}
	run := "^$"
	if role == roleAttackers {
		run = "^TestTheAttackersProcess$"
	}
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "-test.run="+run, "-test.count=1")
	p.cmd.Env = append(append(os.Environ(), roleVariable+"="+role), more...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	var err error
	p.in, err = p.cmd.StdinPipe()
	must(t, err)
	r, w, err := os.Pipe()
	must(t, err)
	p.cmd.ExtraFiles = []*os.File{w}
	p.out = json.NewDecoder(r)
	must(t, p.cmd.Start())
	_ = w.Close()
	t.Cleanup(func() {
		_ = p.in.Close()
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("the %s: %v", role, err)
		}
		_ = r.Close()
		if text := p.log.String(); strings.Contains(text, "panic") || strings.Contains(text, "DATA RACE") || t.Failed() {
			t.Errorf("what the %s had to say:\n%s", role, text[max(0, len(text)-8<<10):])
		}
	})
	return p
}

// wire is how a process tells what it has to say.
func wire() *json.Encoder { return json.NewEncoder(os.NewFile(3, "wire")) }

// cpu is what threads have used of the cores, and for how long they were ready to run while others had the cores.
type cpu struct{ used, waited time.Duration }

func (c cpu) minus(d cpu) cpu { return cpu{c.used - d.used, c.waited - d.waited} }

// cpuOf is what the threads of a process have had (Linux: Documentation/scheduler/sched-stats.rst); zero where the system does not tell.
func cpuOf(pid int) (all cpu) {
	files, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/schedstat")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		f := strings.Fields(string(text))
		if len(f) < 2 {
			continue
		}
		used, _ := strconv.ParseInt(f[0], 10, 64)
		waited, _ := strconv.ParseInt(f[1], 10, 64)
		all.used += time.Duration(used)
		all.waited += time.Duration(waited)
	}
	return all
}

type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
