// Package live is live media in the connections that clients have to the game anyway: who plays may publish to rooms and watch them, over TCP, KCP and WebSocket, without another door, login or library.
//
// Media goes in packages of its own kind, so nothing of it waits among a session's requests and pushes, is numbered or sent again. What a client has opened belongs to its connection: one that comes back opens it
// again, and goes on at the newest key frame. Frames are written by a goroutine a viewer, straight from the room's stream, in bytes that all viewers share.
//
// docs/protocol.md has the packages.
package live

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/room"
)

// Rooms are those that clients come to: a room.Rooms.
type Rooms interface {
	Publish(ctx context.Context, e room.Entry, ended func(reason error)) (*media.Publisher, error)
	Join(ctx context.Context, e room.Entry, opt media.ViewerConfig) (*media.Viewer, error)
}

// Conn is a client's connection: a transport.Conn.
type Conn interface {
	// Stream prepares it for WriteStream, which waits for the client. Send does not.
	Stream()
	Send(pkg []byte) error
	WriteStream(packages [][]byte) error
	RemoteAddr() net.Addr
}

// Config of a Server. Only Rooms is needed.
type Config struct {
	Rooms Rooms
	// MaxFrame is the largest frame that a client may publish, in bytes. Default 8 MiB.
	MaxFrame int
	// MaxOpen is how many rooms a connection may publish to and watch at a time. Default 8.
	MaxOpen int
	// MaxTracks is how many tracks it may publish in each. Default 8.
	MaxTracks int
	// OpenRate is how many rooms it may open a second, in the long run, each of which asks the rules; MaxOpen at once, or two seconds of it if that is more. Default 10: players change rooms by hand.
	OpenRate int
	// DescribeRate is how often a second it may describe tracks anew of what it publishes, in the long run: all viewers are told, and recordings begin new files. Default 10.
	DescribeRate int
	// FrameRate is how many frames a second it may publish in each, in the long run. Default 1,000: 8 tracks of sound and pictures have less.
	FrameRate int
	// Log gets what operators should see. Default: nothing is logged.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	for v, d := range map[*int]int{&c.MaxFrame: 8 << 20, &c.MaxOpen: 8, &c.MaxTracks: 8, &c.OpenRate: 10, &c.DescribeRate: 10, &c.FrameRate: 1000} {
		if *v <= 0 {
			*v = d
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Server is a node's. Its methods may be called by anybody.
type Server struct {
	cfg     Config
	numbers atomic.Uint32   // of streams
	ctx     context.Context //nolint:containedctx // its life is the server's
	stop    context.CancelCauseFunc
	running sync.WaitGroup

	mu      sync.Mutex
	stopped bool
}

// New makes a server.
func New(cfg Config) (*Server, error) {
	if cfg.Rooms == nil {
		return nil, errors.New("live: Config.Rooms is needed")
	}
	s := &Server{cfg: cfg.withDefaults()}
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	return s, nil
}

// Offer is what clients are told in their handshake, whose packages may have so many bytes.
func (s *Server) Offer(maxPackage int) packet.MediaOffer {
	const room = 64 // more than what goes around a piece
	return packet.MediaOffer{
		Version: packet.MediaVersion, Piece: min(packet.MediaPiece, max(maxPackage-room, 1)), Frame: s.cfg.MaxFrame, Rooms: s.cfg.MaxOpen, Tracks: s.cfg.MaxTracks,
	}
}

// Serve waits for the end of ctx, ends all that clients have opened, and returns when its goroutines are gone.
func (s *Server) Serve(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.stop(errStopping)
	s.running.Wait()
	return nil
}

// start runs f on a goroutine of the server's; false: it has ended.
func (s *Server) start(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.running.Go(f)
	}
	return !s.stopped
}

// Join begins with a connection whose client has sent its first media package. player tells who that is, empty before it has logged in, and may wait for it. Package and Close are called by one goroutine at a time.
func (s *Server) Join(conn Conn, player func(ctx context.Context) string) *Client {
	conn.Stream()
	c := &Client{s: s, conn: conn, player: player, opened: map[uint32]*opened{}, pieces: packet.MediaPieces{MaxFrame: s.cfg.MaxFrame}}
	c.ctx, c.end = context.WithCancelCause(s.ctx)
	return c
}

// Client is what a connection has opened.
type Client struct {
	s      *Server
	conn   Conn
	player func(ctx context.Context) string
	ctx    context.Context //nolint:containedctx // its life is the connection's
	end    context.CancelCauseFunc
	pieces packet.MediaPieces
	last   uint32 // id
	opens  bucket

	mu     sync.Mutex
	opened map[uint32]*opened
}

// Close ends all that is open: the connection has ended.
func (c *Client) Close() { c.end(errGone) }

// Package takes the body of a media package. An error wraps packet.ErrMedia, and closes the connection.
func (c *Client) Package(body []byte) error {
	if id, ok := packet.MediaChannel(body); ok {
		switch o := c.find(id); {
		case id > c.last || id == 0:
			return errorf("a frame of %d, which was never opened", id)
		case o == nil || o.ctx.Err() != nil:
			c.pieces.Forget(id)
			return nil //nolint:nilerr // it was on its way when that ended
		}
	}
	control, frame, err := c.pieces.Decode(body)
	switch {
	case err != nil:
		return err
	case control != nil:
		return c.control(control)
	case frame != nil:
		c.frame(frame)
	}
	return nil
}

func (c *Client) control(m *packet.MediaControl) error {
	switch m.Op {
	case packet.MediaWatch, packet.MediaPublish:
		return c.open(m)
	case packet.MediaTell:
		return c.describe(m)
	case packet.MediaClose:
		if o := c.find(m.ID); o != nil {
			o.end(errClosed)
		}
		return nil
	default:
		return errorf("the operation %.32q, expected watch, publish, track or close", m.Op)
	}
}

func (c *Client) find(id uint32) *opened {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opened[id]
}

// send tells the client something. One that is gone needs no telling.
func (c *Client) send(m packet.MediaControl) {
	pkg, err := packet.AppendMediaControl(nil, &m)
	if err != nil {
		c.s.cfg.Log.Error("a client can't be told of its room", "op", m.Op, "room", m.Room, "error", err)
		return
	}
	_ = c.conn.Send(pkg)
}
