//go:build linux

package kcp

import "net/netip"

// Addressed is what becomes of an address in a message to the system and back.
func Addressed(to netip.AddrPort, v6 bool) netip.AddrPort {
	m := newMessages()
	m.address(3, to, v6)
	return m.sender(3)
}
