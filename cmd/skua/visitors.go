package main

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// visitors are the connections of an HTTP server that ask for pages, or have not asked for anything yet. They are bounded, since each takes a file descriptor that
// players need: one more makes the one give way that has been without a request for longest. A connection that has become a WebSocket is a gate's, which has limits
// of its own.
type visitors struct {
	limit int // 0: none

	mu    sync.Mutex
	known map[net.Conn]*list.Element // nil while it is asking
	idle  list.List                  // of net.Conn, the one that has waited longest first
}

func newVisitors(limit int) *visitors {
	return &visitors{limit: limit, known: map[net.Conn]*list.Element{}}
}

// changed is an http.Server's ConnState.
func (v *visitors) changed(nc net.Conn, to http.ConnState) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if place := v.known[nc]; place != nil {
		v.idle.Remove(place)
		v.known[nc] = nil
	}
	switch to {
	case http.StateNew, http.StateIdle:
		v.known[nc] = v.idle.PushBack(nc)
	case http.StateActive:
		v.known[nc] = nil
	case http.StateHijacked, http.StateClosed:
		delete(v.known, nc)
	}
	for v.limit > 0 && len(v.known) > v.limit && v.idle.Len() > 0 {
		oldest := v.idle.Front()
		gone := oldest.Value.(net.Conn) //nolint:forcetypeassert // what the list is of
		v.idle.Remove(oldest)
		delete(v.known, gone)
		go func() { _ = gone.Close() }() // one with TLS may take some seconds, if its client does not read; its server finds out, and says StateClosed
	}
}
