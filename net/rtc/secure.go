package rtc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/transport/v4/packetio"
)

// secure is a session's connection by DTLS: the handshake, of which the keys of its media follow, and data channels. A connection of the library has a buffer and goroutines, some 40 KB. Most
// sessions need none of that when the handshake is over: such a connection is put away, as the few hundred bytes from which it can be taken up again, to say or to hear that the session ends.
type secure struct {
	s *session

	mu    sync.Mutex
	in    *records    // of the connection that is there now, or nil
	conn  *dtls.Conn  // the connection, when its handshake is over
	began bool        // there was a handshake
	heard atomic.Bool // the client has heard of its end
	away  []byte      // the connection, while it is put away
	woken rate        // how often it was taken up lately
	first [][]byte    // what came while it was being taken up
	taken int         // bytes of the handshake
	again int         // what came of one when it was over
	over  bool
}

const (
	// finished is how long a client may take to hear of the end of the handshake: until then it is said again if the client asks. What the client sends under its keys
	// shows that it has heard.
	finished = 5 * time.Second
	// wakeRate is how often a second a connection is taken up for what comes: strangers may send what looks like it. It listens for wakeTime then.
	wakeRate = 5
	wakeTime = time.Second / 2
	// goodbye is how long saying the end may take, of which nothing waits for an answer.
	goodbye = time.Second
	// inboxRecords and inboxBytes wait for the library at most.
	inboxRecords = 128
	inboxBytes   = 256 << 10
	// maxHandshake is how many bytes a handshake has, and maxAgain how many records of one are taken when it is over: the library keeps them all.
	maxHandshake = 64 << 10
	maxAgain     = 64
)

var (
	errNoHandshake = errors.New("rtc: there was no handshake")
	errImpostor    = errors.New("rtc: the client's certificate is not the one of its offer")
)

// take takes a datagram in.
func (c *secure) take(b []byte, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b = c.heed(b); c.over || len(b) == 0 {
		return
	}
	switch {
	case c.in == nil && !c.began:
		c.began = true
		c.run(c.shake)
	case c.in == nil:
		if c.away == nil || b[0] != alertRecord || !c.woken.take(now, wakeRate) {
			return
		}
		c.first = [][]byte{slices.Clone(b)}
		c.run(c.wake)
		return
	case c.conn == nil && c.away != nil: // it is being taken up: until it has been, this would be taken for a part of a handshake
		if len(c.first) < inboxRecords {
			c.first = append(c.first, slices.Clone(b))
		}
		return
	}
	if c.in != nil {
		_, _ = c.in.Write(b) // what does not fit is lost, as on the way
	}
}

// heed leaves out what nobody could have vouched for. Records without keys are those of a handshake, and of none that is over: anybody who knows where the client is could send them in its place.
func (c *secure) heed(b []byte) []byte {
	if c.conn == nil && c.away == nil {
		b = keepRecords(b, func(kind byte, keyed bool) bool { return keyed || kind == handshakeRecord || kind == cipherRecord })
		if c.taken += len(b); c.taken > maxHandshake {
			return nil
		}
		return b
	}
	return keepRecords(b, func(kind byte, keyed bool) bool {
		if keyed && kind == handshakeRecord { // the client repeats its end of the handshake when it has not heard of the node's
			c.again++
		}
		return keyed && (kind != handshakeRecord || c.again <= maxAgain)
	})
}

// run has a goroutine of the session serve a new connection.
func (c *secure) run(f func(*records)) {
	in := newRecords(c.s)
	if c.s.spawn(func() { f(in) }) {
		c.in = in
	}
}

// shake is the session's life on DTLS from its first record on.
func (c *secure) shake(in *records) {
	conn, err := c.connect(in)
	if err != nil {
		in.hush()
		_ = in.Close()
		if c.s.life.Err() == nil {
			c.s.server.log.Debug("handshake", "room", c.s.Room, "who", c.s.Who, "error", err)
			c.s.close(ReasonNever)
		}
		return
	}
	if c.s.talks {
		c.s.converse(conn)
		c.end(in, conn)
		return
	}
	c.rest(in, conn, time.Now().Add(c.s.server.finished), true)
}

