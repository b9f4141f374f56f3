package transport

import (
	"errors"
	"fmt"
	"time"
)

const (
	// idleBuffer is what a connection that waits for its next frame holds to read into.
	idleBuffer = 512
	// readBuffer is what one with more to read borrows from the pool.
	readBuffer = 16 << 10
	// restAfter is how long nothing must have come for a reading goroutine to be replaced by a new one. Handlers have made its stack grow, which Go would give
	// back only after several collections, and idle servers hardly collect.
	restAfter = 2 * time.Second
)

// errRested ends a reading goroutine whose successor goes on.
var errRested = errors.New("transport: nothing has come for a while")

// reader is what belongs to whoever reads: one goroutine at a time. buf[start:end] are the bytes that are not yet a whole frame.
type reader struct {
	buf            []byte // nil: none is held
	pooled         *[]byte
	start, end     int
	lastFrame      int64 // when a whole frame arrived last
	lastRead       int64 // when anything did
	partial        int64 // when the first byte of an unfinished frame arrived; 0 when there is none
	warm           bool  // the stack may have grown
	packets, bytes bucket
	ahead          ahead
}

// read delivers frames until the connection ends and returns why; end may know it already.
func (c *Conn) read() error {
	rd := &c.in
	if err := c.await(c.srv.now()); err != nil {
		return err
	}
	for {
		if rd.buf == nil {
			rd.buf = make([]byte, idleBuffer)
		}
		n, err := c.nc.Read(rd.buf[rd.end:])
		switch {
		case n > 0:
			if err := c.step(n, err, nil); err != nil {
				return err
			}
			rd.fit(c, n)
		case err == nil:
		case !isTimeout(err):
			return readError(err)
		default:
			now := c.srv.now()
			if err := c.await(now); err != nil {
				return err
			}
			if rd.warm && now-rd.lastRead >= int64(restAfter) {
				rd.warm = false
				return errRested
			}
		}
	}
}

// step handles n bytes that have been read, with the error that came with them, and writes what they have been answered, or has the worker that it runs on (nil:
// none) write that a little later. It returns why nothing more is to be read.
func (c *Conn) step(n int, failed error, me *worker) error {
	rd := &c.in
	rd.end += n
	c.bytesIn.Add(uint64(n))
	begun := int64(0)
	if c.srv.limited {
		begun = c.srv.now()
		if !rd.bytes.take(&c.srv.bytes, begun, n) {
			return fmt.Errorf("%w: more than %v bytes a second", ErrRate, c.srv.cfg.ByteRate)
		}
	}
	lent := me != nil && me.lent
	if lent {
		c.hold()
	} else {
		c.cork()
	}
	err := c.deliver(begun)
	now := c.srv.now() // the Receiver's time must not count against the client
	rd.lastRead, rd.warm = now, true
	rd.partialSince(now)
	switch {
	case lent:
		c.flushNow(now)
	case me == nil || err != nil || failed != nil:
		c.flush(now)
	default:
		me.clock = now
		me.late.flush(c, now)
	}
	switch {
	case err != nil:
		return err
	case failed != nil && !isTimeout(failed):
		return readError(failed)
	}
	return c.end()
}

// await is called at the beginning and when a read deadline has struck, and tells whether the connection has to end for it.
func (c *Conn) await(now int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != nil {
		return c.reason
	}
	if due, why := c.due(); due != 0 && now >= due {
		return fmt.Errorf("%w: %s since the connection was accepted, %s since the last frame", why,
			time.Duration(now-c.opened).Round(time.Millisecond), time.Duration(now-c.in.lastFrame).Round(time.Millisecond))
	}
	c.rearm(now)
	return nil
}

// rearm makes sure that the reading to come ends when it must. Deadlines are set ahead and looked at again only when they strike, so that a busy connection does
// not pay for a timer with each read; c.mu is held.
func (c *Conn) rearm(now int64) {
	due, _ := c.due()
	if c.in.warm && c.steps == nil {
		if rest := c.in.lastRead + int64(restAfter); due == 0 || rest < due {
			due = rest
		}
	}
	switch {
	case due == 0:
		if c.readBy != 0 {
			c.arm(0)
		}
	case c.readBy == 0 || due < c.readBy || now >= c.readBy:
		c.arm(due)
	}
}

// due is when the connection must have made progress, and the error if it has not. 0: never. c.mu is held.
func (c *Conn) due() (int64, error) {
	if !c.ready.Load() {
		return c.opened + int64(c.srv.cfg.HandshakeTimeout), ErrHandshakeTimeout
	}
	due, why := int64(0), ErrIdle
	if c.idle > 0 {
		due = c.in.lastFrame + int64(c.idle)
	}
	if c.in.partial != 0 {
		if d := c.in.partial + int64(c.srv.cfg.FrameTimeout); due == 0 || d < due {
			due, why = d, ErrFrameTimeout
		}
	}
	return due, why
}

