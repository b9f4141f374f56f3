package reach_test

import (
	"net/netip"
	"testing"

	"github.com/skua-go/skua/internal/reach"
)

func TestAnAddressIsAllowedInWhateverFormItComes(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fe80::/10")}
	for addr, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "11.0.0.1": false, "::ffff:11.0.0.1": false, "fe80::1%eth0": true, "fd00::1": false,
	} {
		if got := reach.Allowed(networks, netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: got %v", addr, got)
		}
		if !reach.Allowed(nil, netip.MustParseAddr(addr)) {
			t.Errorf("%s is not in all networks", addr)
		}
	}
}
