package luas

import (
	"context"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/lua"

	"github.com/skua-go/skua/tools/bench/measure"
	"github.com/skua-go/skua/tools/bench/nodes"
)

// CallAcross is ns for a call of a service to one of another node and back, with inFlight calls at a time.
func (s Suite) CallAcross(inFlight int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		types := wire.NewTypes()
		lua.WireTypes(types)
		return nodes.Two(ctx, types, func(a, b *actor.System) (float64, error) {
			here, err := s.on(a)
			if err != nil {
				return 0, err
			}
			there, err := s.on(b)
			if err != nil {
				return 0, err
			}
			echo, err := there.start(ctx, "echo")
			if err != nil {
				return 0, err
			}
			if _, err := nodes.See(ctx, a, echo, lua.Ready{}); err != nil {
				return 0, err
			}
			caller, err := here.start(ctx, "caller")
			if err != nil {
				return 0, err
			}
			if _, err := here.call(ctx, caller, "open", echo.Address()); err != nil {
				return 0, err
			}
			return measure.PerOp(ctx, func(ops int) error {
				_, err := here.call(ctx, caller, "call", ops, inFlight)
				return err
			})
		})
	}
}
