package measure_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/tools/bench/measure"
)

func TestMain(m *testing.M) {
	// StartServer runs this binary.
	if len(os.Args) >= 2 && strings.HasPrefix(os.Args[1], "-serve=") {
		name := strings.TrimPrefix(os.Args[1], "-serve=")
		err := measure.Serve(context.Background(), func(ctx context.Context, ready func(string)) error {
			if name == "broken" {
				return errors.New("broken on purpose")
			}
			ready(strings.Join(append([]string{"here", name}, os.Args[2:]...), " "))
			<-ctx.Done()
			if name == "sour" {
				return errors.New("ends with an error on purpose")
			}
			return nil
		}, os.Stdin, os.Stdout)
		if err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	// InChild does, too.
	if len(os.Args) == 2 && strings.HasPrefix(os.Args[1], "-figure=") {
		if err := measure.PrintFigure(context.Background(), figures, strings.TrimPrefix(os.Args[1], "-figure="), os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// sequence yields the figures in turn and writes down who was asked.
func sequence(who string, asked *[]string, figures ...float64) measure.Func {
	next := 0
	return func(context.Context) (float64, error) {
		*asked = append(*asked, who)
		next++
		return figures[next-1], nil
	}
}

func TestResultIsTheMedianBesideItsBase(t *testing.T) {
	var asked []string
	var out, text bytes.Buffer
	err := measure.Runner{Runs: 5, JSON: &out, Text: &text}.Run(t.Context(), []measure.Benchmark{{
		ID: "actor/send", Unit: "ns/op", Note: "base: buffered channel, same run",
		Ours: sequence("ours", &asked, 45.1234, 1, 900, 45.2, 45),
		Base: sequence("base", &asked, 63.2, 63.1, 63.3, 1000, 0.1),
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"actor/send","value":45.12,"unit":"ns/op","base":63.2,"ratio":0.714,"note":"base: buffered channel, same run"}` + "\n"
	if out.String() != want {
		t.Errorf("got  %swant %s", out.String(), want)
	}
	if got := strings.Join(asked, " "); got != "ours base base ours ours base base ours ours base" {
		t.Errorf("measured in the order %s", got)
	}
	if !strings.Contains(text.String(), "45.12 1 900 45.2 45") {
		t.Errorf("the single figures are not shown: %s", text.String())
	}
}

func TestResultWithoutABaseHasNone(t *testing.T) {
	var asked []string
	var out bytes.Buffer
	err := measure.Runner{Runs: 2, JSON: &out, Text: &bytes.Buffer{}}.Run(t.Context(), []measure.Benchmark{
		{ID: "a/b", Unit: "s", Ours: sequence("ours", &asked, 1, 2)},
		{ID: "a/zero", Unit: "s", Ours: sequence("ours", &asked, 1, 2), Base: sequence("base", &asked, 0, 0)},
	})
	if want := `{"id":"a/b","value":1.5,"unit":"s"}` + "\n" + `{"id":"a/zero","value":1.5,"unit":"s","base":0}` + "\n"; err != nil || out.String() != want {
		t.Errorf("%v, %s", err, out.String())
	}
}

func TestNoteSaysWhatWasMeasuredOn(t *testing.T) {
	var out bytes.Buffer
	on := "nothing"
	measured := func(context.Context) (float64, error) {
		on = "a server 1.2"
		return 1, nil
	}
	err := measure.Runner{Runs: 1, JSON: &out, Text: &bytes.Buffer{}}.Run(t.Context(), []measure.Benchmark{
		{ID: "a/b", Unit: "s", Ours: measured, Note: "of five", On: func() string { return on }},
	})
	if want := `{"id":"a/b","value":1,"unit":"s","note":"of five; on a server 1.2"}` + "\n"; err != nil || out.String() != want {
		t.Errorf("%v, %s", err, out.String())
	}
}

func TestFailingBenchmarkDoesNotStopTheOthers(t *testing.T) {
	var asked []string
	var out bytes.Buffer
	broken := errors.New("broken")
	err := measure.Runner{Runs: 1, JSON: &out, Text: &bytes.Buffer{}}.Run(t.Context(), []measure.Benchmark{
		{ID: "a/1", Ours: func(context.Context) (float64, error) { return 0, broken }},
		{ID: "a/2", Ours: func(context.Context) (float64, error) { return math.NaN(), nil }},
		{ID: "a/3", Unit: "s", Ours: sequence("ours", &asked, 3)},
	})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "a/1: ours") || !strings.Contains(err.Error(), "a/2: ours: measured NaN") {
		t.Errorf("got %v", err)
	}
	if out.String() != `{"id":"a/3","value":3,"unit":"s"}`+"\n" {
		t.Errorf("printed %s", out.String())
	}
}

func TestEndOfContextEndsTheRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	list := []measure.Benchmark{
		{ID: "a/1", Ours: func(context.Context) (float64, error) { cancel(); return 1, nil }},
		{ID: "a/2", Ours: func(context.Context) (float64, error) { t.Error("measured after the end"); return 1, nil }},
	}
	if err := (measure.Runner{Runs: 1, JSON: &bytes.Buffer{}, Text: &bytes.Buffer{}}).Run(ctx, list); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestSelectGoesByTheBeginningOfTheID(t *testing.T) {
	all := []measure.Benchmark{{ID: "actor/send"}, {ID: "actor/spawn"}, {ID: "net/tcp"}, {ID: "bare/tcp"}}
	for prefix, want := range map[string]int{"": 3, "actor/": 2, "actor/send": 1, "bare/": 1, "net": 1} {
		if got, err := measure.Select(all, prefix); err != nil || len(got) != want {
			t.Errorf("%q: %v, %v", prefix, got, err)
		}
	}
	if _, err := measure.Select(all, "lua/"); !errors.Is(err, measure.ErrNoMatch) || !strings.Contains(err.Error(), "actor/spawn") {
		t.Error(err)
	}
}

func TestPerOpDividesByTheOperations(t *testing.T) {
	got, err := measure.PerOp(t.Context(), func(n int) error {
		// Spinning, not sleeping: an operation takes at least 1 µs of the clock.
		for end := time.Now().Add(time.Duration(n) * time.Microsecond); time.Now().Before(end); {
		}
		return nil
	})
	if err != nil || got < 1000 || got > 10_000_000 { // all of them together take 300 million at least; the core may be another's for a while
		t.Errorf("%v ns, %v", got, err)
	}
	broken := errors.New("broken")
	if _, err := measure.PerOp(t.Context(), func(int) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// client answers until limit exchanges, then does what a broken server would make it do.
type client struct {
	limit  int64
	n      atomic.Int64
	hang   bool
	closed chan struct{}
}

func (c *client) Exchange() error {
	if c.n.Add(1) <= c.limit {
		return nil
	}
	if c.hang {
		<-c.closed
		return errors.New("closed")
	}
	return errors.New("the answer is another request's")
}

func (c *client) Close() error { close(c.closed); return nil }

func TestLoopCountsExchanges(t *testing.T) {
	var clients []*client
	perSecond, err := measure.Loop{Clients: 3, Warm: 10 * time.Millisecond, Measure: 50 * time.Millisecond}.Run(t.Context(), func(context.Context) (measure.Client, error) {
		c := &client{limit: math.MaxInt64, closed: make(chan struct{})}
		clients = append(clients, c)
		return c, nil
	})
	if err != nil || len(clients) != 3 {
		t.Fatal(err, len(clients))
	}
	var all int64
	for _, c := range clients {
		<-c.closed
		all += c.n.Load()
	}
	if perSecond <= 0 || perSecond*0.05 > float64(all) {
		t.Errorf("%v exchanges a second, of %d in all", perSecond, all)
	}
}

func TestLoopFailsWithItsFirstClient(t *testing.T) {
	for what, c := range map[string]*client{
		"client 0 after 5 exchanges: the answer is another request's": {limit: 5, closed: make(chan struct{})},
		"a client got no answer for 20ms":                             {limit: 5, hang: true, closed: make(chan struct{})},
	} {
		l := measure.Loop{Clients: 1, Warm: time.Millisecond, Measure: 10 * time.Millisecond, Stall: 20 * time.Millisecond}
		if _, err := l.Run(t.Context(), func(context.Context) (measure.Client, error) { return c, nil }); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %s", err, what)
		}
		<-c.closed
	}
	refused := errors.New("refused")
	first := &client{closed: make(chan struct{})}
	dialled := 0
	_, err := measure.Loop{Clients: 2}.Run(t.Context(), func(context.Context) (measure.Client, error) {
		dialled++
		if dialled == 1 {
			return first, nil
		}
		return nil, refused
	})
	if !errors.Is(err, refused) {
		t.Error(err)
	}
	<-first.closed
}

func TestServerRunsInItsOwnProcess(t *testing.T) {
	p, err := measure.StartServer(t.Context(), "fine", "and", "well")
	if err != nil {
		t.Fatal(err)
	}
	if p.Addr != "here fine and well" || p.PID == os.Getpid() {
		t.Errorf("got %+v", p)
	}
	rss, err := measure.RSS(p.PID)
	if err != nil || rss < 1<<20 || rss > 1<<30 {
		t.Errorf("%d bytes resident, %v", rss, err)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := measure.RSS(p.PID); err == nil {
		t.Error("the server outlived Stop")
	}
	if _, err := measure.StartServer(t.Context(), "broken"); err == nil || !strings.Contains(err.Error(), "did not become ready") {
		t.Error(err)
	}
	p, err = measure.StartServer(t.Context(), "sour")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err == nil {
		t.Error("the failure of a server was lost")
	}
}

func TestServerTellsItsMemoryAndItsTime(t *testing.T) {
	got, err := measure.WithServer(t.Context(), "fine", func(p *measure.Process) (float64, error) {
		before, err := p.CPU()
		if err != nil {
			return 0, err
		}
		rss, err := p.RSS()
		if err != nil || rss < 1<<20 || rss > 1<<30 {
			t.Errorf("%d bytes resident, %v", rss, err)
		}
		after, err := p.CPU() // to free memory takes time
		if err != nil || before <= 0 || after <= before {
			t.Errorf("%v of CPU time, then %v, %v", before, after, err)
		}
		return float64(p.PID), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := measure.RSS(int(got)); err == nil {
		t.Error("the server outlived its use")
	}
}

func TestWhatIsAMedianAlreadyIsMeasuredOnce(t *testing.T) {
	var asked []string
	var out bytes.Buffer
	err := measure.Runner{Runs: 5, JSON: &out, Text: io.Discard}.Run(t.Context(), []measure.Benchmark{
		{ID: "net/a", Unit: "s", Once: true, Ours: sequence("ours", &asked, 3)},
	})
	if err != nil || len(asked) != 1 || !strings.Contains(out.String(), `"value":3`) {
		t.Errorf("asked %v, printed %s, %v", asked, out.String(), err)
	}
}

func ExampleSelect() {
	chosen, err := measure.Select([]measure.Benchmark{{ID: "net/tcp-100"}, {ID: "net/tcp-1000"}, {ID: "lua/send"}}, "net/")
	fmt.Println(len(chosen), err)
	// Output: 2 <nil>
}

func TestUnitsAreMadeOfNanoseconds(t *testing.T) {
	ns := func(context.Context) (float64, error) { return 2000, nil }
	if got, err := measure.PerSecond(ns)(t.Context()); err != nil || got != 500_000 {
		t.Errorf("2 µs each are %v a second, %v", got, err)
	}
	if got, err := measure.Microseconds(ns)(t.Context()); err != nil || got != 2 {
		t.Errorf("2000 ns are %v µs, %v", got, err)
	}
	broken := errors.New("broken")
	fails := func(context.Context) (float64, error) { return 0, broken }
	if _, err := measure.PerSecond(fails)(t.Context()); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := measure.Microseconds(fails)(t.Context()); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestWhatThisMachineCannotMeasureIsLeftOutAndSaid(t *testing.T) {
	var out, text bytes.Buffer
	absent := func(context.Context) (float64, error) { return 0, fmt.Errorf("%w: no database", measure.ErrNotHere) }
	one := func(context.Context) (float64, error) { return 1, nil }
	list := []measure.Benchmark{{ID: "a/absent", Unit: "s", Ours: absent}, {ID: "a/there", Unit: "s", Ours: one}}
	if err := (measure.Runner{Runs: 1, JSON: &out, Text: &text}).Run(t.Context(), list); err != nil {
		t.Error(err)
	}
	if strings.Contains(out.String(), "absent") || !strings.Contains(out.String(), "a/there") || !strings.Contains(text.String(), "no database") {
		t.Errorf("printed %s and told %s", out.String(), text.String())
	}
}
