package crashtest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

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
	t.Run("embedded", func(t *testing.T) { torture(t, filepath.Join(t.TempDir(), "store"), true) })
	t.Run("mongo", func(t *testing.T) { torture(t, mongoDB(t), false) })
}

// mongoDB names a database of a test's own, where there is a MongoDB.
func mongoDB(t *testing.T) string {
	t.Helper()
	uri := os.Getenv("MONGO_URI")
	if uri == "" {
		t.Skip("MONGO_URI names no MongoDB")
	}
	name := fmt.Sprintf("skua_test_%d_crash", time.Now().UnixNano())
	t.Cleanup(func() {
		c, err := driver.Connect(options.Client().ApplyURI(uri))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Database(name).Drop(context.Background()); err != nil {
			t.Error(err)
		}
		if err := c.Disconnect(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return uri + " " + name
}

// torture has a node play, again and again, on the database that the last one has left, and kills it.
func torture(t *testing.T, where string, exact bool) {
	t.Helper()
	moments := seed(t)
	o := &oracle{TB: t, exact: exact}
	var sum findings
	rounds := crashes()
	for round := range rounds {
		a := newAccount()
		end := killed(t, where, a, time.Duration(20+moments.IntN(200))*time.Millisecond)
		f := inspect(t, where, func(db store.Backend) findings { return o.judge(db, a, end) })
		if t.Failed() {
			t.Fatalf("round %d of %d", round+1, rounds)
		}
		sum.commits, sum.changes, sum.saved, sum.gone = sum.commits+f.commits, sum.changes+f.changes, sum.saved+f.saved, sum.gone+f.gone
		sum.oldest = max(sum.oldest, f.oldest)
	}
	t.Logf("killed %d times: %d commits acknowledged, all there, none twice; of %d changes autosave has kept %d and %d are lost, the oldest %v before the kill (autosave is %v)",
		rounds, sum.commits, sum.changes, sum.saved, sum.gone, sum.oldest.Round(time.Millisecond), autosave)
	if sum.commits == 0 || sum.saved == 0 {
		t.Errorf("%d commits acknowledged and %d changes saved without: that is no load", sum.commits, sum.saved)
	}
}

// inspect opens a database that nobody has.
func inspect(t *testing.T, where string, look func(db store.Backend) findings) findings {
	t.Helper()
	db, err := open(where)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	return look(db)
}

// begin starts a node in a process of its own whose owners speak to a. done waits until it has ended and all is heard.
func begin(t *testing.T, where string, a *account) (p *os.Process, done func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+where)
	cmd.Stderr = t.Output()
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
func killed(t *testing.T, where string, a *account, after time.Duration) (end time.Time) {
	t.Helper()
	p, done := begin(t, where, a)
	opening := a.until("open", func(l *life) bool { return l.open })
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
