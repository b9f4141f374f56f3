package leasetest_test

import (
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/skua-go/skua/cluster/lease/leasetest"
)

// op is one that begins and ends then.
func op(client int, kind leasetest.Kind, epoch uint64, call, ret int64) porcupine.Operation {
	return porcupine.Operation{ClientId: client, Input: leasetest.Op{Kind: kind, Key: "x", Epoch: epoch}, Call: call, Return: ret}
}

func TestOnlyWhatLocksCanShowPasses(t *testing.T) {
	for _, h := range []struct {
		name  string
		right bool
		last  uint64
		ops   []porcupine.Operation
	}{
		{"one after the other", true, 0, []porcupine.Operation{
			op(1, leasetest.Take, 1, 0, 1), op(1, leasetest.Use, 1, 2, 3), op(1, leasetest.Give, 1, 4, 5),
			op(2, leasetest.Take, 2, 3, 6), op(2, leasetest.Use, 2, 7, 8),
		}},
		{"one that was lost unnoticed, and used no more", true, 0, []porcupine.Operation{
			op(1, leasetest.Take, 1, 0, 1), op(2, leasetest.Take, 2, 2, 3), op(2, leasetest.Use, 2, 4, 5), op(1, leasetest.Give, 1, 1, 9),
		}},
		{"two at once", false, 0, []porcupine.Operation{
			op(1, leasetest.Take, 1, 0, 1), op(2, leasetest.Take, 2, 2, 3), op(1, leasetest.Use, 1, 4, 5), op(1, leasetest.Give, 1, 5, 6),
		}},
		{"an epoch that does not rise", false, 0, []porcupine.Operation{
			op(1, leasetest.Take, 2, 0, 1), op(1, leasetest.Give, 2, 2, 3), op(2, leasetest.Take, 1, 4, 5),
		}},
		{"an epoch that was there before", false, 7, []porcupine.Operation{op(1, leasetest.Take, 7, 0, 1)}},
		{"a use of what nobody has", false, 0, []porcupine.Operation{op(1, leasetest.Use, 1, 0, 1)}},
	} {
		if got := porcupine.CheckOperations(leasetest.Model(map[string]uint64{"x": h.last}), h.ops); got != h.right {
			t.Errorf("%s: found right %v", h.name, got)
		}
	}
}
