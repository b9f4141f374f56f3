package gate_test

import (
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/gate"
	"github.com/skua-go/skua/services/login"
)

func TestASecondLoginReplacesTheFirstWithAGoHandlerToo(t *testing.T) {
	n := startSmall(t, gate.Config{Login: gate.LoginGuest, Handle: counter})
	_, err := n.sys.Spawn(actor.Spec{Name: login.ServiceName, New: func() actor.Actor { return anybody{} }})
	must(t, err)
	first, second := n.peer(), n.peer()
	for _, p := range []*peer{first, second} {
		must(t, p.connect(never, never))
		p.ask("login", `{"name":"ann"}`)
		must(t, p.hear(1))
	}
	if err := first.hear(2); err == nil || first.kick != "replaced" {
		t.Errorf("the first is told %v", err)
	}
	_ = second.conn.Close()
}
