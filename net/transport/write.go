package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// writeChunk is how much is written between two looks at the clock: a slow client has WriteTimeout for each of them.
const writeChunk = 32 << 10

// keptBuffer is the largest send buffer that is kept for re-use.
const keptBuffer = 64 << 10

// ownRounds is how often a reading goroutine writes what has come meanwhile before it leaves the rest to others, and reads on.
const ownRounds = 4

// frameWriter is a connection that must know where frames end, such as a WebSocket. The bytes are valid until WriteFrames returns.
type frameWriter interface {
	WriteFrames(frames [][]byte) error
}

// outbox is what waits to be written. Who writes takes the whole batch, so that senders and writer never wait for each other.
type outbox struct {
	batch   *batch        // nil when nothing waits
	taken   int           // bytes that are being written
	running bool          // somebody writes, or is about to
	corked  bool          // the reading goroutine will write when it has handled what it has read
	cork    *corkSlot     // where that is known
	step    uint32        // counts corks
	wanted  int           // calls of Drained that are due when nothing waits
	stopped chan struct{} // closed when nobody writes any more, if somebody waits for that
}

// batch is a run of frames, one after the other.
type batch struct {
	bytes  []byte
	ends   []int // where each frame ends, for connections that must know
	frames int
	list   [][]byte // what ends say, while it is written
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
func (c *Conn) Send(frame []byte) error { return c.send(frame, nil) }

// send is Send, perhaps in a burst.
func (c *Conn) send(frame []byte, in *Burst) error {
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
	c.enqueue(frame, in)
	c.mu.Unlock()
	return nil
}

// enqueue appends a frame and has it written, with others if it is in a burst; c.mu is held.
func (c *Conn) enqueue(frame []byte, in *Burst) {
	b := c.out.batch
	if b == nil {
		b = c.srv.batches.Get().(*batch) //nolint:forcetypeassert // what the pool makes
		c.out.batch = b
		if c.out.corked && c.out.cork != nil {
			c.srv.watch()
		}
	}
	b.bytes = append(b.bytes, frame...)
	b.frames++
	if c.frames != nil {
		b.ends = append(b.ends, len(b.bytes))
	}
	if c.out.corked && len(b.bytes) >= writeChunk {
		c.out.corked = false // it is worth a write of its own, and must not fill the backlog
	}
	if !c.out.corked {
		c.startWriting(in)
	}
}

// startWriting has somebody write what waits; c.mu is held.
func (c *Conn) startWriting(in *Burst) {
	if c.out.running {
		return
	}
	c.out.running = true
	if in != nil {
		in.add(c)
	} else {
		c.srv.crew.submit(c, (*Conn).write)
	}
}

// NotifyDrained has the Receiver's Drained called as soon as nothing waits to be written, also when that is so already. A Receiver without Drained hears
// nothing.
func (c *Conn) NotifyDrained() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != nil {
		return
	}
	c.out.wanted++
	if !c.out.corked {
		c.startWriting(nil)
	}
}

// write, a job of the crew, writes until nothing waits. Whoever submits it has set out.running.
func (c *Conn) write(*worker) {
	now := c.srv.now()
	c.mu.Lock()
	c.writeRounds(now, 1<<30, false)
}

// writeRounds writes until nothing waits, or leaves it to others after some rounds. Whoever calls it has set out.running, and holds c.mu, which it releases.
// late: it will call server.sendLate soon.
func (c *Conn) writeRounds(now int64, rounds int, late bool) {
	returned := false
	defer func() {
		if !returned { // Drained has ended the goroutine
			c.mu.Lock()
			c.stopWriting()
			c.mu.Unlock()
			c.abort(errGoexit)
		}
	}()
	for c.more() {
		b := c.out.batch
		if b == nil {
			wanted := c.out.wanted
			c.out.wanted = 0
			c.mu.Unlock()
			if late {
				c.srv.sendLate() // Drained may take its time, or end the goroutine
			}
			c.drained(wanted)
			c.mu.Lock()
			continue
		}
		if rounds == 0 {
			c.srv.crew.submit(c, (*Conn).write)
			c.mu.Unlock()
			returned = true
			return
		}
		rounds--
		if c.writeNext(now, late) != nil {
			break
		}
		if c.out.batch != nil {
			now = c.srv.now()
		}
	}
	c.stopWriting()
	c.mu.Unlock()
	returned = true
}

