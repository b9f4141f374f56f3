package bank_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/examples/bank"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a store and a bank.
type rig struct {
	*testing.T
	sys  *actor.System
	bank actor.Ref
	db   *rival
}

// rival is a database in which another node claims each document at once, while it is told to.
type rival struct {
	store.Backend
	claims atomic.Bool
}

func (r *rival) Claim(ctx context.Context, kind, id string, epoch int64) (store.Doc, error) {
	doc, err := r.Backend.Claim(ctx, kind, id, epoch)
	if err == nil && r.claims.Load() {
		_, err = r.Backend.Claim(ctx, kind, id, 0)
	}
	return doc, err
}

func start(t *testing.T) *rig {
	t.Helper()
	file, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	db := &rival{Backend: file}
	r := &rig{T: t, sys: actor.New(actor.Config{Log: slog.New(slog.DiscardHandler)}), db: db}
	t.Cleanup(func() {
		if err := errors.Join(r.sys.Shutdown(context.Background()), db.Close()); err != nil {
			t.Error(err)
		}
	})
	migrations := map[string]store.Migration{bank.Kind: bank.Migrations()}
	for _, spec := range []actor.Spec{store.Spec(store.Config{Backend: db, Migrations: migrations}), bank.Spec()} {
		if r.bank, err = r.sys.Spawn(spec); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// add asks the bank, as a script does.
func (r *rig) add(account string, coins int) (int64, error) {
	r.Helper()
	v, err := r.sys.Ask(r.Context(), r.bank, lua.Command("add", account, coins))
	if err != nil {
		return 0, err
	}
	n, ok := v.(value.List).At(0).Int()
	if !ok {
		r.Fatalf("the bank answers %v", v)
	}
	return n, nil
}

func TestABankThatLosesAnAccountToAnotherNodeSaysSoAndGoesOn(t *testing.T) {
	r := start(t)
	r.db.claims.Store(true)
	if _, err := r.add("ann", 5); !errors.Is(err, store.ErrFenced) {
		t.Errorf("got %v", err)
	}
	r.db.claims.Store(false)
	if got, err := r.add("ann", 7); err != nil || got != 7 {
		t.Errorf("got %d, %v", got, err)
	}
}

func TestABankKeepsAccounts(t *testing.T) {
	r := start(t)
	for _, c := range []struct{ coins, want int64 }{{5, 5}, {7, 12}, {-12, 0}} {
		if got, err := r.add("ann", int(c.coins)); err != nil || got != c.want {
			t.Errorf("%d coins: got %d, %v, want %d", c.coins, got, err, c.want)
		}
	}
	if _, err := r.add("ann", -1); !errors.Is(err, bank.ErrPoor) {
		t.Errorf("got %v", err)
	}
	if doc, err := r.db.Load(t.Context(), bank.Kind, "ann"); err != nil || doc.Version != 3 {
		t.Errorf("got %+v, %v", doc, err)
	}
	if _, err := r.sys.Ask(t.Context(), r.bank, lua.Command("rob", "ann")); err == nil {
		t.Error("a robbery is answered")
	}
}

func TestAnAccountOfTheFirstSchemaIsLedToTheSecond(t *testing.T) {
	r := start(t)
	raw, err := bson.Marshal(bson.D{{Key: "gold", Value: int64(3)}, {Key: "colour", Value: "red"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.db.Import(t.Context(), []store.Doc{{Kind: bank.Kind, ID: "old", Version: 1, Body: raw}}); err != nil {
		t.Fatal(err)
	}
	if got, err := r.add("old", 1); err != nil || got != 301 {
		t.Errorf("got %d, %v", got, err)
	}
	doc, err := r.db.Load(t.Context(), bank.Kind, "old")
	if n, _ := doc.Body.Lookup("coins").AsInt64OK(); err != nil || n != 301 || doc.Body.Lookup("colour").StringValue() != "red" {
		t.Errorf("the database has %v, %v", doc.Body, err)
	}
}
