package login_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/cputime"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/internal/metrictest"
	"github.com/skua-go/skua/services/login"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

type node struct {
	t       *testing.T
	sys     *actor.System
	db      *database
	log     *logtest.Buffer
	stop    func()
	metrics *prometheus.Registry
}

func (n *node) metric(name string) float64 {
	n.t.Helper()
	return metrictest.Value(n.t, n.metrics, name)
}

// database is a real one that can go away, and that others can write behind the node's back.
type database struct {
	store.Backend
	away atomic.Bool
	late atomic.Pointer[func()] // runs once, behind the next Load of an account
}

var errPlug = &store.UnavailableError{Op: "reach it", Err: errors.New("pulled the plug")}

func (d *database) Claim(ctx context.Context, kind, id string, epoch int64) (store.Doc, error) {
	if d.away.Load() {
		return store.Doc{}, errPlug
	}
	return d.Backend.Claim(ctx, kind, id, epoch)
}

func (d *database) Apply(ctx context.Context, writes []store.Write) ([]error, error) {
	if d.away.Load() {
		return nil, errPlug
	}
	return d.Backend.Apply(ctx, writes)
}

func (d *database) Load(ctx context.Context, kind, id string) (store.Doc, error) {
	if d.away.Load() {
		return store.Doc{}, errPlug
	}
	doc, err := d.Backend.Load(ctx, kind, id)
	if kind == "account" {
		if late := d.late.Swap(nil); late != nil {
			(*late)()
		}
	}
	return doc, err
}

// cheap costs of hashes, where they are not what is tested.
func cheap(cfg login.Config) login.Config {
	cfg.Memory, cfg.Passes = 64, 1
	return cfg
}

func start(t *testing.T, cfg login.Config) *node {
	t.Helper()
	return startIn(t, cfg, t.TempDir())
}

// startIn starts a node whose database is in a directory.
func startIn(t *testing.T, cfg login.Config, dir string) *node {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	must(t, err)
	return startOn(t, cfg, &database{Backend: db}, func() { must(t, db.Close()) })
}

// startAway starts a node whose database can't be reached.
func startAway(t *testing.T, cfg login.Config, dir string) *node {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	must(t, err)
	away := &database{Backend: db}
	away.away.Store(true)
	return startOn(t, cfg, away, func() { must(t, db.Close()) })
}

// shareWith starts a second node on the database of a first one, which ends later.
func shareWith(t *testing.T, cfg login.Config, first *node) *node {
	t.Helper()
	return startOn(t, cfg, &database{Backend: first.db.Backend}, func() {})
}

func startOn(t *testing.T, cfg login.Config, db *database, closeIt func()) *node {
	t.Helper()
	log := &logtest.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	registry := prometheus.NewRegistry()
	cfg.Metrics = login.NewMetrics()
	registry.MustRegister(cfg.Metrics)
	n := &node{t: t, metrics: registry, sys: actor.New(actor.Config{Log: logger, CallTimeout: patience}), db: db, log: log}
	for _, spec := range []actor.Spec{store.Spec(store.Config{Backend: n.db}), login.Spec(cfg)} {
		_, err := n.sys.Spawn(spec)
		must(t, err)
	}
	n.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(t, n.sys.Shutdown(ctx))
		closeIt()
	})
	t.Cleanup(n.stop)
	return n
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var home, away = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")

// body is what a client sends, of pairs of field and value.
func body(pairs ...string) value.Value {
	fields := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		fields[pairs[i]] = pairs[i+1]
	}
	return value.Of(fields).At(0)
}

// ask sends a message to the service.
func (n *node) ask(msg any) (any, error) {
	ref, _ := n.sys.Lookup(login.ServiceName)
	return n.sys.Ask(context.Background(), ref, msg)
}

// enter logs in with a body of these fields.
func (n *node) enter(pairs ...string) (login.Account, error) {
	v, err := n.ask(login.Request{Body: body(pairs...), Addr: home})
	acc, _ := v.(login.Account)
	return acc, err
}

// refused wants a code from a login.
func (n *node) refused(want login.Code, pairs ...string) {
	n.t.Helper()
	if _, err := n.enter(pairs...); code(err) != want {
		n.t.Errorf("login with %.60q: %v, want %q", pairs, err, want)
	}
}

