// Package leasetest tells tests whether what clients have seen of locks is what locks can show: each held by one at a time, under epochs that rise.
package leasetest

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// Kind is what a client has done with a lock.
type Kind string

// The kinds. One that is lost is given back at some moment between the last time that it was known to be held and the first that it was known not to be.
const (
	Take Kind = "take"
	Use  Kind = "use" // it has found that it holds the lock
	Give Kind = "give"
)

// Op is the input of an operation of the history: who did what. There is no output.
type Op struct {
	Kind  Kind
	Key   string
	Epoch uint64
	Who   string // for whoever reads a failure
}

// lock is its state: by which epoch it is held, 0 for none, and the last that there was.
type lock struct{ holder, last uint64 }

// Model is that of locks, each by itself, none of which is held at first. last is the newest epoch that each had before, nil where there was none; it is not changed, and must not be meanwhile.
func Model(last map[string]uint64) porcupine.Model {
	return porcupine.Model{
		Partition: ByKey(func(input any) string { return input.(Op).Key }), //nolint:forcetypeassert // the model's
		Init:      func() any { return nil },
		Step: func(state, input, _ any) (bool, any) {
			op := input.(Op) //nolint:forcetypeassert // the model's
			s, ok := state.(lock)
			if !ok {
				s = lock{last: last[op.Key]}
			}
			switch op.Kind {
			case Take:
				return s.holder == 0 && op.Epoch > s.last, lock{op.Epoch, op.Epoch}
			case Use:
				return s.holder == op.Epoch, s
			default:
				return s.holder == op.Epoch, lock{last: s.last}
			}
		},
		DescribeOperation: func(input, _ any) string {
			op := input.(Op) //nolint:forcetypeassert // the model's
			return fmt.Sprintf("%s %s by %d %s", op.Kind, op.Key, op.Epoch, op.Who)
		},
	}
}

// ByKey has the operations of each key checked by themselves, in the order of their first ones: what a Partition is to do when keys have nothing to do with each other.
func ByKey(key func(input any) string) func([]porcupine.Operation) [][]porcupine.Operation {
	return func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		at := map[string]int{}
		for _, op := range history {
			k := key(op.Input)
			i, known := at[k]
			if !known {
				i = len(parts)
				at[k] = i
				parts = append(parts, nil)
			}
			parts[i] = append(parts[i], op)
		}
		return parts
	}
}
