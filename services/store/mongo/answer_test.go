package mongo_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/mongo"
)

// answerer answers as a MongoDB would in a state that FerretDB never gets into: stepped down, read-only, out of time. It
// speaks OP_MSG, and OP_QUERY for the first hello
// (https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/).
type answerer struct {
	listener net.Listener
	answers  map[string]bson.D // by the name of the command
	wg       sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
}

func answer(tb testing.TB, answers map[string]bson.D) *answerer {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	a := &answerer{listener: listener, answers: answers}
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

func (a *answerer) serve(conn net.Conn) {
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
		doc := rest[5:]
		if binary.LittleEndian.Uint32(head[12:]) == opQuery {
			name := bytes.IndexByte(rest[4:], 0)
			doc = rest[4+name+1+8:]
			opcode, frame = opReply, make([]byte, 20) // flags, cursor, from, number of documents
			frame[16] = 1
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

func (a *answerer) reply(doc bson.Raw) bson.D {
	command := ""
	if size := binary.LittleEndian.Uint32(doc); int(size) <= len(doc) {
		if element, err := doc[:size].IndexErr(0); err == nil {
			command = element.Key()
		}
	}
	if reply, ok := a.answers[command]; ok {
		return reply
	}
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

func failure(code int, text string) bson.D {
	return bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: code}, {Key: "errmsg", Value: text}}
}

func TestAnswersOfMongoDBGetTheirClass(t *testing.T) {
	writeError := func(code int) bson.D {
		return bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 0}, {Key: "nModified", Value: 0}, {Key: "writeErrors", Value: bson.A{
			bson.D{{Key: "index", Value: 0}, {Key: "code", Value: code}, {Key: "errmsg", Value: "because"}},
		}}}
	}
	other := errors.New("an error of no class")
	for _, c := range []struct {
		name   string
		update bson.D
		want   error
	}{
		{"not the primary", failure(10107, "not primary"), store.ErrUnavailable},
		{"shutting down", failure(91, "shutdown in progress"), store.ErrUnavailable},
		{"out of time", failure(50, "operation exceeded time limit"), store.ErrUnavailable},
		{"no right to write", failure(13, "not authorized"), other},
		{"unknown command", failure(59, "no such command"), other},
		{"no majority in time", bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 1}, {Key: "nModified", Value: 1}, {Key: "writeConcernError", Value: bson.D{
			{Key: "code", Value: 64}, {Key: "errmsg", Value: "waiting for replication timed out"},
		}}}, store.ErrUnavailable},
		{"validation", writeError(121), store.ErrInvalid},
		{"too large", writeError(10334), store.ErrTooLarge},
		{"full disk", writeError(14031), store.ErrUnavailable},
		{"write conflict", writeError(112), store.ErrUnavailable},
		{"internal", writeError(8), other},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := answer(t, map[string]bson.D{"update": c.update})
			db := open(t, mongo.Options{URI: "mongodb://" + a.listener.Addr().String() + "/?maxPoolSize=1", Timeout: 5 * time.Second})
			errs, err := db.Apply(context.Background(), []store.Write{write(t, "x", 1, 1)})
			if err == nil {
				err = errs[0]
			}
			known := errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrInvalid) || errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrConflict)
			if err == nil || errors.Is(c.want, other) && known || !errors.Is(c.want, other) && !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if store.Retryable(err) != errors.Is(c.want, store.ErrUnavailable) || !strings.HasPrefix(err.Error(), "store: ") {
				t.Fatalf("got %v, retryable %v", err, store.Retryable(err))
			}
		})
	}
}

func TestWrongPasswordIsFinalAndNotShown(t *testing.T) {
	// The server's text repeats the password, as no server should.
	a := answer(t, map[string]bson.D{"saslStart": failure(18, "Authentication failed for hunter2.")})
	db := open(t, mongo.Options{URI: "mongodb://me:hunter2@" + a.listener.Addr().String() + "/?authMechanism=PLAIN&authSource=$external&maxPoolSize=1", Timeout: 5 * time.Second})
	for what, err := range map[string]error{
		"ping": db.Ping(context.Background()),
		"load": func() error { _, err := db.Load(context.Background(), "player", "x"); return err }(),
	} {
		if err == nil || store.Retryable(err) || strings.Contains(err.Error(), "hunter2") || !strings.Contains(strings.ToLower(err.Error()), "auth") {
			t.Errorf("%s: got %v", what, err)
		}
	}
}
