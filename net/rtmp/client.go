package rtmp

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/skua-go/skua/internal/tlsdial"
	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/flv/amf"
	"github.com/skua-go/skua/net/media"
)

// ErrServer tells that a server does not take what is sent there, or does not have what is asked for. It comes wrapped with what it says.
var ErrServer = errors.New("rtmp: refused by the server")

// Dialer brings streams to servers, and fetches them there. The zero value works.
type Dialer struct {
	// Dial connects. Default: that of net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS is for rtmps; nil: the machine's authorities.
	TLS *tls.Config
	// SetupTimeout is how long it may take until frames go. Default 10 s.
	SetupTimeout time.Duration
	// IdleTimeout is how long nothing may come of a stream that is fetched. Default 30 s.
	IdleTimeout time.Duration
	// WriteTimeout is how long the server may take nothing. Default 10 s.
	WriteTimeout time.Duration
	// MaxMessage bounds a picture, bytes. Default 8 MiB.
	MaxMessage int
}

func (d Dialer) withDefaults() Dialer {
	if d.Dial == nil {
		d.Dial = new(net.Dialer).DialContext
	}
	for v, t := range map[*time.Duration]time.Duration{&d.SetupTimeout: 10 * time.Second, &d.IdleTimeout: 30 * time.Second, &d.WriteTimeout: 10 * time.Second} {
		if *v <= 0 {
			*v = t
		}
	}
	if d.MaxMessage <= 0 {
		d.MaxMessage = 8 << 20
	}
	return d
}

// client is one connection of ours to a server.
type client struct {
	d      *Dialer
	conn   net.Conn
	in     *chunkReader
	lock   sync.Mutex // around writes
	setup  time.Time  // until when the server has to agree
	flows  bool       // it has
	theirs uint32
	acked  uint64
	calls  float64 // so far
}

// Push publishes what a viewer gets at rtmp://HOST/APP/STREAM, until the viewer ends, the server does, or ctx. began is called when frames go; the viewer is the caller's.
func (d Dialer) Push(ctx context.Context, to *url.URL, v *media.Viewer, began func()) error {
	d = d.withDefaults()
	return d.run(ctx, to, func(c *client, stream string) error {
		if err := c.publish(stream); err != nil {
			return err
		}
		began()
		gone := make(chan error, 1)
		go func() { gone <- c.listen() }() // it ends with the connection
		return c.deliver(v, gone)
	})
}

// Pull writes what is played at rtmp://HOST/APP/STREAM to a publisher, until that ends, the server does, or ctx. begin gives the publisher when the server agrees.
func (d Dialer) Pull(ctx context.Context, from *url.URL, begin func() (*media.Publisher, error)) error {
	d = d.withDefaults()
	return d.run(ctx, from, func(c *client, stream string) error {
		if err := c.play(stream); err != nil {
			return err
		}
		p, err := begin()
		if err != nil {
			return err
		}
		p.AtEnd(func(error) { _ = c.conn.Close() })
		err = c.take(p)
		if ended := p.Err(); ended != nil {
			return ended
		}
		return err
	})
}

