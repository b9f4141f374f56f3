//go:build linux

package faulttest_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// lockID is one holding of a lock.
type lockID struct {
	life, key string
	epoch     uint64
}

// lockOp is what a client does with a lock: it takes it, finds that it has it, and has it no more.
type lockOp struct {
	kind, who, key string
	epoch          uint64
	call, ret      int64
}

// locked notes what a client tells of a lock.
func (o *oracle) locked(life string, l line) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.locks = append(o.locks, lockOp{l.Kind, l.Who, l.Key, l.Epoch, l.Call, l.Ret})
	id := lockID{life, l.Key, l.Epoch}
	if l.Kind == saysUnlock {
		delete(o.open, id)
	} else {
		o.open[id] = l.Call
	}
}

// lockState is a lock: by which epoch it is held, 0 for none, and the last that there was.
type lockState struct{ holder, last uint64 }

// lockModel is a lock that one holds at a time, under epochs that rise.
func lockModel(last map[string]uint64) porcupine.Model {
	return porcupine.Model{
		Partition: byKey(func(op any) string { return op.(lockOp).key }),
		Init:      func() any { return nil },
		Step: func(state, input, _ any) (bool, any) {
			op := input.(lockOp)
			s, ok := state.(lockState)
			if !ok {
				s = lockState{0, last[op.key]}
			}
			switch op.kind {
			case saysLock:
				return s.holder == 0 && op.epoch > s.last, lockState{op.epoch, op.epoch}
			case saysUse:
				return s.holder == op.epoch, s
			default:
				return s.holder == op.epoch, lockState{0, s.last}
			}
		},
		DescribeOperation: func(input, _ any) string {
			op := input.(lockOp)
			return fmt.Sprintf("%s %s by %d, %s", op.kind, op.key, op.epoch, op.who)
		},
	}
}

// addModel is a number to which 1 is added.
func addModel(begin map[string]int64) porcupine.Model {
	return porcupine.Model{
		Partition: byKey(func(op any) string { return op.(line).Key }),
		Init:      func() any { return nil },
		Step: func(state, input, _ any) (bool, any) {
			op := input.(line)
			v, ok := state.(int64)
			if !ok {
				v = begin[op.Key]
			}
			return op.N == v+1, op.N
		},
		DescribeOperation: func(input, _ any) string {
			op := input.(line)
			return fmt.Sprintf("%s makes %s %d", op.Who, op.Key, op.N)
		},
	}
}

func byKey(key func(op any) string) func([]porcupine.Operation) [][]porcupine.Operation {
	return func(history []porcupine.Operation) (all [][]porcupine.Operation) {
		at := map[string]int{}
		for _, op := range history {
			k := key(op.Input)
			i, ok := at[k]
			if !ok {
				i = len(all)
				at[k] = i
				all = append(all, nil)
			}
			all[i] = append(all[i], op)
		}
		return all
	}
}

// linearizable holds a history against a model.
func (o *oracle) linearizable(what string, model porcupine.Model, history []porcupine.Operation) {
	result, info := porcupine.CheckOperationsVerbose(model, history, 2*time.Minute)
	if result == porcupine.Ok {
		return
	}
	path := filepath.Join(o.t.ArtifactDir(), strings.ReplaceAll(what, " ", "-")+".html")
	err := porcupine.VisualizePath(model, info, path)
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
		if _, known := clients[op.who]; !known {
			clients[op.who] = len(clients)
		}
		history = append(history, porcupine.Operation{ClientId: clients[op.who], Input: op, Call: op.call, Return: op.ret})
	}
	if exclusive {
		o.linearizable("locks", lockModel(last), history)
	}
	holders := map[lockID]string{}
	for _, op := range ops {
		if op.kind != saysLock {
			continue
		}
		taken++
		id := lockID{"", op.key, op.epoch}
		if before := holders[id]; before != "" {
			o.fault("%s has one epoch, %d, for %s and %s", op.key, op.epoch, before, op.who)
		}
		holders[id] = op.who
	}
	for _, op := range ops {
		last[op.key] = max(last[op.key], op.epoch)
	}
	return taken
}

// checkAdds holds the numbers of the register against those who have added to them, and forgets what they told. Nobody adds now. Whether an addition was made of which nobody heard the end is known from
// the register; when is not.
func (o *oracle) checkAdds(begin map[string]int64) (made int) {
	o.mu.Lock()
	var history []porcupine.Operation
	end := map[string]int64{}
	for key, x := range o.numbers {
		told := map[string]bool{}
		for _, l := range o.adds[key] {
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