func (n *node) login(name, password string) (login.Account, error) {
	return n.loginFrom(home, name, password)
}

func (n *node) loginFrom(addr netip.Addr, name, password string) (login.Account, error) {
	ref, _ := n.sys.Lookup(login.ServiceName)
	v, err := n.sys.Ask(context.Background(), ref, login.Request{Body: body("name", name, "password", password), Addr: addr})
	acc, _ := v.(login.Account)
	return acc, err
}

// code is the reason of a failed login; "" for one that worked.
func code(err error) login.Code {
	var e *login.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	}
	return login.Code(err.Error())
}

func (n *node) want(want login.Code, name, password string) {
	n.t.Helper()
	if _, err := n.login(name, password); code(err) != want {
		n.t.Errorf("login of %.40q with %.40q: %v, want %q", name, password, err, want)
	}
}

func TestFiftyFirstLoginsOfOneNameMakeOneAccount(t *testing.T) {
	n := start(t, cheap(login.Config{Register: true}))
	var all sync.WaitGroup
	var made atomic.Int64
	uids := make([]string, 50)
	for i := range uids {
		all.Go(func() {
			acc, err := n.login([]string{"ann", "Ann", "ANN"}[i%3], "secret")
			if err != nil {
				t.Error(err)
			}
			if acc.New {
				made.Add(1)
			}
			uids[i] = acc.UID
		})
	}
	all.Wait()
	if len(slices.Compact(uids)) != 1 || uids[0] == "" || made.Load() != 1 {
		t.Errorf("%d accounts were made, uids %v", made.Load(), slices.Compact(uids))
	}
	n.want(login.Denied, "ann", "another")
}

func TestAnAccountKeepsOnlyAnArgon2idHash(t *testing.T) {
	n := start(t, login.Config{Register: true, Memory: 1024, Passes: 3})
	n.want("", "Ann", "the secret")
	n.want(login.Denied, "ann", "a wrong secret")
	doc, err := n.db.Load(t.Context(), "account", "ann")
	must(t, err)
	var acc struct{ UID, Name, Hash string }
	must(t, bson.Unmarshal(doc.Body, &acc))
	if phc := regexp.MustCompile(`^\$argon2id\$v=19\$m=1024,t=3,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`); !phc.MatchString(acc.Hash) {
		t.Errorf("the hash is %q", acc.Hash)
	}
	if acc.Name != "Ann" || len(acc.UID) != 16 {
		t.Errorf("%+v", acc)
	}
	if strings.Contains(doc.Body.String()+n.log.String(), "secret") {
		t.Error("the password is in the database or in the log")
	}
}

func TestLookAlikesAreOneAccount(t *testing.T) {
	n := start(t, cheap(login.Config{Register: true}))
	first, err := n.login("\u00c9lodie7", "x")
	must(t, err)
	for _, name := range []string{"\u00e9lodie7", "E\u0301LODIE7", "\uff45\u0301lodie7", "\u00e9lodie\uff17"} {
		acc, err := n.login(name, "x")
		if err != nil || acc.UID != first.UID || acc.New || acc.Name != "\u00c9lodie7" {
			t.Errorf("%q is %+v, %v; want %+v", name, acc, err, first)
		}
	}
	if other, err := n.login("elodie7", "x"); err != nil || other.UID == first.UID {
		t.Errorf("elodie7 is %+v, %v", other, err)
	}
	n.want("", "bob", "pass word\u00a0\u00e9")
	n.want("", "bob", "pass word e\u0301")
}

func TestNamesAndPasswordsOfEveryWrongShapeAreRefused(t *testing.T) {
	n := start(t, cheap(login.Config{Register: true}))
	for _, name := range []string{
		"", " ", "a b", " ann", "a\x00b", "a\nb", "\xff\xfe", "a\u202eb", "\u200b", "a\u00a0b", strings.Repeat("a", 65), strings.Repeat("a", 1<<20),
		strings.Repeat("\uff41", 65), "\U0001f600",
	} {
		n.want(login.BadName, name, "x")
	}
	n.want("", strings.Repeat("a", 64), "x")
	for _, password := range []string{"", "a\x00b", "a\nb", "\xff", strings.Repeat("x", 257), strings.Repeat("x", 1<<20)} {
		n.want(login.BadPassword, "ann", password)
	}
	n.want("", "ann", strings.Repeat("x", 256))
}

