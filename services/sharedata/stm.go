package sharedata

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/skua-go/skua/lua/vm"
)

// Objects of skynet.stm: one service writes a message, others read the newest one when they like.

// stmObject is what a writer and its readers share. Nothing else holds it, but for copies that are on their way.
type stmObject struct {
	id  int64
	now atomic.Pointer[stmMessage]
}

// stmMessage is what skynet.pack has made, or a string. It is not changed.
type stmMessage struct {
	packed any // a userdata
	size   int64
	text   string
}

type stmReader struct {
	of   *stmObject
	last *stmMessage
}

// copies are handles that stm.copy has given and stm.newcopy has not taken: numbers, which any message can carry.
type copies struct {
	limit int

	mu    sync.Mutex
	last  int64
	byID  map[int64]*heldCopy
	count int
}

type heldCopy struct {
	of *stmObject
	n  int
}

func (cs *copies) add(o *stmObject) (int64, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.count >= cs.limit {
		return 0, fmt.Errorf("stm.copy: %d copies wait for their stm.newcopy, and no more are allowed", cs.count)
	}
	if o.id == 0 {
		cs.last++
		o.id = cs.last
	}
	if cs.byID == nil {
		cs.byID = map[int64]*heldCopy{}
	}
	held := cs.byID[o.id]
	if held == nil {
		held = &heldCopy{of: o}
		cs.byID[o.id] = held
	}
	held.n++
	cs.count++
	return o.id, nil
}

func (cs *copies) take(id int64) *stmObject {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	held := cs.byID[id]
	if held == nil {
		return nil
	}
	cs.count--
	if held.n--; held.n == 0 {
		delete(cs.byID, id)
	}
	return held.of
}

// stmFuncs are what scripts/skynet/stm.lua makes the module of.
func (srv *Service) stmFuncs() map[string]vm.Func {
	return map[string]vm.Func{"stm_new": stmNew, "stm_update": stmUpdate, "stm_copy": srv.stmCopy, "stm_reader": srv.stmNewReader, "stm_read": stmRead}
}

// stmAt is the message at index i: a string, or what skynet.pack returns.
func stmAt(s vm.State, i int, what string) *stmMessage {
	if text, ok := s.String(i); ok {
		return &stmMessage{text: text, size: int64(len(text))}
	}
	packed := s.Userdata(i)
	if packed == nil {
		s.Errorf("%s: a string, or what skynet.pack returns, is expected, got %s", what, s.Type(i))
	}
	size, _ := s.Int(i + 1)
	return &stmMessage{packed: packed, size: size}
}

func stmNew(s vm.State) int {
	o := &stmObject{}
	o.now.Store(stmAt(s, 1, "stm.new"))
	s.PushUserdata(o)
	return 1
}

func writerAt(s vm.State, what string) *stmObject {
	o, ok := s.Userdata(1).(*stmObject)
	if !ok {
		s.Errorf("%s: what stm.new returns is expected, got %s", what, s.Type(1))
	}
	return o
}

func stmUpdate(s vm.State) int {
	o := writerAt(s, "stm")
	o.now.Store(stmAt(s, 2, "stm: update"))
	return 0
}

func (srv *Service) stmCopy(s vm.State) int {
	id, err := srv.copies.add(writerAt(s, "stm.copy"))
	if err != nil {
		s.Errorf("%s", err.Error())
	}
	s.PushInt(id)
	return 1
}

func (srv *Service) stmNewReader(s vm.State) int {
	id, ok := s.Int(1)
	if !ok {
		s.Errorf("stm.newcopy: what stm.copy returns is expected, got %s", s.Type(1))
	}
	o := srv.copies.take(id)
	if o == nil {
		s.Errorf("stm.newcopy: there is no copy %d; each stm.copy is good for one stm.newcopy", id)
	}
	s.PushUserdata(&stmReader{of: o})
	return 1
}

// stmRead pushes true and the message, or false if it is the one that was read last.
func stmRead(s vm.State) int {
	r, ok := s.Userdata(1).(*stmReader)
	if !ok {
		s.Errorf("stm: what stm.newcopy returns is expected, got %s", s.Type(1))
	}
	m := r.of.now.Load()
	if m == r.last {
		s.PushBool(false)
		return 1
	}
	r.last = m
	s.PushBool(true)
	if m.packed != nil {
		s.PushUserdata(m.packed)
	} else {
		s.PushString(m.text)
	}
	s.PushInt(m.size)
	return 3
}
