package arena_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/examples/arena"
	"github.com/skua-go/skua/examples/arena/bot"
	"github.com/skua-go/skua/internal/nodetest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/documents"
	"github.com/skua-go/skua/services/store/sqlite"
)

func TestMain(m *testing.M) {
	// kcp-go, which the bots use, keeps timers for the whole process.
	goleak.VerifyTestMain(m,
		goleak.Cleanup(func(code int) {
			nodetest.Cleanup()
			os.Exit(code)
		}),
		goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).sched"),
		goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).prepend"))
}

// push is what the scripts gave to gate.push for one session.
type push struct {
	route string
	body  []byte
}

// stage runs the arena's scripts with a gate that keeps the pushes, and a store whose database can be taken away.
type stage struct {
	t   *testing.T
	sys *actor.System
	log *bytes.Buffer
	db  *vault

	session map[actor.Ref]int64 // of each agent

	mu     sync.Mutex
	pushes map[int64][]push
}

// vault is a database that can be taken away.
type vault struct {
	store.Backend
	away atomic.Bool
}

func (v *vault) Apply(ctx context.Context, writes []store.Write) ([]error, error) {
	if v.away.Load() {
		return nil, &store.UnavailableError{Op: "apply", Err: errors.New("the database is away")}
	}
	return v.Backend.Apply(ctx, writes)
}

