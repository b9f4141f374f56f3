package acceptance_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
)

// echoAgent answers with what it was sent. Each seventh request waits a while, so that others overtake it if anything lets them.
const echoAgent = `
local skynet = require "skynet"
local M = { client = {} }
local function echo(self, request)
  self.count = (self.count or 0) + 1
  if self.count % 7 == 0 then skynet.sleep(0) end
  return request
end
M.client.echo, M.client.data = echo, echo
return M`

// echo is the same in Go: each seventh answer comes from another goroutine.
func echo(_ *actor.Context, r *gate.Request) {
	count, _ := r.Session.Data.(int)
	r.Session.Data = count + 1
	if count%7 == 6 {
		body, answer := bytes.Clone(r.Body), r.Later()
		go answer(body, nil)
		return
	}
	r.Reply(r.Body)
}

// shape is how much one transport has to answer.
type shape struct{ connections, rounds, pipelined int }

// stream checks one connection: it sends rounds of requests, and reads their answers.
type stream struct {
	net.Conn
	in  *bufio.Reader
	rnd *rand.Rand
	who int
	id  uint64
}

// payload is one that no other request has: letters, so that each codec takes it, and between some and some thousand bytes.
func (s *stream) payload(round, i int) []byte {
	b := fmt.Appendf(nil, "%d.%d.%d:", s.who, round, i)
	most := 64
	if s.rnd.IntN(10) == 0 {
		most = 2000
	}
	for range s.rnd.IntN(most) {
		b = append(b, 'a'+byte(s.rnd.IntN(26)))
	}
	return b
}