// writeNext writes what waits, of which there must be some; c.mu is held, but not meanwhile. An error has ended the connection. late: see writeRounds.
func (c *Conn) writeNext(now int64, late bool) error {
	b := c.out.batch
	c.out.batch, c.out.taken = nil, len(b.bytes)
	err := c.allow(now)
	c.mu.Unlock()
	if err == nil {
		err = c.writeBatch(b, late)
	}
	if err != nil {
		c.abort(writeError(err))
		c.mu.Lock()
		return err
	}
	c.put(b)
	c.mu.Lock()
	c.out.taken = 0
	return nil
}

// writeError sorts what ended a write: one to a client that has just gone fails, if that is not read before.
func writeError(err error) error {
	for _, gone := range []error{syscall.EPIPE, syscall.ECONNRESET, net.ErrClosed, io.ErrClosedPipe} {
		if errors.Is(err, gone) {
			return fmt.Errorf("%w: %w", ErrPeerClosed, err)
		}
	}
	return fmt.Errorf("%w: %w", ErrWrite, err)
}

// more tells whether there is something to do for who writes; c.mu is held.
func (c *Conn) more() bool {
	if c.reason == nil {
		return c.out.batch != nil || c.out.wanted > 0 && c.recv != nil // open goes on with what waits for it
	}
	return c.out.batch != nil && c.graceful
}

// put gives an empty batch back.
func (c *Conn) put(b *batch) {
	if cap(b.bytes) <= keptBuffer {
		b.bytes, b.ends, b.frames = b.bytes[:0], b.ends[:0], 0
		c.srv.batches.Put(b)
	}
}

// drained tells the Receiver n times that nothing waits.
func (c *Conn) drained(n int) {
	c.mu.Lock()
	r, ok := c.recv.(drainedReceiver)
	c.mu.Unlock()
	if !ok {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			err := c.srv.caught(c, "Drained", p)
			c.CloseWith(err, c.srv.farewell(err))
		}
	}()
	for range n {
		r.Drained()
	}
}

// stopWriting notes that nobody writes any more; c.mu is held.
func (c *Conn) stopWriting() {
	c.out.running = false
	if c.out.stopped != nil {
		close(c.out.stopped)
		c.out.stopped = nil
	}
}

// writeBatch writes it, in chunks that each have their time. The first one's has been allowed.
func (c *Conn) writeBatch(b *batch, late bool) error {
	if c.frames == nil {
		if err := c.writeBytes(b.bytes, late); err != nil {
			return err
		}
		c.framesOut.Add(uint64(b.frames))
		return nil
	}
	from := 0
	for _, end := range b.ends {
		b.list = append(b.list, b.bytes[from:end:end])
		from = end
	}
	defer func() { clear(b.list); b.list = b.list[:0] }()
	for first, size, i := 0, 0, 0; i < len(b.list); i++ {
		if size += len(b.list[i]); size < writeChunk && i < len(b.list)-1 {
			continue
		}
		if first > 0 {
			if err := c.allowMore(); err != nil {
				return err
			}
		}
		if err := c.frames.WriteFrames(b.list[first : i+1]); err != nil {
			return err
		}
		c.framesOut.Add(uint64(i + 1 - first))
		c.wrote(size)
		first, size = i+1, 0
	}
	return nil
}

func (c *Conn) writeBytes(p []byte, late bool) error {
	for {
		n, err := c.writeSome(p[:min(len(p), writeChunk)], late)
		c.bytesOut.Add(uint64(n))
		if err != nil {
			return err
		}
		if p = p[n:]; len(p) == 0 {
			return nil
		}
		c.took(n)
		if err := c.allowMore(); err != nil {
			return err
		}
	}
}

// writeSome is the connection's Write, or WriteLate if it has that.
func (c *Conn) writeSome(p []byte, late bool) (int, error) {
	if late && c.later != nil {
		return c.later.WriteLate(p)
	}
	return c.nc.Write(p)
}

// wrote counts bytes that have been written.
func (c *Conn) wrote(n int) {
	c.bytesOut.Add(uint64(n))
	c.took(n)
}

// took makes room for others in the backlog.
func (c *Conn) took(n int) {
	c.mu.Lock()
	c.out.taken -= n
	c.mu.Unlock()
}

func (c *Conn) allowMore() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.allow(c.srv.now())
}

// allow gives the client its time for the next chunk, less when the connection is ending. To set a deadline is to change a timer, so it is set half as far again
// ahead, and not again before that is used up; c.mu is held.
func (c *Conn) allow(now int64) error {
	timeout := int64(c.srv.cfg.WriteTimeout)
	due := now + timeout
	switch {
	case c.reason == nil && c.writeBy >= due:
		return nil
	case c.reason == nil:
		due += timeout / 2
	case !c.graceful:
		return net.ErrClosed
	case c.until < due:
		due = c.until
	}
	return c.setWriteDeadline(due)
}
