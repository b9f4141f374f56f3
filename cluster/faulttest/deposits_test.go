//go:build linux

package faulttest_test

import (
	"fmt"
	"strings"
	"time"
)

// account is what is known of the acknowledged messages of one sender.
type account struct {
	sent map[int64]line     // by number: when the sender knew what became of it
	got  map[int64][]string // addresses of those who got it
	last map[string]int64   // by who got them
}

func (o *oracle) account(who string) *account {
	a := o.deposits[who]
	if a == nil {
		a = &account{map[int64]line{}, map[int64][]string{}, map[string]int64{}}
		o.deposits[who] = a
	}
	return a
}

// deposited notes what senders and receivers of acknowledged messages tell.
func (o *oracle) deposited(life string, l line) {
	o.mu.Lock()
	a := o.account(l.Who)
	if l.Kind == saysSent {
		a.sent[l.N] = l
		o.mu.Unlock()
		return
	}
	before := a.last[life]
	a.last[life] = max(before, l.N)
	a.got[l.N] = append(a.got[l.N], l.Key)
	o.mu.Unlock()
	if l.N <= before {
		o.fault("acked: %s sent %d and %s got it after %d", l.Who, l.N, life, before)
	}
}

// checkDeposits holds what senders of acknowledged messages were told against what arrived, and forgets it. Nobody sends now.
func (o *oracle) checkDeposits() (receipts int) {
	// What is in a mailbox is told of soon.
	for deadline := time.Now().Add(20 * time.Second); o.undelivered(nil) > 0 && time.Now().Before(deadline); {
		<-time.After(10 * time.Millisecond)
	}
	o.undelivered(func(l line) {
		o.faults = append(o.faults, fmt.Sprintf("acked: %s sent %d to %s: its receipt came, and the message did not", l.Who, l.N, l.Key))
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	for who, a := range o.deposits {
		for n, to := range a.got {
			if len(to) > 1 {
				o.faults = append(o.faults, fmt.Sprintf("acked: %s sent %d, which has arrived more than once: at %s", who, n, strings.Join(to, ", ")))
			}
		}
		for _, l := range a.sent {
			if l.Text == "" {
				receipts++
			}
		}
	}
	clear(o.deposits)
	clear(o.gone)
	return receipts
}

// undelivered is how many messages have a receipt and did not arrive, on nodes that have lived all the time.
func (o *oracle) undelivered(each func(line)) (count int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	died := map[string]bool{}
	for life := range o.gone {
		name, _, _ := strings.Cut(life, "#")
		died[name] = true
	}
	for _, a := range o.deposits {
		for n, l := range a.sent {
			name, _, _ := strings.Cut(l.Key, ".")
			if l.Text == "" && len(a.got[n]) == 0 && !died[name] {
				if count++; each != nil {
					each(l)
				}
			}
		}
	}
	return count
}