// run connects, and does what is to be done there.
func (d *Dialer) run(ctx context.Context, at *url.URL, work func(c *client, stream string) error) error {
	app, stream, err := split(at)
	if err != nil {
		return err
	}
	conn, err := d.connect(ctx, at)
	if err != nil {
		return fmt.Errorf("rtmp: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	c := &client{d: d, conn: conn, in: newChunkReader(bufio.NewReaderSize(conn, publisherIn))}
	err = c.enter(at, app)
	if err == nil {
		err = work(c, stream)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// split takes a URL's path apart: the last part is the stream, with the query, and what is before it the app.
func split(at *url.URL) (app, stream string, err error) {
	path := strings.Trim(at.EscapedPath(), "/")
	i := strings.LastIndexByte(path, '/')
	if i < 1 || i == len(path)-1 || at.Host == "" {
		return "", "", fmt.Errorf("%w: expected rtmp://HOST/APP/STREAM", ErrProtocol)
	}
	app, stream = path[:i], path[i+1:]
	if at.RawQuery != "" {
		stream += "?" + at.RawQuery
	}
	return app, stream, nil
}

func (d *Dialer) connect(ctx context.Context, at *url.URL) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.SetupTimeout)
	defer cancel()
	port := at.Port()
	if port == "" {
		port = map[string]string{"rtmp": "1935", "rtmps": "443"}[at.Scheme]
	}
	conn, err := d.Dial(ctx, "tcp", net.JoinHostPort(at.Hostname(), port))
	if err != nil || at.Scheme != "rtmps" {
		return conn, err
	}
	return tlsdial.Client(ctx, conn, d.TLS, at.Hostname())
}

// enter does what comes before any stream.
func (c *client) enter(at *url.URL, app string) error {
	c.setup = time.Now().Add(c.d.SetupTimeout)
	if err := c.conn.SetDeadline(c.setup); err != nil {
		return err
	}
	if err := c.shake(); err != nil {
		return err
	}
	address := url.URL{Scheme: at.Scheme, Host: at.Host, Path: "/" + app}
	if err := c.send(controlID, message{kind: msgChunkSize, body: binary.BigEndian.AppendUint32(nil, outChunk)}); err != nil {
		return err
	}
	if _, err := c.call("connect", amf.Object{
		{Key: "app", Value: app},
		{Key: "type", Value: "nonprivate"},
		{Key: "flashVer", Value: "FMLE/3.0 (compatible; skua)"},
		{Key: "tcUrl", Value: address.String()},
		{Key: "fourCcList", Value: flv.FourCCs()},
	}); err != nil {
		return err
	}
	return c.send(controlID, message{kind: msgWindow, body: binary.BigEndian.AppendUint32(nil, window)})
}

// shake does the client's side of the plain handshake.
func (c *client) shake() error {
	ours := make([]byte, 1+handshakeSize)
	ours[0] = version
	_, _ = rand.Read(ours[1+8:]) // it never fails
	if _, err := c.conn.Write(ours); err != nil {
		return err
	}
	var theirs [1 + 2*handshakeSize]byte
	if _, err := io.ReadFull(c.in.r, theirs[:]); err != nil {
		return fmt.Errorf("rtmp: handshake: %w", err)
	}
	if theirs[0] != version {
		return fmt.Errorf("%w: version %d in the handshake, expected %d", ErrProtocol, theirs[0], version)
	}
	_, err := c.conn.Write(theirs[1 : 1+handshakeSize])
	return err
}

func (c *client) send(id byte, m message) error {
	size := outChunk
	if m.kind == msgChunkSize {
		size = chunkSize
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	end := time.Now().Add(c.d.WriteTimeout) // and not that of the frame before, which may be long ago
	if !c.flows && c.setup.Before(end) {
		end = c.setup
	}
	if err := c.conn.SetWriteDeadline(end); err != nil {
		return err
	}
	_, err := c.conn.Write(appendMessage(make([]byte, 0, 64+len(m.body)), id, m, size))
	return err
}

// call sends a command that is answered, and gives the answer's last value.
func (c *client) call(name string, args ...any) (any, error) {
	c.calls++
	id := c.calls
	if err := c.send(commandID, message{kind: msgCommand, body: amf.Append(amf.Append(nil, name, id), args...)}); err != nil {
		return nil, err
	}
	for {
		values, err := c.command()
		if err != nil {
			return nil, err
		}
		if len(values) < 2 || values[1] != id {
			continue
		}
		if last := values[len(values)-1]; values[0] == "_result" {
			return last, nil
		} else if values[0] == "_error" {
			return nil, refusal(name, last)
		}
	}
}

func refusal(what string, info any) error {
	about, _ := info.(amf.Object)
	code, _ := about.Get("code").(string)
	text, _ := about.Get("description").(string)
	return fmt.Errorf("%w: %s: %s %s", ErrServer, what, code[:min(len(code), 128)], text[:min(len(text), 256)])
}

// command reads until one comes.
func (c *client) command() ([]any, error) {
	for {
		m, err := c.next()
		if err != nil {
			return nil, err
		}
		if m.kind != msgCommand {
			continue
		}
		values, err := amf.Decode(m.body)
		if err != nil {
			return nil, fmt.Errorf("%w: command: %w", ErrProtocol, err)
		}
		return values, nil
	}
}

// next reads a message, and heeds those that are about the connection.
func (c *client) next() (message, error) {
	m, err := c.in.next()
	if err != nil {
		return m, err
	}
	switch m.kind {
	case msgChunkSize, msgAbort:
		err = c.in.protocol(m)
	case msgWindow:
		if len(m.body) >= 4 {
			c.theirs = binary.BigEndian.Uint32(m.body)
		}
	case msgControl:
		const pingRequest, pingResponse = 6, 7
		if len(m.body) == 6 && binary.BigEndian.Uint16(m.body) == pingRequest {
			err = c.send(controlID, message{kind: msgControl, body: append([]byte{0, pingResponse}, m.body[2:]...)})
		}
	}
	if err == nil && c.theirs > 0 && c.in.read-c.acked >= uint64(c.theirs) {
		c.acked = c.in.read
		err = c.send(controlID, message{kind: msgAck, body: binary.BigEndian.AppendUint32(nil, uint32(c.in.read))})
	}
	return m, err
}

// stream makes a message stream. Ours have the number 1, which is what servers give the first.
func (c *client) stream() error {
	n, err := c.call("createStream", nil)
	if err != nil {
		return err
	}
	if n != 1.0 {
		return fmt.Errorf("%w: message stream %v, expected 1", ErrProtocol, n)
	}
	return nil
}

func (c *client) publish(name string) error {
	for _, prepare := range []string{"releaseStream", "FCPublish"} { // which some servers expect, and none must answer
		c.calls++
		if err := c.send(commandID, message{kind: msgCommand, body: amf.Append(nil, prepare, c.calls, nil, name)}); err != nil {
			return err
		}
	}
	return c.begin(name, "NetStream.Publish.Start", amf.Append(nil, "publish", 0, nil, name, "live"))
}

func (c *client) play(name string) error {
	return c.begin(name, "NetStream.Play.Start", amf.Append(nil, "play", 0, nil, name, -1000))
}

// begin says what is wanted of the stream, and waits until the server agrees.
func (c *client) begin(name, agrees string, command []byte) error {
	if err := c.stream(); err != nil {
		return err
	}
	if err := c.send(commandID, message{kind: msgCommand, stream: 1, body: command}); err != nil {
		return err
	}
	for {
		values, err := c.command()
		if err != nil {
			return err
		}
		if len(values) < 4 || values[0] != "onStatus" {
			continue
		}
		about, _ := values[3].(amf.Object)
		if about.Get("code") == agrees {
			c.flows = true
			return c.conn.SetDeadline(time.Time{})
		}
		if about.Get("level") == "error" {
			return refusal("stream "+first(name), about)
		}
	}
}

// first is a stream's name without its query, which may be a secret.
func first(name string) string {
	name, _, _ = strings.Cut(name, "?")
	return name[:min(len(name), 4)] + "…"
}

// listen hears what a server says while it is published to, until it has something against it.
func (c *client) listen() error {
	for {
		values, err := c.command()
		if err != nil {
			return err
		}
		if len(values) >= 4 && values[0] == "onStatus" {
			if about, _ := values[3].(amf.Object); about.Get("level") == "error" {
				return refusal("publish", about)
			}
		}
	}
}

func (c *client) deliver(v *media.Viewer, gone <-chan error) error {
	out := &output{lock: &c.lock, viewer: v, sets: true, out: media.Batch{Conn: c.conn, Timeout: c.d.WriteTimeout}}
	for {
		n, err := v.Take(out.frames[:])
		if err != nil {
			return err
		}
		if n > 0 {
			if err := out.write(n); err != nil {
				return err
			}
			continue
		}
		select {
		case <-v.Wake():
		case err := <-gone:
			return err
		}
	}
}

// take writes what comes to a publisher.
func (c *client) take(p *media.Publisher) error {
	c.in.maxMedia = c.d.MaxMessage
	in, bad := flv.Ingest{To: p}, 0
	var deadline time.Time
	for {
		if now := time.Now(); deadline.Sub(now) < c.d.IdleTimeout*3/4 {
			deadline = now.Add(c.d.IdleTimeout)
			if err := c.conn.SetReadDeadline(deadline); err != nil {
				return err
			}
		}
		m, err := c.next()
		if err != nil {
			return err
		}
		switch m.kind {
		case msgAudio, msgVideo, msgData:
			if err = in.Feed(m.kind, m.stamp, m.body); errors.Is(err, flv.ErrFormat) {
				if bad++; bad < maxBad {
					err = nil
				}
			}
		case msgCommand:
			err = c.over(m.body)
		}
		if err != nil {
			return err
		}
	}
}

// over tells whether a server says that a stream has ended.
func (c *client) over(body []byte) error {
	values, err := amf.Decode(body)
	if err != nil || len(values) < 4 || values[0] != "onStatus" {
		return err
	}
	about, _ := values[3].(amf.Object)
	code, _ := about.Get("code").(string)
	if about.Get("level") == "error" || code == "NetStream.Play.Stop" || code == "NetStream.Play.UnpublishNotify" {
		return refusal("play", about)
	}
	return nil
}
