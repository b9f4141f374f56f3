package login

import (
	"net/netip"
	"time"
)

// newcomers counts the accounts that were made from an address in the present hour.
type newcomers struct {
	limit int
	hour  time.Time
	made  map[netip.Addr]int
}

// maxNetworks bounds the memory of one hour; when it is full, addresses that are not in it make no accounts.
const maxNetworks = 100_000

// admit counts one more, unless that is one too many.
func (n *newcomers) admit(addr netip.Addr) bool {
	if now := time.Now(); n.made == nil || now.Sub(n.hour) >= time.Hour {
		n.hour, n.made = now, map[netip.Addr]int{}
	}
	made, known := n.made[addr]
	if made >= n.limit || !known && len(n.made) >= maxNetworks {
		return false
	}
	n.made[addr] = made + 1
	return true
}
