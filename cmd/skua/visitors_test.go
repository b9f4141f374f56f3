package main

import (
	"net"
	"net/http"
	"testing"
	"time"
)

func TestVisitorsWhoAskNothingGiveWayAndThoseWhoDoDoNot(t *testing.T) {
	const limit = 4
	v := newVisitors(limit)
	come := func() (server, client net.Conn) {
		client, server = net.Pipe()
		t.Cleanup(func() { _, _ = client.Close(), server.Close() })
		v.changed(server, http.StateNew)
		return server, client
	}
	closed := func(client net.Conn) bool {
		_ = client.SetReadDeadline(time.Now().Add(time.Minute))
		_, err := client.Read(make([]byte, 1))
		ne, timeout := err.(net.Error) //nolint:errorlint // of net itself
		return err != nil && (!timeout || !ne.Timeout())
	}
	asking, _ := come()
	v.changed(asking, http.StateActive)
	socket, _ := come()
	v.changed(socket, http.StateHijacked)
	back, _ := come() // asks now and then
	var silent []net.Conn
	for range 5 * limit {
		_, client := come()
		silent = append(silent, client)
		v.changed(back, http.StateActive)
		v.changed(back, http.StateIdle)
	}
	if _, there := v.known[asking]; !there || v.known[back] == nil || len(v.known) != limit {
		t.Errorf("%d are known", len(v.known))
	}
	const stay = limit - 2
	for i, client := range silent[:len(silent)-stay] {
		if !closed(client) {
			t.Fatalf("connection %d, which never asked, is open still", i)
		}
	}
	for conn := range v.known {
		v.changed(conn, http.StateClosed)
	}
	if len(v.known) != 0 || v.idle.Len() != 0 {
		t.Errorf("%d are known and %d idle after the end", len(v.known), v.idle.Len())
	}
}