// send writes bytes in pieces as luck has it, as networks do.
func (s *stream) send(b []byte) error {
	for len(b) > 0 {
		n := len(b)
		if s.rnd.IntN(2) == 0 {
			n = 1 + s.rnd.IntN(n)
		}
		if _, err := s.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// codecs are how requests go and answers come. encode appends a request; answer reads one and compares it with what was sent.
var codecs = map[string]struct {
	hello  func(s *stream) error
	encode func(s *stream, b, payload []byte) []byte
	answer func(s *stream, id uint64, payload []byte) error
}{
	packet.CodecPomelo: {hello: helloPomelo, encode: encodePomelo, answer: answerPomelo},
	packet.CodecSkynet: {
		encode: func(_ *stream, b, payload []byte) []byte {
			return append(binary.BigEndian.AppendUint16(b, uint16(len(payload))), payload...)
		},
		answer: func(s *stream, _ uint64, payload []byte) error {
			var head [2]byte
			if _, err := io.ReadFull(s.in, head[:]); err != nil {
				return err
			}
			if n := int(binary.BigEndian.Uint16(head[:])); n != len(payload) {
				return fmt.Errorf("a frame of %d bytes, expected %d", n, len(payload))
			}
			return s.expect(payload)
		},
	},
	packet.CodecLine: {
		encode: func(s *stream, b, payload []byte) []byte {
			end := "\n"
			if s.rnd.IntN(2) == 0 {
				end = "\r\n"
			}
			return append(append(b, payload...), end...)
		},
		answer: func(s *stream, _ uint64, payload []byte) error { return s.expect(append(payload, '\n')) },
	},
	packet.CodecRaw: {
		encode: func(_ *stream, b, payload []byte) []byte { return append(b, payload...) },
		answer: func(s *stream, _ uint64, payload []byte) error { return s.expect(payload) },
	},
}

// expect reads what has to come.
func (s *stream) expect(want []byte) error {
	got := make([]byte, len(want))
	if _, err := io.ReadFull(s.in, got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%w: got %.80q, expected %.80q", errSwapped, got, want)
	}
	return nil
}

var errSwapped = errors.New("another answer")

func helloPomelo(s *stream) error {
	if _, err := greet(s, s.in, nil); err != nil {
		return err
	}
	return s.send(pack(typeHandshakeAck, nil))
}

func encodePomelo(s *stream, b, payload []byte) []byte {
	s.id += 1 + uint64(s.rnd.IntN(1000))
	text, err := json.Marshal(string(payload))
	if err != nil {
		panic(err) // a string always marshals
	}
	if s.rnd.IntN(2) == 0 {
		return append(b, askCoded(s.id, 7, text)...)
	}
	return append(b, ask(s.id, "echo", text)...)
}

func answerPomelo(s *stream, id uint64, payload []byte) error {
	for {
		typ, body, err := unpack(s.in)
		switch {
		case err != nil:
			return err
		case typ == typeHeartbeat:
			if _, err := s.Write(pack(typeHeartbeat, nil)); err != nil {
				return err
			}
			continue
		case typ != typeData:
			return fmt.Errorf("a package of type %d: %q", typ, body)
		}
		m, err := parse(body)
		switch {
		case err != nil:
			return err
		case m.kind != messageResponse || m.error || m.id != id:
			return fmt.Errorf("%w: %+v for request %d", errSwapped, m, id)
		case string(m.body) != `"`+string(payload)+`"`:
			return fmt.Errorf("%w: %.80q for request %d, expected %.80q", errSwapped, m.body, id, payload)
		}
		return nil
	}
}

// converse plays one connection.
func (s *stream) converse(codec string, sh shape, answered *atomic.Int64) error {
	c := codecs[codec]
	if c.hello != nil {
		if err := c.hello(s); err != nil {
			return fmt.Errorf("handshake: %w", err)
		}
	}
	for round := range sh.rounds {
		if err := s.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		var out []byte
		ids, payloads := make([]uint64, sh.pipelined), make([][]byte, sh.pipelined)
		for i := range sh.pipelined {
			payloads[i] = s.payload(round, i)
			out = c.encode(s, out, payloads[i])
			ids[i] = s.id
		}
		if err := s.send(out); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		for i := range sh.pipelined {
			if err := c.answer(s, ids[i], payloads[i]); err != nil {
				return fmt.Errorf("round %d, request %d of %d: %w", round, i+1, sh.pipelined, err)
			}
			answered.Add(1)
		}
	}
	return nil
}

func TestEveryAnswerIsThatOfItsRequestInOrderOverAllTransportsAndCodecs(t *testing.T) {
	t.Parallel()
	sh := sized(shape{3, 2, 20}, shape{100, 50, 20})
	luck := seed(t)
	for _, handler := range []string{"go", "lua"} {
		for _, codec := range []string{packet.CodecPomelo, packet.CodecSkynet, packet.CodecLine, packet.CodecRaw} {
			t.Run(handler+"/"+codec, func(t *testing.T) {
				transports := []string{overTCP, overTLS, overKCP, overKCPRaw, overKCPTLS, overWS}
				cfg := gate.Config{Login: gate.LoginNone, Codec: codec, Heartbeat: time.Minute, Routes: map[string]uint16{"echo": 7}}
				script := echoAgent
				if handler == "go" {
					cfg.Handle, script = echo, ""
				}
				n := start(t, "127.0.0.1", cfg, script, transports...)
				for _, transport := range transports {
					t.Run(transport, func(t *testing.T) { n.conform(t, transport, codec, sh, luck) })
				}
			})
		}
	}
}

// conform has all connections of one transport talk at once.
func (n *node) conform(t *testing.T, transport, codec string, sh shape, luck uint64) {
	t.Helper()
	var answered atomic.Int64
	var mu sync.Mutex
	var wrong []string
	var all sync.WaitGroup
	begin := time.Now()
	for i := range sh.connections {
		all.Go(func() {
			conn, err := n.dial(t.Context(), transport)
			if err == nil {
				s := &stream{Conn: conn, in: bufio.NewReader(conn), rnd: rand.New(rand.NewPCG(luck, uint64(i))), who: i}
				err = s.converse(codec, sh, &answered)
				_ = conn.Close()
			}
			if err != nil {
				mu.Lock()
				wrong = append(wrong, fmt.Sprintf("connection %d: %v", i, err))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	want := int64(sh.connections) * int64(sh.rounds) * int64(sh.pipelined)
	t.Logf("%d of %d requests of %d connections answered, each with its own answer and in order, in %v", answered.Load(), want, sh.connections,
		time.Since(begin).Round(time.Millisecond))
	if len(wrong) > 0 {
		slices.Sort(wrong)
		t.Errorf("%d connections went wrong:\n%s", len(wrong), strings.Join(wrong[:min(len(wrong), 10)], "\n"))
	}
}
