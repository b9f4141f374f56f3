package transport

import (
	"fmt"
	"net"
	"time"
)

// writeChunk is how much is written between two looks at the clock: a slow client has WriteTimeout for each of them.
const writeChunk = 32 << 10

// keptBuffer is the largest send buffer that is kept for re-use.
const keptBuffer = 64 << 10

// frameWriter is a connection that must know where frames end, such as a WebSocket. The bytes are valid until WriteFrames returns.
type frameWriter interface {
	WriteFrames(frames [][]byte) error
}

// outbox is what waits to be written. The writing goroutine takes the whole batch, so that senders and writer never wait for each other.
type outbox struct {
	batch   *batch        // nil when nothing waits
	taken   int           // bytes that the writing goroutine has not written yet
	running bool          // there is a writing goroutine
	stopped chan struct{} // closed when it ends, if somebody waits for that
}

// batch is a run of frames, one after the other.
type batch struct {
	bytes []byte
	ends  []int // where each frame ends
}

func (o *outbox) size() int {
	if o.batch == nil {
		return o.taken
	}
	return o.taken + len(o.batch.bytes)
}

// idle returns a channel that is closed when nothing is being written.
func (o *outbox) idle() <-chan struct{} {
	if !o.running {
		done := make(chan struct{})
		close(done)
		return done
	}
	if o.stopped == nil {
		o.stopped = make(chan struct{})
	}
	return o.stopped
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
	b := c.out.batch
	if b == nil {
		b = c.srv.batches.Get().(*batch) //nolint:forcetypeassert // what the pool makes
		c.out.batch = b
	}
	b.bytes = append(b.bytes, frame...)
	b.ends = append(b.ends, len(b.bytes))
	c.srv.cfg.Stats.queued.Add(int64(len(frame)))
	if !c.out.running {
		c.out.running = true
		go c.write() // ends when nothing waits or a write fails; linger waits for it
	}
}

// drop forgets what was never written; c.mu is held and nothing is being written.
func (c *Conn) drop() {
	c.srv.cfg.Stats.queued.Add(-int64(c.out.size()))
	c.out.batch, c.out.taken = nil, 0
}

// write is the writing goroutine.
func (c *Conn) write() {
	frames, _ := c.nc.(frameWriter)
	for {
		c.mu.Lock()
		b := c.out.batch
		if b == nil {
			c.stopWriting()
			c.mu.Unlock()
			return
		}
		c.out.batch, c.out.taken = nil, len(b.bytes)
		c.mu.Unlock()

		if err := c.writeAll(frames, b.bytes, b.ends); err != nil {
			c.abort(fmt.Errorf("%w: %w", ErrWrite, err))
			c.mu.Lock()
			c.stopWriting()
			c.mu.Unlock()
			return
		}
		if cap(b.bytes) <= keptBuffer {
			b.bytes, b.ends = b.bytes[:0], b.ends[:0]
			c.srv.batches.Put(b)
		}
	}
}

// stopWriting marks the end of the writing goroutine; c.mu is held.
func (c *Conn) stopWriting() {
	c.out.running = false
	if c.out.stopped != nil {
		close(c.out.stopped)
		c.out.stopped = nil
	}
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
