package reload

import (
	"errors"
	"fmt"
	"sync"

	code "github.com/skua-go/skua/lua/reload"
	"github.com/skua-go/skua/lua/vm"
)

// updates are those that a change of versions needs, each made once: one for each engine, and one more for each other version that some VM still runs.
type updates struct {
	back bool // what brings a VM back from them is a downgrade
	text func(id string) (*code.Version, error)

	mu   sync.Mutex
	made map[updateKey]*code.Update
}

type updateKey struct {
	engine   vm.Engine
	from, to string
	down     bool
}

func newUpdates(back bool, text func(id string) (*code.Version, error)) *updates {
	return &updates{back: back, text: text, made: map[updateKey]*code.Update{}}
}

// get prepares an update to a version that is known to be good, or gives the one that is there.
func (u *updates) get(engine vm.Engine, from string, to *code.Version, down bool) (*code.Update, error) {
	return u.prepare(engine, from, to, code.Options{Down: down, Ran: true})
}

func (u *updates) prepare(engine vm.Engine, from string, to *code.Version, o code.Options) (*code.Update, error) {
	key := updateKey{engine, from, to.ID(), o.Down}
	u.mu.Lock()
	defer u.mu.Unlock()
	if update := u.made[key]; update != nil {
		return update, nil
	}
	version, err := u.text(from)
	if err != nil {
		return nil, err
	}
	update, err := code.Prepare(engine, version, to, o)
	if err != nil {
		return nil, err
	}
	u.made[key] = update
	return update, nil
}

// both prepares the way from one version to another and back, for all engines, and gives the plan. If it is no way down the version may be new, and all of it has to compile.
func (u *updates) both(engines []vm.Engine, from, to *code.Version, down bool) (code.Plan, error) {
	var plan code.Plan
	for i, engine := range engines {
		there, err := u.prepare(engine, from.ID(), to, code.Options{Down: down, Ran: down})
		if err != nil {
			return plan, err
		}
		if i == 0 {
			plan = there.Plan()
		}
		if _, err := u.get(engine, to.ID(), from, !down); err != nil {
			return plan, errors.Join(fmt.Errorf("reload: the way back to %s", from.ID()), err)
		}
	}
	return plan, nil
}

// leave lets the engines forget the code of all versions but one, which new services get.
func (u *updates) leave(stay string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for key, update := range u.made {
		if key.to == stay {
			update.Release()
		}
	}
	clear(u.made)
}
