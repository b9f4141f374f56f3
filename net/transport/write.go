package transport

import (
	"fmt"
	"net"
	"time"
)

// writeChunk is how much is written between two looks at the clock: a slow client has WriteTimeout for each of them.
const writeChunk = 32 << 10

// keptBuffer is the largest send buffer that is kept for re-use while a connection is being written to.
const keptBuffer = 64 << 10

// frameWriter is a connection that must know where frames end, such as a WebSocket. The bytes are valid until WriteFrames returns.
type frameWriter interface {
	WriteFrames(frames [][]byte) error
}

// outbox is what waits to be written. The writing goroutine takes all of it and leaves its empty buffer, so that senders and writer never wait for
// each other.
type outbox struct {
	bytes   []byte
	ends    []int         // where each frame in bytes ends
	taken   int           // bytes that the writing goroutine holds
	running chan struct{} // closed when the writing goroutine ends; nil when there is none
}

func (o *outbox) size() int { return len(o.bytes) + o.taken }

// idle returns a channel that is closed when nothing is being written.
func (o *outbox) idle() <-chan struct{} {
	if o.running != nil {
		return o.running
	}
	done := make(chan struct{})
	close(done)
	return done
}

// Send queues one frame to the client, which the connection's frames must be (a WebSocket sends it as one message). It copies the bytes, so
// the caller keeps them, and never blocks. When more than Config.Backlog bytes would wait, the connection is closed and ErrBacklog returned; once the
// connection is closing, ErrClosed is.
func (c *Conn) Send(frame []byte) error {
	c.mu.Lock()
	if c.reason != nil {
		c.mu.Unlock()
		return ErrClosed
	}
	if waiting := c.out.size(); waiting+len(frame) > c.srv.cfg.Backlog {
		c.mu.Unlock()
		err := fmt.Errorf("%w: %d bytes wait, %d more were to be sent, the bound is %d", ErrBacklog, waiting, len(frame), c.srv.cfg.Backlog)
		c.abort(err)
		return err
	}
	c.enqueue(frame)
	c.mu.Unlock()
	return nil
}

// enqueue appends a frame and starts the writing goroutine if there is none; c.mu is held.
func (c *Conn) enqueue(frame []byte) {
	c.out.bytes = append(c.out.bytes, frame...)
	c.out.ends = append(c.out.ends, len(c.out.bytes))
	c.srv.cfg.Stats.queued.Add(int64(len(frame)))
	if c.out.running == nil {
		c.out.running = make(chan struct{})
		go c.write() // ends when the queue is empty or a write fails; linger waits for it
	}
}

// drop forgets what was never written; c.mu is held.
func (c *Conn) drop() {
	c.srv.cfg.Stats.queued.Add(-int64(c.out.size()))
	c.out.bytes, c.out.ends, c.out.taken = nil, nil, 0
}

// write is the writing goroutine.
func (c *Conn) write() {
	frames, _ := c.nc.(frameWriter)
	var buf []byte
	var ends []int
	for {
		c.mu.Lock()
		if len(c.out.ends) == 0 {
			c.stopWriting()
			c.mu.Unlock()
			return
		}
		buf, c.out.bytes = c.out.bytes, buf[:0]
		ends, c.out.ends = c.out.ends, ends[:0]
		c.out.taken = len(buf)
		c.mu.Unlock()

		if err := c.writeAll(frames, buf, ends); err != nil {
			c.abort(fmt.Errorf("%w: %w", ErrWrite, err))
			c.mu.Lock()
			c.stopWriting()
			c.mu.Unlock()
			return
		}
		if cap(buf) > keptBuffer {
			buf, ends = nil, nil
		}
	}
}

// stopWriting marks the end of the writing goroutine; c.mu is held.
func (c *Conn) stopWriting() {
	c.out.bytes, c.out.ends = nil, nil
	close(c.out.running)
	c.out.running = nil
}

func (c *Conn) writeAll(frames frameWriter, buf []byte, ends []int) error {
	var list [][]byte
	from, first := 0, 0
	for i, end := range ends {
		if end-from < writeChunk && i < len(ends)-1 {
			continue
		}
		if err := c.writeDeadline(); err != nil {
			return err
		}
		var err error
		if frames != nil {
			list = cut(list[:0], buf, from, ends[first:i+1])
			err = frames.WriteFrames(list)
		} else {
			err = c.writeBytes(buf[from:end])
		}
		if err != nil {
			return err
		}
		c.wrote(end-from, i+1-first)
		from, first = end, i+1
	}
	return nil
}

// cut returns the frames of buf that begin at from.
func cut(list [][]byte, buf []byte, from int, ends []int) [][]byte {
	for _, end := range ends {
		list = append(list, buf[from:end:end])
		from = end
	}
	return list
}

// writeBytes writes a run of frames, which may be longer than a chunk when a single frame is.
func (c *Conn) writeBytes(p []byte) error {
	for len(p) > 0 {
		n, err := c.nc.Write(p[:min(len(p), writeChunk)])
		if err != nil {
			return err
		}
		p = p[n:]
		if len(p) > 0 {
			if err := c.writeDeadline(); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeDeadline gives the client its time for the next chunk, less when the connection is ending.
func (c *Conn) writeDeadline() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	due := time.Now().Add(c.srv.cfg.WriteTimeout)
	if c.reason != nil {
		if !c.graceful {
			return net.ErrClosed
		}
		if c.until.Before(due) {
			due = c.until
		}
	}
	return c.nc.SetWriteDeadline(due)
}

func (c *Conn) wrote(bytes, frames int) {
	c.mu.Lock()
	c.out.taken -= bytes
	c.mu.Unlock()
	st := c.srv.cfg.Stats
	st.queued.Add(-int64(bytes))
	st.bytesOut.Add(uint64(bytes))
	st.framesOut.Add(uint64(frames))
	c.bytesOut.Add(uint64(bytes))
	c.framesOut.Add(uint64(frames))
}
