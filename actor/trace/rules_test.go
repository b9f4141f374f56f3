package trace_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/trace"
)

// visit is a message for a route.
type visit string

func (v visit) MessageRoute() string { return string(v) }

// visitor acts for a user.
type visitor string

func (v visitor) User() string                    { return string(v) }
func (v visitor) Receive(c *actor.Context, _ any) { c.Reply(c.Span() != nil, nil) }

func TestRulesHoldForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chooser := trace.NewChooser(0)
		r := start(t, trace.Config{Choose: chooser.Choose}, sdk.ParentBased(sdk.AlwaysSample()))
		of := map[string]actor.Ref{}
		for _, name := range []string{"ann", "bob", ""} {
			ref, err := r.sys.Spawn(actor.Spec{New: func() actor.Actor { return visitor(name) }})
			if err != nil {
				t.Fatal(err)
			}
			of[name] = ref
		}
		traced := func(who, route string, want bool) {
			t.Helper()
			if got, err := r.sys.Ask(t.Context(), of[who], visit(route)); err != nil || got != want {
				t.Errorf("%q for %q is traced: %v, %v", who, route, got, err)
			}
		}
		add := func(rule trace.Rule, within time.Duration) {
			t.Helper()
			rule.Until = time.Now().Add(within)
			if err := chooser.Add(rule); err != nil {
				t.Fatal(err)
			}
		}
		traced("ann", "buy", false)
		add(trace.Rule{User: "ann"}, time.Minute)
		add(trace.Rule{Route: "sell"}, 2*time.Minute)
		traced("ann", "buy", true)
		traced("bob", "buy", false)
		traced("", "buy", false)
		traced("bob", "sell", true)
		add(trace.Rule{User: "ann"}, 90*time.Second) // anew
		if n := len(chooser.Rules()); n != 2 {
			t.Errorf("%d rules", n)
		}
		time.Sleep(89 * time.Second) //nolint:forbidigo // fake time
		traced("ann", "buy", true)
		time.Sleep(time.Second) //nolint:forbidigo // fake time
		traced("ann", "buy", false)
		traced("ann", "sell", true)
		if n := len(chooser.Rules()); n != 1 {
			t.Errorf("%d rules", n)
		}
		add(trace.Rule{Share: 1}, time.Minute)
		traced("", "buy", true)
		if n := chooser.Clear(); n != 2 {
			t.Errorf("%d rules ended", n)
		}
		traced("ann", "sell", false)
		r.shutdown()
	})
}

func TestRulesAreBounded(t *testing.T) {
	chooser := trace.NewChooser(0)
	for i := range trace.MaxRules {
		if err := chooser.Add(trace.Rule{User: fmt.Sprint(i), Until: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := chooser.Add(trace.Rule{User: "one more", Until: time.Now().Add(time.Hour)}); !errors.Is(err, trace.ErrRules) {
		t.Error(err)
	}
	if err := chooser.Add(trace.Rule{User: "1", Until: time.Now().Add(time.Minute)}); err != nil {
		t.Errorf("one that holds can't be changed: %v", err)
	}
	for _, bad := range []trace.Rule{{}, {User: "a", Route: "b"}, {Share: 2}, {Share: -1}} {
		if err := chooser.Add(bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
