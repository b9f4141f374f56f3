package rtc

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/dtls/v3"
	"github.com/pion/sctp"
)

// Data channels that a client may open: what members say to the room, and what the server tells by itself, as JSON.
const (
	channelRoom   = "room"
	channelEvents = "events"
)

const (
	// MaxMessage is the most bytes that a member may say at once.
	MaxMessage = 16 << 10
	// messageRate is how many messages a second, on average and at once, a member may say. What comes faster is dropped, and counted.
	messageRate = 50
	// channelBacklog is how many bytes may wait for one client on one channel; what comes then is dropped, and counted.
	channelBacklog = 256 << 10
)

// receiveWindow is how many bytes of a client wait at most, and so the most that a message can have which is dropped; a larger one never becomes whole.
const receiveWindow = 4 * MaxMessage

// maxChannels is how many channels a client may open in its session's life: the library keeps something of each.
const maxChannels = 1024

// sctpMTU is the most that a packet of the association has: with what DTLS adds it fits into each network.
const sctpMTU = 1200

// channels are those of one session.
type channels struct {
	mu           sync.Mutex
	room, events *datachannel.DataChannel
	last         []byte // the last event of slots, for a channel that opens later
	allowance    rate
}

// converse serves the session's data channels (RFC 8831) until the connection ends.
func (s *session) converse(conn *dtls.Conn) {
	link, err := sctp.ClientWithOptions( // both sides begin
		sctp.WithNetConn(conn), sctp.WithLoggerFactory(s.server.logs), sctp.WithMTU(sctpMTU), sctp.WithMaxMessageSize(MaxMessage), sctp.WithMaxReceiveBufferSize(receiveWindow),
	)
	if err != nil {
		s.server.log.Debug("data channels", "room", s.Room, "who", s.Who, "error", err)
		return
	}
	defer func() { _ = link.Close() }()
	for range maxChannels {
		stream, err := link.AcceptStream()
		if err != nil {
			return // it has ended
		}
		stream.SetDefaultPayloadType(sctp.PayloadTypeWebRTCBinary)
		c, err := datachannel.Server(stream, &datachannel.Config{LoggerFactory: s.server.logs})
		if err != nil {
			s.server.log.Debug("a data channel", "room", s.Room, "who", s.Who, "error", err)
			s.server.metrics.invalid.Inc()
			_ = stream.Close()
			continue
		}
		s.opened(c)
	}
	s.close(ReasonChannels)
}

// opened takes a channel that the client has made.
func (s *session) opened(c *datachannel.DataChannel) {
	s.channel.mu.Lock()
	defer s.channel.mu.Unlock()
	switch {
	case c.Label == channelRoom && s.channel.room == nil:
		s.channel.room = c
		s.spawn(func() {
			s.listen(c, s.said)
			s.channel.closed(c)
		})
	case c.Label == channelEvents && s.channel.events == nil:
		s.channel.events = c
		if s.channel.last != nil {
			s.send(c, s.channel.last)
		}
		s.spawn(func() {
			s.listen(c, func([]byte) {})
			s.channel.closed(c)
		})
	default:
		_ = c.Close() // nobody listens to it
	}
}

// closed forgets a channel that has ended: a client may open it anew.
func (c *channels) closed(o *datachannel.DataChannel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.room == o {
		c.room = nil
	}
	if c.events == o {
		c.events = nil
	}
}

// listen hands on what comes on a channel until it ends.
func (s *session) listen(c *datachannel.DataChannel, to func([]byte)) {
	defer func() { _ = c.Close() }()
	room, large := make([]byte, MaxMessage), []byte(nil)
	for {
		buf := room
		if large != nil {
			buf, large = large, nil
		}
		n, _, err := c.ReadDataChannel(buf)
		switch {
		case err == nil:
			to(slices.Clone(buf[:n]))
		case errors.Is(err, io.ErrShortBuffer) && len(buf) == len(room):
			large = make([]byte, receiveWindow) // for this one, which is refused then
		default:
			return
		}
	}
}

// said takes what a member says.
func (s *session) said(text []byte) {
	s.channel.mu.Lock()
	ok := len(text) <= MaxMessage && s.channel.allowance.take(time.Now(), messageRate)
	s.channel.mu.Unlock()
	if !ok {
		s.server.metrics.messagesDropped.Inc()
		return
	}
	s.server.cfg.Rules.Message(s.Session, text)
}

// tell says something to the client on the channel of the room.
func (s *session) tell(text []byte) bool {
	s.channel.mu.Lock()
	defer s.channel.mu.Unlock()
	return s.channel.room != nil && s.send(s.channel.room, text)
}

func (s *session) send(c *datachannel.DataChannel, text []byte) bool {
	if c.BufferedAmount()+uint64(len(text)) > channelBacklog {
		s.server.metrics.messagesDropped.Inc()
		return false
	}
	_, err := c.WriteDataChannel(text, true)
	return err == nil
}

// event tells the client something if it listens.
func (c *channels) event(text []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.events != nil && c.events.BufferedAmount() < channelBacklog {
		_, _ = c.events.WriteDataChannel(text, true) // it is about to end
	}
}

// farewellTime is how long a client may take to acknowledge why it is closed.
const farewellTime = 300 * time.Millisecond

// farewell tells the client why it is closed, as far as that still gets there, and waits for that.
func (c *channels) farewell(reason string) {
	c.mu.Lock()
	events := c.events
	c.mu.Unlock()
	if events == nil {
		return
	}
	text, err := json.Marshal(map[string]string{"event": "closed", "reason": reason})
	if err != nil {
		return
	}
	heard := make(chan struct{}, 1)
	events.SetBufferedAmountLowThreshold(0)
	events.OnBufferedAmountLow(func() {
		select {
		case heard <- struct{}{}:
		default:
		}
	})
	c.event(text)
	select {
	case <-heard:
	case <-time.After(farewellTime):
	}
}

// slotEvent is who is on a line of the client: {"event":"slots","slots":[{"mid":"0","kind":"audio","who":"anna"}]}.
type slotEvent struct {
	Track string `json:"track"`
	Kind  string `json:"kind"`
	Who   string `json:"who,omitempty"`
}

// tellSlots says whom the client sees where.
func (s *session) tellSlots() {
	told := make([]slotEvent, len(s.slots))
	for i, sl := range s.slots {
		told[i] = slotEvent{Track: sl.ID(), Kind: string(sl.kind)}
		if src := sl.current(); src != nil {
			told[i].Who = src.who
		}
	}
	text, err := json.Marshal(map[string]any{"event": "slots", "slots": told})
	if err != nil {
		return
	}
	s.channel.mu.Lock()
	s.channel.last = text
	s.channel.mu.Unlock()
	s.channel.event(text)
}

func speakingEvent(speakers []Speaker) []byte {
	type speaker struct {
		Who   string `json:"who"`
		Level int    `json:"level"`
	}
	told := make([]speaker, len(speakers))
	for i, s := range speakers {
		told[i] = speaker(s)
	}
	text, _ := json.Marshal(map[string]any{"event": "speaking", "speakers": told}) //nolint:errchkjson // strings and numbers
	return text
}

// rate allows so many a second, and as many at once.
type rate struct {
	used float64
	at   time.Time
}

func (r *rate) take(now time.Time, perSecond float64) bool {
	r.used = max(0, r.used-now.Sub(r.at).Seconds()*perSecond)
	r.at = now
	if r.used+1 > perSecond {
		return false
	}
	r.used++
	return true
}