// newStage starts main.lua. The files, name after name, stand over those of the arena.
func newStage(t *testing.T, files ...string) *stage {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	tree := fstest.MapFS{}
	names, err := fs.Glob(arena.Files(), "scripts/*.lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(arena.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		tree[strings.TrimPrefix(name, "scripts/")] = &fstest.MapFile{Data: data}
	}
	for i := 0; i < len(files); i += 2 {
		tree[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	s := &stage{t: t, log: new(bytes.Buffer), db: &vault{Backend: db}, session: map[actor.Ref]int64{}, pushes: map[int64][]push{}}
	log := slog.New(slog.NewTextHandler(&lockedWriter{w: s.log}, nil))
	rt, err := lua.NewRuntime(lua.Config{
		Scripts: tree, Library: scripts.FS(), Log: log,
		Modules: []lua.Module{{Name: "gate", Open: s.openGate}, documents.New(documents.Config{}).Module()},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.sys = actor.New(actor.Config{Log: log, CallTimeout: 5 * time.Second})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.sys.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	for _, spec := range []actor.Spec{store.Spec(store.Config{Backend: s.db}), rt.Launcher()} {
		if _, err := s.sys.Spawn(spec); err != nil {
			t.Fatal(err)
		}
	}
	s.start("main")
	return s
}

type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func (s *stage) openGate(_ *lua.Host, st vm.State) {
	st.NewTable(0, 1)
	st.PushFunc("push", func(st vm.State) int {
		args, err := lua.TakeList(st, 1)
		if err != nil {
			st.Errorf("%s", err.Error())
		}
		body, err := codec.AppendJSON(nil, args.At(2))
		if err != nil {
			st.Errorf("%s", err.Error())
		}
		route, _ := args.At(1).Str()
		s.mu.Lock()
		defer s.mu.Unlock()
		if id, ok := args.At(0).Int(); ok {
			s.pushes[id] = append(s.pushes[id], push{route, body})
			return 0
		}
		for _, v := range args.At(0).Items {
			id, _ := v.Int()
			s.pushes[id] = append(s.pushes[id], push{route, body})
		}
		return 0
	})
	st.SetField(-2, "push")
}

// take gives the pushes of a session since the last time.
func (s *stage) take(session int64) []push {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pushes[session]
	delete(s.pushes, session)
	return p
}

func (s *stage) start(script string, args ...any) actor.Ref {
	s.t.Helper()
	launcher, _ := s.sys.Lookup(lua.LauncherName)
	v, err := s.sys.Ask(context.Background(), launcher, lua.Launch{Script: script, Args: value.Of(args...)})
	if err != nil {
		s.t.Fatalf("launch %s: %v\n%s", script, err, s.log)
	}
	return v.(actor.Ref)
}

func (s *stage) named(name string) actor.Ref {
	ref, ok := s.sys.Lookup(name)
	if !ok {
		s.t.Fatalf("no service %q", name)
	}
	return ref
}

func (s *stage) call(to actor.Ref, cmd string, args ...any) value.List {
	s.t.Helper()
	v, err := s.sys.Ask(context.Background(), to, lua.Command(cmd, args...))
	if err != nil {
		s.t.Fatalf("%s: %v", cmd, err)
	}
	return v.(value.List)
}

// request is what the gate does with one of a client: an answer, or the code and text of an error.
func (s *stage) request(agent actor.Ref, route, body string, into any) error {
	s.t.Helper()
	v, err := codec.ParseJSON([]byte(body))
	if err != nil {
		s.t.Fatal(err)
	}
	var b value.Builder
	b.String(route)
	b.Value(v)
	b.Int(s.session[agent])
	answer, err := s.sys.Ask(context.Background(), agent, lua.Message{Type: lua.TypeClient, Args: b.List()})
	if err != nil {
		return fmt.Errorf("internal: %w", err)
	}
	l := answer.(value.List)
	if l.At(0).IsNil() {
		code, _ := l.At(1).Get("code").Str()
		msg, _ := l.At(1).Get("msg").Str()
		return &clientError{code, msg}
	}
	if into == nil {
		return nil
	}
	s.decode(l.At(0), into)
	return nil
}

type clientError struct{ code, msg string }

func (e *clientError) Error() string { return e.code + ": " + e.msg }

func (s *stage) decode(v value.Value, into any) {
	s.t.Helper()
	text, err := codec.AppendJSON(nil, v)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
}

// walker is a simulated player of the map, with the view that its client would have.
type walker struct {
	bot.Player
	session int64
	view    *bot.View
}

func (s *stage) enterMap(w *walker, at map[string]any) bot.Seat {
	s.t.Helper()
	player := map[string]any{"id": w.ID, "name": w.Name, "n": w.N}
	for k, v := range at {
		player[k] = v
	}
	var seat bot.Seat
	s.decode(s.call(s.named("map"), "enter", player, w.session).At(0), &seat)
	s.take(w.session) // of the session's time before
	view, err := bot.NewView(seat)
	if err != nil {
		s.t.Fatal(err)
	}
	w.Player, w.view = seat.Player, view
	return seat
}

// catchUp applies the pushes of all.
func (s *stage) catchUp(all map[string]*walker) {
	s.t.Helper()
	for _, w := range all {
		for _, p := range s.take(w.session) {
			if err := w.view.Apply(p.route, p.body); err != nil {
				s.t.Fatalf("%s: %v", w.Name, err)
			}
		}
	}
}

// compare holds every view against everybody's position, and the coins of all against each other.
func (s *stage) compare(all map[string]*walker, far int) {
	s.t.Helper()
	players := make([]bot.Player, 0, len(all))
	coins := map[int64]bot.Coin{}
	for _, w := range all {
		players = append(players, w.Player)
		for id, c := range w.view.Coins {
			coins[id] = c
		}
	}
	for _, w := range all {
		for _, wrong := range w.view.Compare(w.Player, players, far) {
			s.t.Error(wrong)
		}
		for id, c := range coins {
			near := max(c.X-w.X, w.X-c.X, c.Y-w.Y, w.Y-c.Y) <= far
			if _, sees := w.view.Coins[id]; near && !sees {
				s.t.Errorf("%s at %d,%d does not see coin %+v, which another sees", w.Name, w.X, w.Y, c)
			}
		}
	}
	if s.t.Failed() {
		s.t.FailNow()
	}
}

const smallWorld = `return { seed = 7, width = 40, height = 30, view = 5, coins = 60, kinds = { { name = "copper", share = 1 } },
  walls = { { x = 10, y = 0, w = 1, h = 20 }, { x = 38, y = 28, w = 9, h = 9 } } }`

// TestEverybodySeesExactlyWhoIsNear lets 50 players enter, leave, come back and walk at random, and compares what each was told with a search
// through all of them.
func TestEverybodySeesExactlyWhoIsNear(t *testing.T) {
	s := newStage(t, "world.lua", smallWorld)
	rng := rand.New(rand.NewPCG(1, 2))
	here, away := map[string]*walker{}, []*walker{}
	for i := range 50 {
		name := fmt.Sprint("w", i)
		away = append(away, &walker{Player: bot.Player{ID: name, Name: name}, session: int64(1000 + i)})
	}
	m := s.named("map")
	picked := 0
	for step := range 3000 {
		switch roll := rng.IntN(100); {
		case roll < 4 && len(away) > 0:
			w := away[len(away)-1]
			away = away[:len(away)-1]
			at := map[string]any{}
			if w.view != nil {
				at = map[string]any{"x": w.X, "y": w.Y}
			}
			s.enterMap(w, at)
			here[w.ID] = w
		case roll < 6:
			for id, w := range here {
				s.call(m, "leave", id)
				s.catchUp(here)
				delete(here, id)
				away = append(away, w)
				break
			}
		case roll < 7:
			for _, w := range here { // reconnects: another session for a player who is there
				s.catchUp(here)
				before := w.Player
				w.session += 1000
				s.enterMap(w, map[string]any{"x": 0, "y": 0})
				if w.Player != before {
					t.Fatalf("%s was %+v and is %+v after a reconnect", w.Name, before, w.Player)
				}
				break
			}
		default:
			for _, w := range here {
				answer := s.call(m, "move", w.ID, rng.IntN(3)-1, rng.IntN(3)-1)
				x, _ := answer.At(0).Int()
				y, _ := answer.At(1).Int()
				n, _ := answer.At(2).Int()
				if moved := int(x) != w.X || int(y) != w.Y; (n == w.N+1) != moved || n < w.N || n > w.N+1 {
					t.Fatalf("%+v moved to %d,%d with n=%d", w.Player, x, y, n)
				}
				if x < 0 || y < 0 || x >= 40 || y >= 30 || x == 10 && y < 20 || x >= 38 && y >= 28 {
					t.Fatalf("%s stands at %d,%d, where there is a wall or nothing", w.Name, x, y)
				}
				if !answer.At(3).IsNil() {
					picked++
				}
				w.X, w.Y, w.N = int(x), int(y), n
				break
			}
		}
		s.catchUp(here)
		if step%20 == 0 {
			s.compare(here, 5)
		}
	}
	s.compare(here, 5)
	if picked == 0 || len(here) < 10 {
		t.Fatalf("%d coins picked up, %d players in the end: the test has not tested much", picked, len(here))
	}
}

func TestThereAreAlwaysAsManyCoins(t *testing.T) {
	s := newStage(t, "world.lua", `return { seed = 1, width = 6, height = 5, view = 9, coins = 12, kinds = { { name = "copper", share = 1 } }, walls = {} }`)
	w := &walker{Player: bot.Player{ID: "a", Name: "a"}, session: 5}
	s.enterMap(w, nil)
	all := map[string]*walker{"a": w}
	for i := range 100 {
		at, ok := 0, 0
		for _, step := range [][2]int{{1, 0}, {0, 1}, {-1, 0}, {0, -1}} {
			if w.X+step[0] < 0 || w.X+step[0] > 5 || w.Y+step[1] < 0 || w.Y+step[1] > 4 {
				continue
			}
			if at++; (i+at)%2 == 0 {
				continue
			}
			answer := s.call(s.named("map"), "move", "a", step[0], step[1])
			x, _ := answer.At(0).Int()
			y, _ := answer.At(1).Int()
			w.X, w.Y, ok = int(x), int(y), ok+1
		}
		s.catchUp(all)
		if len(w.view.Coins) != 12 {
			t.Fatalf("%d coins after %d rounds, expected 12", len(w.view.Coins), i)
		}
		spots := map[[2]int]bool{}
		for _, c := range w.view.Coins {
			spots[[2]int{c.X, c.Y}] = true
		}
		if len(spots) != 12 || spots[[2]int{w.X, w.Y}] {
			t.Fatalf("coins lie on each other or under the player: %v", w.view.Coins)
		}
	}
}

func TestWhoStoodWhereAWallIsNowStandsBesideIt(t *testing.T) {
	s := newStage(t, "world.lua", smallWorld)
	for at, want := range map[[2]int][2]int{{10, 5}: {9, 4}, {39, 29}: {37, 27}, {500, -3}: {39, 0}} {
		w := &walker{Player: bot.Player{ID: fmt.Sprint(at), Name: "a", N: 9}, session: 5}
		seat := s.enterMap(w, map[string]any{"x": at[0], "y": at[1]})
		if got := [2]int{seat.X, seat.Y}; got != want || seat.N != 9 {
			t.Errorf("saved at %v, put at %v, expected %v", at, got, want)
		}
	}
}

func TestAFullMapSaysSo(t *testing.T) {
	s := newStage(t, "world.lua", `return { seed = 1, width = 2, height = 1, view = 9, coins = 1, kinds = { { name = "copper", share = 1 } }, walls = {} }`)
	first := s.agent("one", 11)
	var seat bot.Seat
	if err := s.request(first, "enter", `{}`, &seat); err != nil {
		t.Fatal(err)
	}
	second := s.agent("two", 12)
	var failed *clientError
	if err := s.request(second, "enter", `{}`, nil); !errors.As(err, &failed) || failed.code != "full" {
		t.Fatalf("got %v, expected code full", err)
	}
}

// agent starts one with a session attached.
func (s *stage) agent(uid string, session int64) actor.Ref {
	s.t.Helper()
	ref := s.start("agent", map[string]any{"uid": uid, "name": "Name of " + uid})
	s.connect(ref, session)
	return ref
}

func (s *stage) connect(agent actor.Ref, session int64) {
	s.t.Helper()
	s.call(agent, "connect", session)
	s.session[agent] = session
}

type standing struct {
	X, Y      int
	N, Coins  int64
	Inventory map[string]int64
}

func sum(m map[string]int64) (n int64) {
	for _, v := range m {
		n += v
	}
	return n
}

// walkToCoin makes steps to the nearest coin that the seat shows, in a world without walls.
func (s *stage) walkToCoin(agent actor.Ref, seat bot.Seat) (standing, error) {
	at := standing{X: seat.X, Y: seat.Y, N: seat.N, Coins: seat.Coins}
	c := seat.CoinList[0]
	for at.X != c.X || at.Y != c.Y {
		step := func(from, to int) int { return min(1, max(-1, to-from)) }
		body := fmt.Sprintf(`{"dx":%d,"dy":%d}`, step(at.X, c.X), step(at.Y, c.Y))
		if err := s.request(agent, "move", body, &at); err != nil {
			return at, err
		}
	}
	return at, nil
}

const openWorld = `return { seed = 3, width = 20, height = 20, view = 20, coins = 3, kinds = { { name = "copper", share = 1 }, { name = "gold", share = 1 } }, walls = {} }`

func TestACoinIsDurableWhenTheAnswerShowsIt(t *testing.T) {
	s := newStage(t, "world.lua", openWorld)
	agent := s.agent("u1", 7)
	var seat bot.Seat
	if err := s.request(agent, "enter", `{}`, &seat); err != nil {
		t.Fatal(err)
	}
	got, err := s.walkToCoin(agent, seat)
	if err != nil {
		t.Fatal(err)
	}
	if got.Coins < 1 || sum(got.Inventory) != got.Coins {
		t.Fatalf("%+v: the inventory and the coins differ, or there are none", got)
	}
	doc, err := s.db.Load(t.Context(), "player", "u1")
	if err != nil {
		t.Fatal(err)
	}
	if coins, _ := doc.Body.Lookup("coins").AsInt64OK(); coins != got.Coins {
		t.Fatalf("answered %d coins, the database has %v", got.Coins, doc.Body)
	}
	// Another life of the same player begins with what the first had.
	s.sys.Stop(agent, nil)
	for err := error(nil); err == nil; { // it answers until it has saved
		_, err = s.sys.Ask(context.Background(), agent, lua.Ready{})
	}
	var again bot.Seat
	if err := s.request(s.agent("u1", 8), "enter", `{}`, &again); err != nil {
		t.Fatal(err)
	}
	if again.X != got.X || again.Y != got.Y || again.N != got.N || again.Coins != got.Coins || sum(again.Inventory) != got.Coins {
		t.Fatalf("was %+v, came back as %+v", got, again)
	}
}

func TestPlayersPlayOnWhileTheDatabaseIsAwayAndSeeTheirCoinsWhenItIsBack(t *testing.T) {
	s := newStage(t, "world.lua", openWorld)
	agent := s.agent("u1", 7)
	var seat bot.Seat
	if err := s.request(agent, "enter", `{}`, &seat); err != nil {
		t.Fatal(err)
	}
	s.db.away.Store(true)
	got, err := s.walkToCoin(agent, seat)
	if err != nil {
		t.Fatal(err)
	}
	if got.Coins != 0 || got.N == 0 {
		t.Fatalf("%+v: an answer shows a coin that is not durable", got)
	}
	var failed *clientError
	if err := s.request(agent, "save", `{}`, nil); !errors.As(err, &failed) || failed.code != "unsaved" {
		t.Fatalf("save: %v, expected code unsaved", err)
	}
	s.db.away.Store(false)
	deadline := time.Now().Add(time.Minute)
	for {
		for _, p := range s.take(7) {
			if p.route != "purse" {
				continue
			}
			var purse standing
			if err := json.Unmarshal(p.body, &purse); err != nil || purse.Coins < 1 || sum(purse.Inventory) != purse.Coins {
				t.Fatalf("%s: %v", p.body, err)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no push tells of the coin")
		}
		s.call(s.named("map"), "fence")
	}
}

func TestRequestsThatMakeNoSenseAreAnsweredWithWhatWasExpected(t *testing.T) {
	s := newStage(t)
	agent := s.agent("u1", 7)
	ask := func(route, body string) string {
		err := s.request(agent, route, body, nil)
		if err == nil {
			return ""
		}
		return err.Error()
	}
	if got := ask("move", `{"dx":0,"dy":1}`); got != "not_entered: enter the map first" {
		t.Fatal(got)
	}
	if got := ask("enter", `{}`); got != "" {
		t.Fatal(got)
	}
	long := strings.Repeat("é", 201)
	for _, c := range []struct{ route, body, want string }{
		{"enter", `{}`, "entered: this session is on the map already"},
		{"move", `{}`, "bad_request: dx: an integer from -1 to 1 is expected, got nil"},
		{"move", `null`, "bad_request: dx: an integer from -1 to 1 is expected, got nil"},
		{"move", `[1,1]`, "bad_request: dx: an integer from -1 to 1 is expected, got nil"},
		{"move", `{"dx":"1","dy":0}`, "bad_request: dx: an integer from -1 to 1 is expected, got string"},
		{"move", `{"dx":0.5,"dy":0}`, "bad_request: dx: an integer from -1 to 1 is expected, got 0.5"},
		{"move", `{"dx":1e300,"dy":0}`, "bad_request: dx: an integer from -1 to 1 is expected, got 1e+300"},
		{"move", `{"dx":1,"dy":9223372036854775807}`, "bad_request: dy: an integer from -1 to 1 is expected, got 9223372036854775807"},
		{"move", `{"dx":1,"dy":{}}`, "bad_request: dy: an integer from -1 to 1 is expected, got table"},
		{"chat", `{"text":7}`, "bad_request: text: a text of 1 to 200 characters is expected, got 7"},
		{"chat", `{"text":" \n "}`, "bad_request: text: a text of 1 to 200 characters is expected, got nothing"},
		{"chat", `{"text":"` + long + `"}`, "bad_request: text: a text of 1 to 200 characters is expected, got 201"},
		{"chat", `{"text":"` + long + long + long + `"}`, "bad_request: text: a text of 1 to 200 characters is expected, got 1206 bytes"},
		{"chat", `{"text":"` + long[2:] + `"}`, ""},
	} {
		if got := ask(c.route, c.body); got != c.want {
			t.Errorf("%s %.60s\n got %s\nwant %s", c.route, c.body, got, c.want)
		}
	}
	for range 20 {
		ask("chat", `{"text":"spam"}`)
	}
	if got := ask("chat", `{"text":"spam"}`); !strings.HasPrefix(got, "too_fast: ") {
		t.Errorf("chat without an end: %s", got)
	}
	// No JSON can say this, but another serializer might.
	v, err := s.sys.Ask(context.Background(), agent, lua.Message{Type: lua.TypeClient, Args: value.Of("chat", map[string]any{"text": "\xff\xfe"})})
	if err != nil || !strings.Contains(v.(value.List).At(1).String(), "text: UTF-8 is expected") {
		t.Errorf("%v %v", v, err)
	}
}

func TestChatReachesEverybodyOnTheMapOnce(t *testing.T) {
	s := newStage(t)
	var agents []actor.Ref
	for i := range 4 {
		agents = append(agents, s.agent(fmt.Sprint("u", i), int64(100+i)))
		if err := s.request(agents[i], "enter", `{}`, nil); err != nil {
			t.Fatal(err)
		}
	}
	s.call(agents[3], "disconnect", 103, "bye")
	s.call(s.named("map"), "fence")
	if err := s.request(agents[0], "chat", `{"text":" <b>hi</b>\u0007 "}`, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		var heard []string
		for _, p := range s.take(int64(100 + i)) {
			if p.route == "chat" {
				heard = append(heard, string(p.body))
			}
		}
		want := 1
		if i == 3 {
			want = 0
		}
		if len(heard) != want || want == 1 && !strings.Contains(heard[0], `"text":"<b>hi</b>"`) {
			t.Errorf("player %d heard %q", i, heard)
		}
	}
}

func TestALateGoodbyeOfAnOldSessionLeavesTheNewOneThere(t *testing.T) {
	s := newStage(t)
	watcher := s.agent("watcher", 1)
	player := s.agent("player", 2)
	var seat bot.Seat
	if err := s.request(player, "enter", `{}`, &seat); err != nil {
		t.Fatal(err)
	}
	s.connect(player, 3) // the gate has let a second client in
	if err := s.request(player, "enter", `{}`, &seat); err != nil {
		t.Fatal(err)
	}
	s.call(player, "disconnect", 2, "replaced")
	if err := s.request(player, "move", `{"dx":0,"dy":0}`, nil); err != nil {
		t.Fatalf("the second session is not on the map: %v", err)
	}
	if err := s.request(watcher, "enter", `{}`, nil); err != nil {
		t.Fatal(err)
	}
	s.call(player, "disconnect", 3, "closed")
	if answer := s.call(s.named("map"), "move", "player", 0, 0); !answer.At(0).IsNil() {
		t.Fatal("the player is on the map although their last client is gone")
	}
}
