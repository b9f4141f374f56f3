package room

import (
	"sync"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/media"
)

// admission is a request to come in, on its way through the service and the room to the rules and back. The one who asks may give up meanwhile.
type admission struct {
	entry   Entry
	action  Action
	who     string
	ended   func(error)
	options media.ViewerConfig
	guest   *guest // who comes by WebRTC
	id      uint64 // in the room, once that has given one

	unsure actor.Ref // a home that has perhaps let it in, and has not been told that it is not here

	// Of somebody on another node.
	post  *post
	local uint64
	back  bool // it was in before, also here: its room has another home now

	mu        sync.Mutex
	given     error              // why it is no longer asked
	told      func(reason error) // how the room hears that a guest who is in has left
	publisher *media.Publisher
	viewer    *media.Viewer
}

// abandon says that nobody waits any more: what was granted, or will be, is closed.
func (a *admission) abandon(reason error) {
	a.mu.Lock()
	a.given = reason
	p, v, told := a.publisher, a.viewer, a.told
	a.mu.Unlock()
	if told != nil {
		told(reason)
	}
	if p != nil {
		p.Close()
	}
	if v != nil {
		v.Close(reason)
	}
}

// grant gives what was asked for; false when nobody waits for it.
func (a *admission) grant(p *media.Publisher, v *media.Viewer, told func(reason error)) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.given != nil {
		return false
	}
	a.publisher, a.viewer, a.told = p, v, told
	return true
}
