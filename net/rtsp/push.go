package rtsp

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/skua-go/skua/net/media"
)

// Push publishes what a viewer gets at rtsp://[USER:PASSWORD@]HOST/PATH (RFC 2326 sections 10.3 and 10.11), through the connection, with rtsps:// through TLS, until the viewer ends, the
// server does, or ctx. It connects when the stream knows its tracks, since a server is told of them first; what it was told and is so no longer ends it with ErrChanged. began is called
// when frames go; the viewer is the caller's. USER and PASSWORD go to this server only.
func (d Dialer) Push(ctx context.Context, to *url.URL, v *media.Viewer, began func()) error {
	d = d.withDefaults()
	if to.Scheme != schemePlain && to.Scheme != schemeTLS {
		return fmt.Errorf("%w: scheme %q, expected %s or %s", ErrProtocol, to.Scheme, schemePlain, schemeTLS)
	}
	first, err := awaitTracks(ctx, v)
	if err != nil {
		return err
	}
	return d.follow(ctx, to, true, func(setup context.Context, c *client) error { return c.give(setup, v, first, began) })
}

// awaitTracks waits for the first frame, by which all tracks are known.
func awaitTracks(ctx context.Context, v *media.Viewer) (*media.Frame, error) {
	var one [1]*media.Frame
	for {
		if n, err := v.Take(one[:]); n > 0 || err != nil {
			return one[0], err
		}
		select {
		case <-v.Wake():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// give does all of it, until there is a reason to end.
func (c *client) give(ctx context.Context, v *media.Viewer, first *media.Frame, began func()) error {
	told, err := describe(v.Described())
	if err != nil {
		return err
	}
	if err := c.announce(ctx, told); err != nil {
		return err
	}
	out := newOutput(outlet{conn: c.conn, lock: &c.lock, timeout: c.d.WriteTimeout, name: rand.Text()[:16], buffers: new(sync.Pool)}, v, told, first)
	out.strict = true
	out.begin(c.over)
	began()
	var running sync.WaitGroup
	stop := make(chan struct{})
	running.Go(func() { c.watch(stop) })
	running.Go(func() { c.end(out.deliver(stop)) })
	err = c.hear(func(byte, []byte) error { return nil }) // what a receiver reports
	c.end(err)
	close(stop)
	running.Wait()
	if out.cut { // what is behind half a packet would be taken for the rest of it
		_ = c.conn.Close()
		return err
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(farewellTime))
	c.lock.Lock()
	defer c.lock.Unlock()
	out.bye("")
	return err
}

// announce tells the server what comes, and has it agree.
func (c *client) announce(ctx context.Context, told *described) error {
	c.base, c.over = c.at, make([]*route, len(told.tracks))
	if _, err := c.ask(base.Announce, c.at, base.Header{"Content-Type": {"application/sdp"}}, told.sdp); err != nil {
		return err
	}
	for i := range told.tracks {
		if err := c.setUp(ctx, i, trackOf(i)); err != nil {
			return err
		}
	}
	if _, err := c.ask(base.Record, c.base, base.Header{"Range": {"npt=0.000-"}}, nil); err != nil {
		return err
	}
	return c.settle()
}
