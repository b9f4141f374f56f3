package actor

import (
	"context"
	"sync"
)

// pool runs blocking work off the actors: at most limit pieces at a time, and a bounded queue of others, first in first out.
type pool struct {
	limit, queueLimit int

	mu      sync.Mutex
	queue   []func()
	head    int
	running int
	idle    chan struct{} // closed when nothing runs, if somebody waits for that
}

// submit runs work soon, or tells false when the queue is full.
func (p *pool) submit(work func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running < p.limit {
		p.running++
		go p.work(work)
		return true
	}
	if len(p.queue)-p.head >= p.queueLimit {
		return false
	}
	if p.head > 64 && p.head > len(p.queue)/2 {
		p.queue = append([]func(){}, p.queue[p.head:]...)
		p.head = 0
	}
	p.queue = append(p.queue, work)
	return true
}

func (p *pool) work(work func()) {
	defer func() {
		if work != nil { // it called runtime.Goexit
			go p.work(p.take())
		}
	}()
	for work != nil {
		work()
		work = p.take()
	}
}

// working is how much of it has not ended.
func (p *pool) working() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.running + len(p.queue) - p.head)
}

func (p *pool) take() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.head == len(p.queue) {
		p.queue, p.head = nil, 0
		p.running--
		if p.running == 0 && p.idle != nil {
			close(p.idle)
			p.idle = nil
		}
		return nil
	}
	w := p.queue[p.head]
	p.queue[p.head] = nil
	p.head++
	return w
}

// wait returns when all work is done, or with ctx's error.
func (p *pool) wait(ctx context.Context) error {
	p.mu.Lock()
	if p.running == 0 {
		p.mu.Unlock()
		return nil
	}
	if p.idle == nil {
		p.idle = make(chan struct{})
	}
	idle := p.idle
	p.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
