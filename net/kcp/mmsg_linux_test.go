package kcp_test

import (
	"net/netip"
	"testing"

	"github.com/skua-go/skua/net/kcp"
)

func TestAddressesArriveAsTheyWereSent(t *testing.T) {
	for _, c := range []struct {
		addr string
		v6   bool
	}{
		{"127.0.0.1:7000", false},
		{"255.1.2.3:65535", false},
		{"127.0.0.1:7000", true}, // through a socket of both families
		{"[2001:db8::1]:258", true},
		{"[fe80::1%3]:1", true},
	} {
		to := netip.MustParseAddrPort(c.addr)
		if got := kcp.Addressed(to, c.v6); got != to {
			t.Errorf("%v through IPv6 %v became %v", to, c.v6, got)
		}
	}
}