// connect makes the handshake, and the session one that has got through.
func (c *secure) connect(in *records) (*dtls.Conn, error) {
	s := c.s
	options := make([]dtls.ServerOption, 0, 8)
	for _, o := range c.options() {
		options = append(options, o)
	}
	conn, err := dtls.ServerWithOptions(in, clientAddr{}, append(options, dtls.WithClientAuth(dtls.RequireAnyClientCert))...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(s.life, s.server.cfg.ConnectTimeout)
	defer cancel()
	err = conn.HandshakeContext(ctx)
	if err == nil {
		err = c.verify(conn)
	}
	var keys *crypt
	if err == nil {
		keys, err = newCrypt(conn)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if !c.has(conn) {
		return nil, errors.Join(context.Canceled, conn.Close())
	}
	s.keyed(keys)
	s.connected()
	return conn, nil
}

// has notes the connection for who ends the session, unless that has ended.
func (c *secure) has(conn *dtls.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	return !c.over
}

func (c *secure) options() []dtls.Option {
	return []dtls.Option{
		dtls.WithCertificates(c.s.identity.certificate),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithInsecureSkipVerify(true), // see verify
		dtls.WithExtendedMasterSecret(dtls.RequestExtendedMasterSecret), dtls.WithLoggerFactory(c.s.server.logs),
	}
}

// heardOf notes that the client has heard of the end of the handshake.
func (c *secure) heardOf() {
	if c.heard.Swap(true) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil && !c.s.talks {
		_ = c.conn.SetReadDeadline(time.Now()) // see rest
	}
}

// verify holds the client's certificate against the fingerprint of its offer, which came by HTTP from who was admitted.
func (c *secure) verify(conn *dtls.Conn) error {
	state, ok := conn.ConnectionState()
	if !ok || len(state.PeerCertificates) == 0 {
		return errNoHandshake
	}
	sum, err := fingerprintOf(state.PeerCertificates[0], c.s.offer.Hash)
	if err != nil {
		return err
	}
	if !strings.EqualFold(sum, c.s.offer.Fingerprint) {
		return errImpostor
	}
	return nil
}

// rest listens to a connection for a while, behind a handshake until the client has heard of its end, and then puts it away; soon also if something still comes.
func (c *secure) rest(in *records, conn *dtls.Conn, until time.Time, shaken bool) {
	last := until.Add(10 * wakeTime)
	err := conn.SetReadDeadline(until)
	if err == nil && shaken && c.heard.Load() {
		err = conn.SetReadDeadline(time.Now())
	}
	if err != nil {
		c.end(in, conn)
		return
	}
	var b [64]byte
	for {
		_, err := conn.Read(b[:])
		var passing *dtls.TemporaryError
		var late *dtls.TimeoutError
		switch {
		case err == nil, errors.As(err, &passing): // nobody listens to what comes
			continue
		case errors.As(err, &late):
			if !c.putAway(in, conn, time.Now().After(last)) && conn.SetReadDeadline(time.Now().Add(wakeTime)) == nil {
				continue
			}
		default:
			c.end(in, conn)
		}
		return
	}
}

// putAway keeps what is needed to take the connection up. ok is false where it has to be listened to for longer.
func (c *secure) putAway(in *records, conn *dtls.Conn, atOnce bool) (ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.in != in {
		return true // who ends the session closes it
	}
	state, ok := conn.ConnectionState()
	if !ok || in.Count() > 0 && !atOnce { // something has just come
		return false
	}
	state.PeerCertificates = nil // which was verified
	away, err := state.MarshalBinary()
	if err != nil {
		c.s.server.log.Debug("a connection can't be put away", "room", c.s.Room, "who", c.s.Who, "error", err)
		return false
	}
	in.hush() // the client is not told that it ends
	_ = conn.Close()
	c.in, c.conn, c.away = nil, nil, away
	return true
}

// wake takes the connection up for what has come, which may be the client's end.
func (c *secure) wake(in *records) {
	conn, err := c.resume(in)
	c.mu.Lock()
	over, first := c.over, c.first
	c.first = nil
	switch {
	case err != nil:
		c.in = nil
	case !over:
		c.conn = conn
		for _, b := range first {
			_, _ = in.Write(b)
		}
	}
	c.mu.Unlock()
	switch {
	case err != nil:
		c.s.server.log.Debug("taking a connection up", "room", c.s.Room, "who", c.s.Who, "error", err)
		_ = in.Close()
	case over:
		_ = conn.Close() // and says that the session ends
	default:
		c.rest(in, conn, time.Now().Add(wakeTime), false)
	}
}

func (c *secure) resume(in *records) (*dtls.Conn, error) {
	state := new(dtls.State)
	if err := state.UnmarshalBinary(c.away); err != nil {
		return nil, err
	}
	conn, err := dtls.ResumeWithOptions(state, in, clientAddr{}, c.options()...)
	if err != nil {
		return nil, err
	}
	late := time.AfterFunc(goodbye, func() { _ = in.Close() })
	defer late.Stop()
	if err := conn.Handshake(); err != nil { // of a connection that has had its own: it says nothing
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// end closes a connection that the client has ended, or that has failed, and the session with it.
func (c *secure) end(in *records, conn *dtls.Conn) {
	_ = conn.Close()
	_ = in.Close()
	c.s.close(ReasonLeft)
}

// close tells the client that the session ends, if silent is not set, and ends what runs.
func (c *secure) close(silent bool) {
	c.mu.Lock()
	c.over = true
	in, conn, away := c.in, c.conn, c.away
	c.mu.Unlock()
	if in != nil {
		if silent {
			in.hush()
		}
		if conn != nil {
			_ = conn.Close() // it says goodbye, and whoever reads from it ends
		}
		_ = in.Close()
		return
	}
	if away == nil || silent {
		return
	}
	in = newRecords(c.s)
	var err error
	if conn, err = c.resume(in); err == nil {
		err = conn.Close()
	}
	if err != nil {
		c.s.server.log.Debug("saying goodbye", "room", c.s.Room, "who", c.s.Who, "error", err)
	}
	_ = in.Close()
}

// records is a connection's way for its records, as the library wants it: it gets what comes for the session, and writes to where the client is.
type records struct {
	*packetio.Buffer
	s      *session
	hushed atomic.Bool
}

func newRecords(s *session) *records {
	b := packetio.NewBuffer()
	b.SetLimitCount(inboxRecords)
	b.SetLimitSize(inboxBytes)
	return &records{Buffer: b, s: s}
}

// hush has nothing written any more.
func (r *records) hush() { r.hushed.Store(true) }

// ReadFrom reads a record.
func (r *records) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := r.Read(b)
	return n, clientAddr{}, err
}

// WriteTo writes one to where the client is now.
func (r *records) WriteTo(b []byte, _ net.Addr) (int, error) {
	l := r.s.lane.Load()
	if l == nil || r.hushed.Load() {
		return len(b), nil
	}
	if err := l.write(b); err != nil {
		return 0, fmt.Errorf("rtc: %w", err)
	}
	return len(b), nil
}

// LocalAddr and what follows make it a net.PacketConn.
func (r *records) LocalAddr() net.Addr                { return clientAddr{} }
func (r *records) SetDeadline(t time.Time) error      { return r.SetReadDeadline(t) } // writing waits for nothing
func (r *records) SetWriteDeadline(_ time.Time) error { return nil }                  // as SetDeadline

// clientAddr is a client's address for the library, which does not change when the client's does.
type clientAddr struct{}

// Network and String make it a net.Addr.
func (clientAddr) Network() string { return "ice" }
func (clientAddr) String() string  { return "client" }
