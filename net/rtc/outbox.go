package rtc

import (
	"errors"

	"github.com/pion/rtp"
	"golang.org/x/net/ipv4"
)

// outbox collects packets for clients, so that one system call sends many. Who has one writes into it for one turn, in which nothing waits, and flushes it then.
type outbox struct {
	metrics *Metrics
	socket  *socket
	packets []ipv4.Message
	room    []byte // for them
	waiting int
	bytes   int
}

const (
	// outboxSize is how many packets wait at most.
	outboxSize = 64
	// datagramRoom is for the largest datagram that a network carries, and what encryption adds.
	datagramRoom = 1600
)

func newOutbox(m *Metrics) *outbox {
	o := &outbox{metrics: m, packets: make([]ipv4.Message, outboxSize), room: make([]byte, outboxSize*datagramRoom)}
	for i := range o.packets {
		o.packets[i].Buffers = make([][]byte, 1)
	}
	return o
}

// turn lends an outbox, and sends what f has put into it.
func (srv *Server) turn(f func(*outbox)) {
	o, ok := srv.outboxes.Get().(*outbox)
	if !ok {
		o = newOutbox(srv.metrics)
	}
	f(o)
	o.flush()
	srv.outboxes.Put(o)
}

var errNowhere = errors.New("rtc: there is no way to the client")

// add encrypts a packet for a client.
func (o *outbox) add(s *session, h *rtp.Header, payload []byte) error {
	to, keys := s.lane.Load(), s.keys.Load()
	if to == nil || keys == nil {
		return errNowhere
	}
	if o.waiting == len(o.packets) || o.waiting > 0 && o.socket != to.socket {
		o.flush()
	}
	m := &o.packets[o.waiting]
	sealed, err := keys.sealRTP(o.room[o.waiting*datagramRoom:][:datagramRoom:datagramRoom], h, payload)
	if err != nil {
		return err
	}
	if to.stream != nil {
		if err := to.stream.write(sealed); err != nil {
			return err
		}
		o.metrics.sent.Inc()
		o.metrics.sentBytes.Add(float64(len(sealed)))
		return nil
	}
	o.socket = to.socket
	m.Buffers[0], m.Addr = sealed, to.to
	o.waiting++
	o.bytes += len(sealed)
	return nil
}

// flush sends what waits. What the network does not take is lost, as it would be further on.
func (o *outbox) flush() {
	if o.waiting == 0 {
		return
	}
	refused := 0
	for from := 0; from < o.waiting; {
		n, err := o.socket.batch.WriteBatch(o.packets[from:o.waiting], 0)
		if err != nil { // the first of them can't be sent
			refused++
			n = 1
		}
		from += n
	}
	o.metrics.failed.Add(float64(refused))
	o.metrics.sent.Add(float64(o.waiting - refused))
	o.metrics.sentBytes.Add(float64(o.bytes))
	o.waiting, o.bytes, o.socket = 0, 0, nil
}
