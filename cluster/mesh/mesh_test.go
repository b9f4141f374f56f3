package mesh_test

import (
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/cluster/clustertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echoes answers what it is asked; it panics at "panic", fails at "fail" and is silent at "silence".
func echoes() actor.Spec {
	return actor.Spec{Name: "echo", New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, msg any) {
			switch msg {
			case "panic":
				panic("as asked")
			case "fail":
				c.Reply(nil, errors.New("no such item"))
			case "silence":
			default:
				c.Reply(msg, nil)
			}
		})
	}}
}

func TestARemoteActorAnswers(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{})
	a, b := c.Nodes[0], c.Nodes[1]
	ref := a.See(b.Spawn(echoes()))
	for _, msg := range []any{nil, true, 1, int64(-1), uint64(1) << 63, 2.5, "text", strings.Repeat("long", 1000), ref, struct{}{}} {
		if v, err := a.System.Ask(t.Context(), ref, msg); v != msg || err != nil {
			t.Errorf("%v came back as %v, %v", msg, v, err)
		}
	}
	list := value.Of(1, "x", []any{1, map[string]any{"k": 2.5}})
	v, err := a.System.Ask(t.Context(), ref, list)
	if got, ok := v.(value.List); !ok || err != nil || got.At(2).String() != list.At(2).String() {
		t.Errorf("%v, %v", v, err)
	}
}

func TestFailuresAreToldApart(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{})
	a, b := c.Nodes[0], c.Nodes[1]
	ref := a.See(b.Spawn(echoes()))
	_, err := a.System.Ask(t.Context(), ref, "panic")
	var failed *actor.Error
	if !errors.As(err, &failed) || failed.Code != actor.Failed || failed.Text != "as asked" || !strings.Contains(failed.Stack, "mesh_test.go") {
		t.Errorf("a panic is %#v", err)
	}
	if _, err := a.System.Ask(t.Context(), ref, "fail"); !errors.Is(err, actor.ErrRefused) || !strings.Contains(err.Error(), "no such item") {
		t.Error(err)
	}
	if _, err := a.System.Ask(t.Context(), ref.Home().Ref(12345), 1); !errors.Is(err, actor.ErrNoActor) {
		t.Error(err)
	}
	if _, err := a.System.Ask(t.Context(), ref, make(chan int)); !errors.Is(err, actor.ErrRefused) || !strings.Contains(err.Error(), "chan int") {
		t.Error(err)
	}
}
