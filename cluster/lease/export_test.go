package lease

import "time"

// Since is when the lease was taken.
func (x *Lease) Since() time.Time { return x.since }

// Returned is closed when nothing is written for the lease any more.
func (x *Lease) Returned() <-chan struct{} { return x.back }

// Unkept is a lease that is taken now and that nothing looks after, as if its goroutines had no time, with what notes round trips to NATS.
func Unkept(cfg Config) (x *Lease, beaten func(begun time.Time), err error) {
	err = cfg.check()
	l := &Leases{cfg: cfg}
	l.life = newLife(&l.cfg, nil)
	return &Lease{l: l, since: time.Now(), done: make(chan struct{})}, l.life.beaten, err
}
