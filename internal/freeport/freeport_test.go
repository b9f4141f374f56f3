package freeport_test

import (
	"net"
	"testing"

	"github.com/skua-go/skua/internal/freeport"
)

func TestEachAddressIsGivenOnceUntilItsTestEnds(t *testing.T) {
	given := map[string]bool{}
	t.Run("holds", func(t *testing.T) {
		for range 10 {
			for _, addr := range freeport.TCP(t, 20) {
				if given[addr] {
					t.Fatalf("%s is given twice", addr)
				}
				given[addr] = true
				if c, err := net.ListenPacket("udp", addr); err == nil {
					c.Close()
					t.Errorf("%s is not claimed", addr)
				}
				ln, err := net.Listen("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { ln.Close() })
			}
		}
	})
	for addr := range given {
		c, err := net.ListenPacket("udp", addr)
		if err != nil {
			t.Errorf("%s is still claimed: %v", addr, err)
			continue
		}
		c.Close()
	}
}

func TestAnAddressThatSomebodyListensOnIsNotGiven(t *testing.T) {
	for range 200 {
		addr := freeport.TCP(t, 1)[0]
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
	}
}