func TestAnUnknownNameIsRefusedLikeAWrongPassword(t *testing.T) {
	// Costs that are several times the default ones, so that the work of a hash at others is told from it, in memory that a core's cache holds.
	open := login.Config{Register: true, MaxAttempts: 1000, Memory: 2 << 10, Passes: 100}
	n := start(t, open)
	n.want("", "ann", "right")
	doc, err := n.db.Load(t.Context(), "account", "ann")
	must(t, err)
	open.Register = false
	n = start(t, open)
	_, err = n.db.Apply(t.Context(), []store.Write{{Kind: "account", ID: "ann", Nonce: store.NewNonce(), Body: doc.Body}})
	must(t, err)
	n.want("", "ann", "right")

	took := map[string][]time.Duration{}
	texts := map[string]string{}
	for range 5 {
		for _, name := range []string{"ann", "nobody"} {
			began := cputime.Process()
			_, err := n.login(name, "wrong")
			took[name] = append(took[name], cputime.Process()-began)
			if texts[name] = fmt.Sprint(err); code(err) != login.Denied {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if texts["ann"] != texts["nobody"] {
		t.Errorf("%q tells from %q", texts["ann"], texts["nobody"])
	}
	// The least of each, since what else the process does only ever adds to it.
	known, unknown := slices.Min(took["ann"]), slices.Min(took["nobody"])
	if unknown < known/3 || unknown > known*3 {
		t.Errorf("a wrong password takes %v, an unknown name %v", known, unknown)
	}
	if _, err := n.db.Load(t.Context(), "account", "nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an account was made: %v", err)
	}
}

func TestTooManyWrongPasswordsHaveToWaitByNameAndAddress(t *testing.T) {
	n := start(t, cheap(login.Config{Register: true, MaxAttempts: 3, Wait: time.Second}))
	n.want("", "ann", "right")
	n.want("", "bob", "right")
	net6 := func(host int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", host)) }
	for i := range 3 {
		n.want(login.Denied, "ann", "wrong")
		if _, err := n.loginFrom(net6(i), "ann", "wrong"); code(err) != login.Denied {
			t.Errorf("attempt %d from IPv6: %v", i, err)
		}
	}
	n.want(login.TooMany, "ANN", "right")
	if _, err := n.loginFrom(net6(99), "ann", "right"); code(err) != login.TooMany {
		t.Errorf("another host of the same IPv6 network: %v", err)
	}
	n.want("", "bob", "right")
	if _, err := n.loginFrom(netip.MustParseAddr("192.0.2.2"), "ann", "right"); err != nil {
		t.Errorf("the owner at another address: %v", err)
	}
	deadline := time.After(patience)
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		_, err := n.login("ann", "right")
		if err == nil {
			break
		}
		select {
		case <-deadline:
			t.Fatalf("still after the wait: %v", err)
		default:
		}
	}
	n.want(login.Denied, "ann", "wrong") // counted from the start
	n.want(login.Denied, "ann", "wrong")
	n.want("", "ann", "right")
}

func TestGuessesAtTheSameTimeAreCountedToo(t *testing.T) {
	n := start(t, cheap(login.Config{Register: true, MaxAttempts: 3, Wait: time.Hour}))
	n.want("", "ann", "right")
	var all sync.WaitGroup
	var denied, refused atomic.Int64
	for i := range 50 {
		all.Go(func() {
			switch _, err := n.login("ann", fmt.Sprint("guess", i)); code(err) {
			case login.Denied:
				denied.Add(1)
			case login.TooMany:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if denied.Load() != 3 || refused.Load() != 47 {
		t.Errorf("%d guesses were checked and %d refused, want 3 and 47", denied.Load(), refused.Load())
	}
}

func TestWithoutItsDatabaseTheServiceSaysSo(t *testing.T) {
	n := start(t, cheap(login.Config{Register: true, MaxAttempts: 2}))
	n.want("", "ann", "right")
	n.db.away.Store(true)
	for range 5 { // which are nobody's wrong passwords
		n.want(login.Unavailable, "ann", "right")
		n.want(login.Unavailable, "bob", "right")
	}
	if !strings.Contains(n.log.String(), "pulled the plug") {
		t.Error("the log does not say why")
	}
	n.db.away.Store(false)
	n.want("", "ann", "right")
	n.want("", "bob", "right")
}

func TestAnAccountThatAnotherNodeMadeMeanwhileIsNotTaken(t *testing.T) {
	n := start(t, cheap(login.Config{Register: true}))
	other := start(t, cheap(login.Config{Register: true}))
	theirs, err := other.login("ann", "theirs")
	must(t, err)
	doc, err := other.db.Load(t.Context(), "account", "ann")
	must(t, err)
	meanwhile := func() {
		_, err := n.db.Apply(context.Background(), []store.Write{{Kind: "account", ID: "ann", Nonce: store.NewNonce(), Body: doc.Body}})
		must(t, err)
	}
	n.db.late.Store(&meanwhile)
	n.want(login.Denied, "ann", "mine")
	if acc, err := n.login("ann", "theirs"); err != nil || acc.UID != theirs.UID || acc.New {
		t.Errorf("%+v, %v; want %+v", acc, err, theirs)
	}
}

func TestMoreLoginsThanTheQueueHoldsAreBusy(t *testing.T) {
	n := start(t, login.Config{Register: true, Memory: 8 << 10, Passes: 2, Hashing: 1, Queue: 4})
	var all sync.WaitGroup
	var in, busy atomic.Int64
	for i := range 60 {
		all.Go(func() {
			switch _, err := n.login(fmt.Sprint("player", i), "x"); code(err) {
			case "":
				in.Add(1)
			case login.Busy:
				busy.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if in.Load() < 5 || busy.Load() == 0 {
		t.Errorf("%d got in and %d were told that the node is busy", in.Load(), busy.Load())
	}
	n.want("", "player", "x") // the places are free again
}

func TestABrokenAccountIsTheServersFault(t *testing.T) {
	n := start(t, cheap(login.Config{Register: true}))
	for i, body := range []any{bson.M{"uid": "1", "hash": "$2y$10$abc"}, bson.M{"hash": 7}} {
		data, err := bson.Marshal(body)
		must(t, err)
		id := fmt.Sprint("ann", i)
		_, err = n.db.Apply(t.Context(), []store.Write{{Kind: "account", ID: id, Nonce: store.NewNonce(), Body: data}})
		must(t, err)
		n.want(login.Unavailable, id, "x")
	}
}

func TestAServiceThatStopsKeepsNobodyWaiting(t *testing.T) {
	n := start(t, login.Config{Register: true, Hashing: 1, Queue: 100})
	var all, asked sync.WaitGroup
	for i := range 100 {
		asked.Add(1)
		all.Go(func() {
			asked.Done()
			_, err := n.login(fmt.Sprint("p", i%60), "x")
			if c := code(err); c != "" && c != login.Unavailable && !errors.Is(err, actor.ErrStopped) && !errors.Is(err, actor.ErrNoActor) {
				t.Errorf("%v", err)
			}
		})
	}
	asked.Wait()
	ref, _ := n.sys.Lookup(login.ServiceName)
	began := time.Now()
	n.sys.Stop(ref, nil)
	all.Wait()
	if took := time.Since(began); took > patience/2 { // as long as calls may take
		t.Errorf("the end took %v", took)
	}
}

func TestGuestsAreTheirNames(t *testing.T) {
	n := start(t, login.Config{})
	v, err := n.ask(login.Request{Body: body("name", "Ann"), Method: login.MethodGuest})
	acc, _ := v.(login.Account)
	if err != nil || acc.UID != "guest:ann" || acc.Name != "Ann" || acc.Token != "" {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := n.ask(login.Request{Body: body("name", strings.Repeat("a", 100)), Method: login.MethodGuest}); code(err) != login.BadName {
		t.Error(err)
	}
	n.refused(login.BadRequest, "name", "Ann") // the service itself takes no guests
	if _, err := n.ask(7); err == nil {
		t.Error("7 is a login")
	}
}
