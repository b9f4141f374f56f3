package transport

import (
	"fmt"
	"time"
)

const (
	// idleBuffer is what a connection that waits for its next frame holds to read into.
	idleBuffer = 512
	// readBuffer is what one with more to read borrows from the pool.
	readBuffer = 16 << 10
)

// reader is the state of a reading goroutine: buf[start:end] are the bytes that are not yet a whole frame.
type reader struct {
	c          *Conn
	small      [idleBuffer]byte
	buf        []byte
	pooled     *[]byte // the pooled buffer that buf is, if it is one
	start, end int
	lastFrame  time.Time // when a whole frame arrived last
	partial    time.Time // when the first byte of an unfinished frame arrived; zero when there is none
}

// read delivers frames until the connection ends and returns why, or nil when end already knows.
func (c *Conn) read(r Receiver) error {
	rd := &reader{c: c, lastFrame: c.opened}
	rd.buf = rd.small[:]
	defer rd.release()
	for {
		if err := rd.await(); err != nil {
			return err
		}
		n, err := c.nc.Read(rd.buf[rd.end:])
		if n > 0 {
			rd.end += n
			c.bytesIn.Add(uint64(n))
			c.srv.cfg.Stats.bytesIn.Add(uint64(n))
			if err := rd.deliver(r); err != nil {
				return err
			}
			rd.fit(n)
		}
		if err == nil || isTimeout(err) {
			continue // a deadline that struck is judged by await
		}
		return readError(err)
	}
}

// await makes sure that the Read to come ends when it must. Deadlines are set ahead and looked at again only when they strike, so that a busy
// connection does not pay for a timer with each Read.
func (rd *reader) await() error {
	c := rd.c
	due, why := rd.due()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != nil {
		return c.reason
	}
	if due.IsZero() {
		if !c.armed.IsZero() {
			c.arm(time.Time{})
		}
		return nil
	}
	now := time.Now()
	if !now.Before(due) {
		return fmt.Errorf("%w: %s since the connection was accepted, %s since the last frame", why,
			now.Sub(c.opened).Round(time.Millisecond), now.Sub(rd.lastFrame).Round(time.Millisecond))
	}
	if c.armed.IsZero() || due.Before(c.armed) || !now.Before(c.armed) {
		c.arm(due)
	}
	return nil
}

// due is when the connection must have made progress, and the error if it has not. Zero: never.
func (rd *reader) due() (time.Time, error) {
	c := rd.c
	if !c.ready.Load() {
		return c.opened.Add(c.srv.cfg.HandshakeTimeout), ErrHandshakeTimeout
	}
	var due time.Time
	why := ErrIdle
	c.mu.Lock()
	idle := c.idle
	c.mu.Unlock()
	if idle > 0 {
		due = rd.lastFrame.Add(idle)
	}
	if !rd.partial.IsZero() {
		if d := rd.partial.Add(c.srv.cfg.FrameTimeout); due.IsZero() || d.Before(due) {
			due, why = d, ErrFrameTimeout
		}
	}
	return due, why
}

// deliver hands over the whole frames in the buffer.
func (rd *reader) deliver(r Receiver) error {
	limit := rd.c.srv.cfg.MaxFrame
	whole := false
	for rd.start < rd.end {
		advance, frame, err := rd.c.srv.cfg.Split(rd.buf[rd.start:rd.end])
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
		whole = true
		rd.c.framesIn.Add(1)
		rd.c.srv.cfg.Stats.framesIn.Add(1)
		if err := rd.c.frame(r, frame); err != nil {
			return err
		}
	}
	if have := rd.end - rd.start; have >= limit {
		return fmt.Errorf("%w: not whole after %d bytes, at most %d are accepted", ErrFrameTooLong, have, limit)
	}
	now := time.Now() // after the Receiver, whose time must not count against the client
	if whole {
		rd.lastFrame = now
	}
	switch {
	case rd.start == rd.end:
		rd.start, rd.end = 0, 0
		rd.partial = time.Time{}
	case whole || rd.partial.IsZero():
		rd.partial = now
	}
	return nil
}

func (c *Conn) frame(r Receiver, frame []byte) (err error) {
	if reason := c.end(); reason != nil {
		return reason // closed meanwhile: no more frames
	}
	defer func() {
		if p := recover(); p != nil {
			err = c.srv.caught(c, "Frame", p)
		}
	}()
	return r.Frame(frame)
}

// fit chooses the buffer for the next Read, of which the last one got n bytes.
func (rd *reader) fit(n int) {
	have := rd.end - rd.start
	switch {
	case have == 0 && rd.pooled == nil && len(rd.buf) == idleBuffer:
		if n == idleBuffer { // there is likely more
			rd.borrow()
		}
	case have == 0 && (len(rd.buf) > readBuffer || n < idleBuffer):
		rd.release()
		rd.buf = rd.small[:]
	case rd.end < len(rd.buf): // still room
	case rd.start > 0:
		copy(rd.buf, rd.buf[rd.start:rd.end])
		rd.start, rd.end = 0, have
	default:
		rd.grow()
	}
}

func (rd *reader) borrow() {
	rd.pooled = rd.c.srv.buffers.Get().(*[]byte) //nolint:forcetypeassert // what the pool makes
	rd.buf = *rd.pooled
}

// grow makes room for a frame that is longer than the buffer, in steps that the client has paid for in bytes.
func (rd *reader) grow() {
	old, have := rd.buf, rd.end-rd.start
	unread := old[rd.start:rd.end]
	was := rd.pooled
	if len(old) < readBuffer {
		rd.borrow()
	} else {
		rd.pooled = nil
		rd.buf = make([]byte, min(2*len(old), rd.c.srv.cfg.MaxFrame))
	}
	copy(rd.buf, unread)
	if was != nil {
		rd.c.srv.buffers.Put(was)
	}
	rd.start, rd.end = 0, have
}

func (rd *reader) release() {
	if rd.pooled != nil {
		rd.c.srv.buffers.Put(rd.pooled)
		rd.pooled = nil
	}
	rd.buf = nil
}
