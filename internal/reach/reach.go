// Package reach tells which addresses scripts may reach.
package reach

import "net/netip"

// Allowed tells whether an address is in one of the networks, of which none stand for all.
func Allowed(networks []netip.Prefix, addr netip.Addr) bool {
	if len(networks) == 0 {
		return true
	}
	addr = addr.Unmap().WithZone("")
	for _, p := range networks {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
