package reload

import (
	"fmt"

	"github.com/skua-go/skua/lua/vm"
)

// hooks calls on_upgrade or on_downgrade of the libraries that have changed, with nil, and then of the service's script, with each of its states.
func (a *application) hooks() error {
	name := "on_upgrade"
	if a.down {
		name = "on_downgrade"
	}
	if a.t.Enter != nil {
		a.t.Enter(-1)
	}
	for _, m := range a.modules {
		if m.f.file == a.t.Main || !m.pushValue() {
			continue
		}
		if err := a.hook(m.f.file, name, 0); err != nil {
			return err
		}
	}
	for i, state := range a.t.States {
		if a.t.Enter != nil {
			a.t.Enter(i)
		}
		if a.t.Module != 0 {
			a.s.Push(a.t.Module)
		} else {
			a.s.Global("_G")
		}
		if err := a.hook(a.t.Main, name, state); err != nil {
			return err
		}
	}
	return nil
}

// hook calls the function of that name in the table on the stack, which it pops, if there is one.
func (a *application) hook(file, name string, state int) error {
	s := a.s
	at := s.Top()
	defer s.SetTop(at - 1)
	if s.Type(at) != vm.Table {
		return nil
	}
	s.PushString(name)
	s.RawGet(at)
	if s.Type(-1) != vm.Function {
		return nil
	}
	if state == 0 {
		s.PushNil()
	} else {
		s.Push(state)
	}
	s.PushString(a.from.ID())
	if err := a.t.Call(2, 0); err != nil {
		return fmt.Errorf("reload: %s of %s: %w", name, file, err)
	}
	return nil
}
