// Package mongotest stands in for what a MongoDB and the network to it may do that a server for tests never does: answers of a server that has stepped down or
// is read-only, connections that are cut between a request and its answer, slow ones and silent ones.
package mongotest

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Answerer answers as a MongoDB would. It speaks OP_MSG, and OP_QUERY for the first hello
// (https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/).
type Answerer struct {
	listener net.Listener
	answer   func(command string, doc bson.Raw) bson.D
	wg       sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
}

// Answer starts one, which ends with the test. answer gives the reply to a command, nil for that of a standalone server to which all is well; it is called by
// many goroutines, and may block: then so does that connection.
func Answer(tb testing.TB, answer func(command string, doc bson.Raw) bson.D) *Answerer {
	tb.Helper()
	return AnswerTLS(tb, nil, answer)
}

// AnswerTLS is Answer over TLS.
func AnswerTLS(tb testing.TB, secret *tls.Config, answer func(command string, doc bson.Raw) bson.D) *Answerer {
	tb.Helper()
	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	if secret != nil {
		listener = tls.NewListener(listener, secret)
	}
	a := &Answerer{listener: listener, answer: answer}
	a.wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			a.mu.Lock()
			a.conns = append(a.conns, conn)
			a.mu.Unlock()
			a.wg.Go(func() { a.serve(conn) })
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close() // ends the loop above
		a.mu.Lock()
		for _, conn := range a.conns {
			_ = conn.Close() // ends its goroutine
		}
		a.mu.Unlock()
		a.wg.Wait()
	})
	return a
}

// AnswerWith is Answer with replies by the name of the command.
func AnswerWith(tb testing.TB, answers map[string]bson.D) *Answerer {
	tb.Helper()
	return Answer(tb, func(command string, _ bson.Raw) bson.D { return answers[command] })
}

// Addr is where it listens.
func (a *Answerer) Addr() string { return a.listener.Addr().String() }

func (a *Answerer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	const opReply, opQuery, opMsg = 1, 2004, 2013
	for {
		head := make([]byte, 16) // length, request id, response to, opcode
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		rest := make([]byte, binary.LittleEndian.Uint32(head)-16)
		if _, err := io.ReadFull(conn, rest); err != nil {
			return
		}
		opcode, frame := uint32(opMsg), make([]byte, 5) // flags, a section of kind 0
		var doc bson.Raw
		if binary.LittleEndian.Uint32(head[12:]) == opQuery {
			name := bytes.IndexByte(rest[4:], 0)
			doc = first(rest[4+name+1+8:])
			opcode, frame = opReply, make([]byte, 20) // flags, cursor, from, number of documents
			frame[16] = 1
		} else {
			doc = message(rest[4:])
		}
		body, err := bson.Marshal(a.reply(doc))
		if err != nil {
			return
		}
		out := binary.LittleEndian.AppendUint32(nil, uint32(16+len(frame)+len(body)))
		out = append(out, 0, 0, 0, 0)
		out = append(out, head[4:8]...)
		out = binary.LittleEndian.AppendUint32(out, opcode)
		if _, err := conn.Write(append(append(out, frame...), body...)); err != nil {
			return
		}
	}
}

// message puts the sections of an OP_MSG together: the command, and lists of documents that are to be fields of it. nil if they are broken.
func message(sections []byte) bson.Raw {
	var command bson.Raw
	lists := bson.D{}
	for len(sections) > 5 {
		size := int(binary.LittleEndian.Uint32(sections[1:]))
		if sections[0] == 0 {
			command = first(sections[1:])
			sections = sections[1+len(command):]
			continue
		}
		name, docs, _ := bytes.Cut(sections[5:1+size], []byte{0})
		list := bson.A{}
		for len(docs) > 4 {
			doc := first(docs)
			list, docs = append(list, doc), docs[len(doc):]
		}
		lists = append(lists, bson.E{Key: string(name), Value: list})
		sections = sections[1+size:]
	}
	extra, err := bson.Marshal(lists)
	if err != nil || len(command) < 5 {
		return nil
	}
	whole := append(append(bson.Raw(nil), command[:len(command)-1]...), extra[4:]...)
	binary.LittleEndian.PutUint32(whole, uint32(len(whole)))
	return whole
}

// first is the document that the bytes begin with.
func first(b []byte) bson.Raw {
	if len(b) < 5 {
		return nil
	}
	return bson.Raw(b[:min(int(binary.LittleEndian.Uint32(b)), len(b))])
}

func (a *Answerer) reply(doc bson.Raw) bson.D {
	if element, err := doc.IndexErr(0); err == nil {
		if reply := a.answer(element.Key(), doc); reply != nil {
			return reply
		}
	}
	return Hello()
}

// Hello is the reply of a standalone server to hello, and to whatever needs no more than ok.
func Hello() bson.D {
	return bson.D{
		{Key: "ok", Value: 1},
		{Key: "isWritablePrimary", Value: true},
		{Key: "helloOk", Value: true},
		{Key: "maxBsonObjectSize", Value: 16 << 20},
		{Key: "maxMessageSizeBytes", Value: 48_000_000},
		{Key: "maxWriteBatchSize", Value: 100_000},
		{Key: "minWireVersion", Value: 0},
		{Key: "maxWireVersion", Value: 21},
	}
}

// Failure is the reply to a command that fails.
func Failure(code int, text string) bson.D {
	return bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: code}, {Key: "errmsg", Value: text}}
}
