//go:build linux

package faulttest_test

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/skua-go/skua/cluster/lease/leasetest"
)

// lockID is one holding of a lock.
type lockID struct {
	life, key string
	epoch     uint64
}

// lockOp is what a client does with a lock: it takes it, finds that it has it, and has it no more.
type lockOp struct {
	leasetest.Op

	call, ret int64
}

// lockKinds is what the lines say.
var lockKinds = map[string]leasetest.Kind{saysLock: leasetest.Take, saysUse: leasetest.Use, saysUnlock: leasetest.Give}

// locked notes what a client tells of a lock.
func (o *oracle) locked(life string, l line) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.locks = append(o.locks, lockOp{leasetest.Op{Kind: lockKinds[l.Kind], Key: l.Key, Epoch: l.Epoch, Who: l.Who}, l.Call, l.Ret})
	id := lockID{life, l.Key, l.Epoch}
	if l.Kind == saysUnlock {
		delete(o.open, id)
	} else {
		o.open[id] = l.Call
	}
}

// addModel is a number to which 1 is added, and that is read.
func addModel(begin map[string]int64) porcupine.Model {
	return porcupine.Model{
		Partition: leasetest.ByKey(func(op any) string { return op.(line).Key }),
		Init:      func() any { return nil },
		Step: func(state, input, _ any) (bool, any) {
			op := input.(line)
			v, ok := state.(int64)
			if !ok {
				v = begin[op.Key]
			}
			if op.Kind == saysRead {
				return op.N == v, v
			}
			return op.N == v+1, op.N
		},
		DescribeOperation: func(input, _ any) string {
			op := input.(line)
			return fmt.Sprintf("%s %s %s %d", op.Who, op.Kind, op.Key, op.N)
		},
	}
}

// tell logs the newest of the histories that are not right, since nobody may have asked for artifacts to be kept.
func (o *oracle) tell(model porcupine.Model, history []porcupine.Operation) {
	for _, part := range model.Partition(history) {
		if porcupine.CheckOperationsTimeout(model, part, time.Minute) == porcupine.Ok {
			continue
		}
		slices.SortFunc(part, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
		part = lastUses(part)
		for _, op := range part[max(0, len(part)-maxTold):] {
			o.t.Logf("from %v to %v: %s", time.Duration(op.Call), time.Duration(op.Return), model.DescribeOperation(op.Input, op.Output))
		}
	}
}

// maxTold is how many operations are told of: all takings of a lock in an episode, and more.
const maxTold = 1000

// lastUses leaves of the uses of a lock the last one under each epoch, which with its taking says from when to when it was held.
func lastUses(part []porcupine.Operation) (left []porcupine.Operation) {
	seen := map[uint64]bool{}
	for _, op := range slices.Backward(part) {
		if lock, ok := op.Input.(leasetest.Op); ok && lock.Kind == leasetest.Use {
			if seen[lock.Epoch] {
				continue
			}
			seen[lock.Epoch] = true
		}
		left = append(left, op)
	}
	slices.Reverse(left)
	return left
}

// linearizable holds a history against a model.
func (o *oracle) linearizable(what string, model porcupine.Model, history []porcupine.Operation) {
	result, info := porcupine.CheckOperationsVerbose(model, history, 2*time.Minute)
	if result == porcupine.Ok {
		return
	}
	path := filepath.Join(o.t.ArtifactDir(), strings.ReplaceAll(what, " ", "-")+".html")
	err := porcupine.VisualizePath(model, info, path)
	o.tell(model, history)
	o.fault("%s are not linearizable (%s), see %s (%v)", what, result, path, err)
}

// checkLocks holds what clients told of locks against a lock, and forgets it. Nobody holds one now.
func (o *oracle) checkLocks(last map[string]uint64, exclusive bool) (taken int) {
	o.mu.Lock()
	ops := o.locks
	o.locks = nil
	held := len(o.open)
	o.mu.Unlock()
	if held > 0 {
		o.fault("%d locks are held by nobody who lives", held)
	}
	clients := map[string]int{}
	var history []porcupine.Operation
	for _, op := range ops {
		if _, known := clients[op.Who]; !known {
			clients[op.Who] = len(clients)
		}
		history = append(history, porcupine.Operation{ClientId: clients[op.Who], Input: op.Op, Call: op.call, Return: op.ret})
	}
	if exclusive {
		o.linearizable("locks", leasetest.Model(last), history)
	}
	holders := map[lockID]string{}
	for _, op := range ops {
		if op.Kind != leasetest.Take {
			continue
		}
		taken++
		id := lockID{"", op.Key, op.Epoch}
		if before := holders[id]; before != "" {
			o.fault("%s has one epoch, %d, for %s and %s", op.Key, op.Epoch, before, op.Who)
		}
		holders[id] = op.Who
	}
	for _, op := range ops {
		last[op.Key] = max(last[op.Key], op.Epoch)
	}
	return taken
}

// checkAdds holds the numbers of the register against those who have added to them, and have read them if that is asked, and forgets what they told. Nobody adds now. Whether an addition was made of which nobody
// heard the end is known from the register; when is not.
func (o *oracle) checkAdds(begin map[string]int64, reads bool) (made int) {
	o.mu.Lock()
	var history []porcupine.Operation
	end := map[string]int64{}
	for key, x := range o.numbers {
		told := map[string]bool{}
		for _, l := range o.adds[key] {
			if l.Kind == saysRead {
				if reads {
					history = append(history, porcupine.Operation{ClientId: len(history), Input: l, Call: l.Call, Return: l.Ret})
				}
				continue
			}
			told[l.Who] = true
			v, written := x.written[l.Who]
			switch {
			case l.Text == "" && (!written || v != l.N):
				o.faults = append(o.faults, fmt.Sprintf("%s was told that %s is %d, and it was written %v, %d", l.Who, key, l.N, written, v))
			case l.Text != "" && written:
				l.N, l.Ret = v, math.MaxInt64
				fallthrough
			case l.Text == "":
				history = append(history, porcupine.Operation{ClientId: len(history), Input: l, Call: l.Call, Return: l.Ret})
			}
		}
		for id, v := range x.written {
			if !told[id] { // who did it was killed
				history = append(history, porcupine.Operation{ClientId: len(history), Input: line{Who: id, Key: key, N: v}, Return: math.MaxInt64})
			}
		}
		end[key] = x.value
		clear(x.written)
	}
	clear(o.adds)
	o.mu.Unlock()
	o.linearizable("numbers", addModel(begin), history)
	for key, v := range end {
		begin[key] = v
	}
	return len(history)
}
