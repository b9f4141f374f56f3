package ferrettest

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// Door is the way to a Server for any number of connections. It lets one command through at a time, and the next one only when the first has been answered: that
// makes each command of FerretDB atomic, as MongoDB's updates of single documents are. A command counts as soon as the door has all of it, also if its client has
// been killed since. The door can be shut. Its methods may be called at any time.
type Door struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup
	turn     sync.Mutex // a command is at the server

	mu    sync.Mutex
	shut  bool
	conns map[net.Conn]bool
}

// Door makes a way to the server, which ends with the test. It also leads to the server's next lives.
func (s *Server) Door(tb testing.TB) *Door {
	tb.Helper()
	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("ferrettest: %v", err)
	}
	d := &Door{listener: listener, target: s.addr, conns: map[net.Conn]bool{}}
	d.wg.Go(d.accept)
	tb.Cleanup(func() {
		_ = listener.Close() // ends accept
		d.Shut()
		d.wg.Wait()
	})
	return d
}

// URI is for clients with as many connections as they like.
func (d *Door) URI() string { return "mongodb://" + d.listener.Addr().String() + "/" }

// Shut ends all connections, and those that come, until Open. A command that is at the server is done there.
func (d *Door) Shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = true
	for conn := range d.conns {
		_ = conn.Close() // ends its goroutine
	}
}

// Open lets connections in again after Shut.
func (d *Door) Open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = false
}

func (d *Door) accept() {
	for {
		client, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.wg.Go(func() {
			defer func() { _ = client.Close() }()
			server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", d.target)
			if err != nil {
				return // the client sees a server that is not there
			}
			defer func() { _ = server.Close() }()
			if !d.enter(client, server) {
				return
			}
			defer d.leave(client, server)
			for d.pass(client, server) == nil {
			}
		})
	}
}

func (d *Door) enter(conns ...net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, conn := range conns {
		d.conns[conn] = true
	}
	return !d.shut
}

func (d *Door) leave(conns ...net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, conn := range conns {
		delete(d.conns, conn)
	}
}

// pass leads one command to the server and its answer back.
func (d *Door) pass(client, server net.Conn) error {
	command, err := message(client)
	if err != nil {
		return err
	}
	answer, err := d.ask(server, command)
	if err != nil || answer == nil {
		return err
	}
	_, err = client.Write(answer) // a client that is stopped holds up nobody else
	return err
}

func (d *Door) ask(server net.Conn, command []byte) ([]byte, error) {
	d.turn.Lock()
	defer d.turn.Unlock()
	if _, err := server.Write(command); err != nil {
		return nil, err
	}
	if unanswered(command) {
		return nil, nil
	}
	return message(server)
}

// Of the wire protocol: https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
const (
	header     = 16 // length, request id, response to, opcode
	longest    = 48_000_000
	opMsg      = 2013
	moreToCome = 1 << 1 // of OP_MSG's flags: of a command, that it wants no answer
)

func unanswered(command []byte) bool {
	return len(command) >= header+4 && binary.LittleEndian.Uint32(command[12:]) == opMsg && binary.LittleEndian.Uint32(command[header:])&moreToCome != 0
}

// message reads one message, of either side.
func message(from io.Reader) ([]byte, error) {
	head := make([]byte, header)
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head)
	if size < header || size > longest {
		return nil, fmt.Errorf("a message of %d bytes, expected %d to %d", size, header, longest)
	}
	all := make([]byte, size)
	copy(all, head)
	_, err := io.ReadFull(from, all[header:])
	return all, err
}
