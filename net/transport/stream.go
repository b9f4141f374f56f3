package transport

import (
	"fmt"
	"net"
)

// streamChunk is how much of a stream a connection may take in one piece: what else is sent to it goes out behind that at the latest.
const streamChunk = 16 << 10

// streamer is a connection that tells when there is room for what may wait.
type streamer interface {
	// AwaitRoom waits until half of what Write takes without waiting is free, or until a Write would fail.
	AwaitRoom()
}

// unsent is a connection of which can be said how much may wait in the system that was not sent.
type unsent interface {
	SetUnsent(bytes int) error
}

// Stream prepares the connection for WriteStream, once: what is streamed may wait for the client to have read what else there is, but not the other way round. It is a wish, which not every connection
// can grant.
func (c *Conn) Stream() {
	nc := c.nc
	for {
		if s, ok := nc.(streamer); ok {
			c.room = s
		}
		if u, ok := nc.(unsent); ok {
			_ = u.SetUnsent(streamChunk)
		}
		below, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return
		}
		nc = below.NetConn()
	}
}

// WriteStream writes frames on the calling goroutine, in their order, and waits for the client: for what may come late, such as pictures, and must not be copied for each client. What Send
// has queued goes out first, and what it queues meanwhile in between, 16 KiB later at most, so frames should not be longer. The bytes are the caller's again when it returns, and are never changed. It does not count for
// Config.Backlog. A client that takes nothing in Config.WriteTimeout is closed; once the connection is closing the error is ErrClosed.
func (c *Conn) WriteStream(frames [][]byte) error {
	for len(frames) > 0 {
		n, size := 1, len(frames[0])
		for n < len(frames) && size+len(frames[n]) <= streamChunk {
			size += len(frames[n])
			n++
		}
		if err := c.writeChunk(frames[:n], size); err != nil {
			return err
		}
		frames = frames[n:]
	}
	return nil
}

// writeChunk writes some frames of a stream when nobody else writes and nothing else waits.
func (c *Conn) writeChunk(frames [][]byte, size int) error {
	if c.room != nil {
		c.room.AwaitRoom()
	}
	c.mu.Lock()
	for c.out.running && c.reason == nil {
		idle := c.out.idle()
		c.mu.Unlock()
		<-idle
		c.mu.Lock()
	}
	if c.reason != nil {
		c.mu.Unlock()
		return ErrClosed
	}
	c.out.running = true
	now := c.srv.now()
	var err error
	for c.out.batch != nil && err == nil { // it was sent before
		err = c.writeNext(now, false)
	}
	if err == nil && c.reason == nil {
		err = c.allow(now)
		c.mu.Unlock()
		if err == nil {
			err = c.writeFrames(frames, size)
		}
		if err != nil {
			c.abort(writeError(err))
		}
		c.mu.Lock()
	}
	if err == nil && c.more() {
		c.writeRounds(c.srv.now(), ownRounds, false)
		return nil
	}
	c.stopWriting()
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return nil
}

// writeFrames writes some frames with one call.
func (c *Conn) writeFrames(frames [][]byte, size int) error {
	switch {
	case c.frames != nil:
		if err := c.frames.WriteFrames(frames); err != nil {
			return err
		}
	case len(frames) == 1:
		if _, err := c.nc.Write(frames[0]); err != nil {
			return err
		}
	default:
		b := c.srv.batches.Get().(*batch) //nolint:forcetypeassert // what the pool makes
		for _, f := range frames {
			b.bytes = append(b.bytes, f...)
		}
		_, err := c.nc.Write(b.bytes)
		c.put(b)
		if err != nil {
			return err
		}
	}
	c.bytesOut.Add(uint64(size))
	c.framesOut.Add(uint64(len(frames)))
	return nil
}
