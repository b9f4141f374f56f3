package lease

import "time"

// Since is when the lease was taken.
func (x *Lease) Since() time.Time { return x.since }

// Returned is closed when nothing is written for the lease any more.
func (x *Lease) Returned() <-chan struct{} { return x.back }
