package main

import (
	"fmt"
	"net"
	"testing"

	client "github.com/skua-go/skua/clients/go"
)

// What a flood of datagrams from made-up addresses leaves: sessions that never say who they are. Here they come from one address, which is no matter to a limit
// that is the whole node's.
func TestMadeUpKCPClientsLeavePlacesForProvenOnes(t *testing.T) {
	const places = 40
	d := openDoors(t, t.TempDir(), fmt.Sprintf(`
[gate]
agent = "echo"
handshake_timeout = "5m"
max_half_open = %d
max_half_open_per_network = %d
[login]
methods = ["none"]
[kcp]
raw = true
`, places, places))
	flood, err := net.Dial("udp", d.addr["kcp"])
	if err != nil {
		t.Fatal(err)
	}
	defer flood.Close()
	for i := range 3 * places {
		push := make([]byte, 25) // a segment of one byte, number 0
		push[0], push[1], push[4], push[6], push[20] = byte(i), 1, 81, 128, 1
		if _, err := flood.Write(push); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 { // the flood is before them in the sockets
		c, err := client.Dial(t.Context(), "kcp://"+d.addr["kcp"], client.Options{})
		if err != nil {
			t.Fatalf("a client whose address is proven does not get in: %v", err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
}