// deliver hands over the whole frames in the buffer.
func (c *Conn) deliver(now int64) error {
	rd, limit := &c.in, c.srv.cfg.MaxFrame
	frames := uint64(0)
	defer func() { c.framesIn.Add(frames) }()
	for rd.start < rd.end {
		advance, frame, err := c.srv.cfg.Split(rd.buf[rd.start:rd.end])
		if err != nil {
			return fmt.Errorf("%w: %w", ErrFrame, err)
		}
		if advance == 0 && frame == nil {
			break
		}
		if advance <= 0 || advance > rd.end-rd.start {
			return fmt.Errorf("%w: Split consumed %d of %d bytes", ErrFrame, advance, rd.end-rd.start)
		}
		rd.start += advance
		if frame == nil {
			continue
		}
		if len(frame) > limit {
			return fmt.Errorf("%w: %d bytes, at most %d are accepted", ErrFrameTooLong, len(frame), limit)
		}
		if !rd.packets.take(&c.srv.packets, now, 1) {
			return fmt.Errorf("%w: more than %v frames a second", ErrRate, c.srv.cfg.PacketRate)
		}
		rd.lastFrame = -1 // partialSince has the time
		frames++
		if err := c.frame(frame); err != nil {
			return err
		}
	}
	if have := rd.end - rd.start; have >= limit {
		return fmt.Errorf("%w: not whole after %d bytes, at most %d are accepted", ErrFrameTooLong, have, limit)
	}
	return nil
}

// partialSince notes at the end of a step what has arrived.
func (rd *reader) partialSince(now int64) {
	whole := rd.lastFrame < 0
	if whole {
		rd.lastFrame = now
	}
	switch {
	case rd.start == rd.end:
		rd.start, rd.end = 0, 0
		rd.partial = 0
	case whole || rd.partial == 0:
		rd.partial = now
	}
}

func (c *Conn) frame(frame []byte) (err error) {
	if reason := c.end(); reason != nil {
		return reason // closed meanwhile: no more frames
	}
	defer func() {
		if p := recover(); p != nil {
			err = c.srv.caught(c, "Frame", p)
		}
	}()
	return c.recv.Frame(frame)
}

// fit chooses the buffer for the next read, of which the last one got n bytes.
func (rd *reader) fit(c *Conn, n int) {
	have := rd.end - rd.start
	switch {
	case have == 0 && rd.pooled == nil && len(rd.buf) == idleBuffer:
		if n == idleBuffer { // there is likely more
			rd.borrow(c)
		}
	case have == 0 && (len(rd.buf) > readBuffer || n < idleBuffer):
		rd.release(c)
	case rd.end < len(rd.buf): // still room
	case rd.start > 0:
		copy(rd.buf, rd.buf[rd.start:rd.end])
		rd.start, rd.end = 0, have
	default:
		rd.grow(c)
	}
}

// shrink gives the buffer back while nothing comes; what is unread of a frame is kept in no more than it needs.
func (rd *reader) shrink(c *Conn) {
	have := rd.end - rd.start
	switch {
	case have == 0:
		rd.release(c)
	case rd.pooled != nil && have < idleBuffer:
		small := make([]byte, idleBuffer)
		copy(small, rd.buf[rd.start:rd.end])
		rd.release(c)
		rd.buf, rd.start, rd.end = small, 0, have
	}
}

func (rd *reader) borrow(c *Conn) {
	rd.pooled = c.srv.buffers.Get().(*[]byte) //nolint:forcetypeassert // what the pool makes
	rd.buf = *rd.pooled
}

// grow makes room for a frame that is longer than the buffer, in steps that the client has paid for in bytes.
func (rd *reader) grow(c *Conn) {
	old, have := rd.buf, rd.end-rd.start
	unread := old[rd.start:rd.end]
	was := rd.pooled
	if len(old) < readBuffer {
		rd.borrow(c)
	} else {
		rd.pooled = nil
		rd.buf = make([]byte, min(2*len(old), c.srv.cfg.MaxFrame))
	}
	copy(rd.buf, unread)
	if was != nil {
		c.srv.buffers.Put(was)
	}
	rd.start, rd.end = 0, have
}

// release gives the buffer back.
func (rd *reader) release(c *Conn) {
	if rd.pooled != nil {
		c.srv.buffers.Put(rd.pooled)
		rd.pooled = nil
	}
	rd.buf, rd.start, rd.end = nil, 0, 0
}
