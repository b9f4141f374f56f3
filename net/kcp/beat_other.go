//go:build !linux

package kcp

// beat is for readers that rest. Here they don't: a socket that is read without waiting, while the runtime's poller hears nothing of it, takes system calls of its own for each system.
type beat struct{}

func newBeat(*listener) (*beat, error) { return new(beat), nil }

func (*beat) run() {}

func (*beat) close() error { return nil }

// rest returns at once, so the reader goes on.
func (*beat) rest(*receiver) error { return nil }

// lendTo does nothing: workers do what is lent a goroutine for.
func (*beat) lendTo(func(tell func()) (left bool)) {}
