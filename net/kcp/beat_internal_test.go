//go:build linux

package kcp

import (
	"net"
	"time"
)

// Resting is how many of a listener's readers rest.
func Resting(ln net.Listener) int {
	b := ln.(*listener).beat
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.resting)
}

// Ticker is a ticker.
type Ticker struct{ t *ticker }

// NewTicker returns one that is not set.
func NewTicker() (*Ticker, error) {
	t, err := newTicker()
	return &Ticker{t}, err
}

// Set, Wait and Close are ticker's.
func (t *Ticker) Set(every time.Duration) error { return t.t.set(every) }
func (t *Ticker) Wait() error                   { return t.t.wait() }
func (t *Ticker) Close() error                  { return t.t.close() }
