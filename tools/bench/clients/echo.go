package clients

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/skua-go/skua/net/packet"
)

// prepared is a request and its answer, made once: only the id changes from one exchange to the next, as only the number does in the bare echo's frames. So the two
// loops differ by their servers.
type prepared struct {
	request, answer     []byte
	requestID, answerID int // where the id is
}

// Ids from firstID to lastID have four bytes on the wire.
const (
	firstID = 1 << 21
	lastID  = 1<<28 - 1
)

// prepare makes the client's echo.
func (c *client) prepare() (err error) {
	e := &prepared{}
	c.id = firstID
	// An id that nothing else looks like tells where it is.
	const id = 0x5a5a5a5
	if e.request, err = packet.AppendData(nil, packet.Message{Type: packet.Request, ID: id, Route: "echo", Body: body}, nil); err != nil {
		return err
	}
	if e.answer, err = packet.AppendData(nil, packet.Message{Type: packet.Response, ID: id, Body: body}, nil); err != nil {
		return err
	}
	var mark [4]byte
	putID(mark[:], id)
	e.requestID, e.answerID = bytes.Index(e.request, mark[:]), bytes.Index(e.answer, mark[:])
	if e.requestID < 0 || e.answerID < 0 {
		return errors.New("clients: an id is not where it should be")
	}
	c.echo = e
	return nil
}

// putID writes an id as a varint of four bytes.
func putID(p []byte, id uint64) {
	p[0], p[1], p[2], p[3] = byte(id)|0x80, byte(id>>7)|0x80, byte(id>>14)|0x80, byte(id>>21)
}

func (e *prepared) exchange(c *client) error {
	if c.id++; c.id > lastID {
		return errors.New("clients: too many requests of one client")
	}
	putID(e.request[e.requestID:], c.id)
	putID(e.answer[e.answerID:], c.id)
	if _, err := c.conn.Write(e.request); err != nil {
		return err
	}
	n, err := c.conn.Read(c.in)
	if err != nil {
		return err
	}
	if bytes.Equal(c.in[:n], e.answer) {
		return nil
	}
	c.start, c.end = 0, n // in pieces, or something came besides
	got, err := c.await()
	if err == nil && !bytes.Equal(got, body) {
		err = fmt.Errorf("answer to request %d: %s", c.id, got)
	}
	return err
}
