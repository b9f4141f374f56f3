package crashtest_test

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/skua-go/skua/services/store"
)

// crashes is how often a node is killed.
func crashes() int {
	if os.Getenv("SKUA_ACCEPTANCE") == "full" {
		return 200
	}
	return 20
}

// seed is that of SKUA_SEED, or a random one. It decides when a node is killed, not what it is doing then.
func seed(t *testing.T) *rand.Rand {
	t.Helper()
	n, err := strconv.ParseUint(os.Getenv("SKUA_SEED"), 10, 64)
	if err != nil {
		n = rand.Uint64()
	}
	t.Logf("SKUA_SEED=%d", n)
	return rand.New(rand.NewPCG(n, 0))
}

func TestNothingAcknowledgedIsLostWhenANodeIsKilled(t *testing.T) {
	for name, lua := range map[string]bool{"go": false, "lua": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("embedded", func(t *testing.T) { torture(t, embedded(t, lua)) })
			t.Run("mongo", func(t *testing.T) { torture(t, mongoDB(t, lua)) })
			if !lua {
				t.Run("ferretdb", func(t *testing.T) { torture(t, ferretDB(t, lua)) })
			}
		})
	}
}

// torture has a node play, again and again, on the database that the last one has left, and kills it.
func torture(t *testing.T, s scene) {
	t.Helper()
	moments := seed(t)
	o := newOracle(t, s.players)
	if s.lua {
		o.blank = 1 // the defaults
	}
	var sum findings
	rounds := crashes()
	for round := range rounds {
		a := newAccount(s.players)
		end := killed(t, s, a, time.Duration(20+moments.IntN(200))*time.Millisecond)
		sum.add(inspect(t, s, func(db store.Backend) findings { return o.judge(db, a, end) }))
		if t.Failed() {
			t.Fatalf("round %d of %d", round+1, rounds)
		}
	}
	t.Logf("the node was killed %d times: %d commits acknowledged, all there, none twice; of %d changes autosave has kept %d and %d are lost, the oldest %v before the kill "+
		"(promised: %v and one batch)", rounds, sum.commits, sum.changes, sum.saved, sum.gone, sum.oldest.Round(time.Millisecond), autosave)
	if sum.commits == 0 || sum.saved == 0 || sum.kept > 0 {
		t.Errorf("%d commits acknowledged, %d changes saved without, %d told that the database is away: that is not the load that was meant", sum.commits, sum.saved, sum.kept)
	}
}

// inspect opens a database that nobody has.
func inspect(t *testing.T, s scene, look func(db store.Backend) findings) findings {
	t.Helper()
	db, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, db)
	return look(db)
}

// begin starts a node in a process of its own whose owners speak to a. done waits until it has ended and all is heard.
func begin(t *testing.T, s scene, a *account, log io.Writer) (p *os.Process, done func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+s.String())
	cmd.Stderr = log
	stdin, err := cmd.StdinPipe() // closed when this process ends, however it does
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	heard := make(chan error, 1)
	go func() {
		defer a.end()
		for lines := bufio.NewReader(out); ; {
			line, err := lines.ReadBytes('\n')
			if errors.Is(err, io.EOF) && len(line) == 0 { // lines are shorter than PIPE_BUF, so none is cut (pipe(7))
				heard <- nil
				return
			}
			if err == nil {
				_, err = a.Write(line)
			}
			if err != nil {
				heard <- err
				return
			}
		}
	}()
	return cmd.Process, func() {
		t.Helper()
		if err := <-heard; err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
			t.Fatalf("the node ended by itself: %v", err)
		}
		_ = stdin.Close() // Wait has closed it
	}
}

// killed runs a node and kills it when all of its owners have played so long. It says when that was.
func killed(t *testing.T, s scene, a *account, after time.Duration) (end time.Time) {
	t.Helper()
	p, done := begin(t, s, a, t.Output())
	opening := a.until("open", func(_ int, l *life) bool { return l.open })
	if opening == nil {
		<-time.After(after)
	}
	end = time.Now()
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
	done()
	if opening != nil {
		t.Fatal(opening)
	}
	return end
}
