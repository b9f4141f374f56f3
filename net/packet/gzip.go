package packet

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"sync"
)

// A deflater weighs some 800 KB and an inflater 40 KB: too much for each message. These pools hold nothing but spare ones.
//
//nolint:gochecknoglobals // caches, which no caller can tell from none
var (
	deflaters sync.Pool // *zlib.Writer
	inflaters sync.Pool // *inflater
)

type inflater struct {
	src  bytes.Reader
	gzip gzip.Reader
	zlib io.ReadCloser // made at the first zlib body
}

// inflate uncompresses zlib (RFC 1950) and gzip (RFC 1952), told apart by their first bytes: Pitaya writes zlib, whatever the flag is called, its first
// versions wrote gzip, and its C client takes both. The result is never longer than limit bytes (0: MaxBody), whatever the sizes in the body claim.
func inflate(body []byte, limit int) ([]byte, error) {
	if limit <= 0 {
		limit = MaxBody
	}
	f, _ := inflaters.Get().(*inflater)
	if f == nil {
		f = new(inflater)
	}
	defer func() {
		f.src.Reset(nil)
		inflaters.Put(f)
	}()
	f.src.Reset(body)
	r, err := f.open(body)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, min(limit+1, 4*len(body)+512))
	for {
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case len(out) > limit:
			return nil, fmt.Errorf("%w: %d compressed bytes are more than %d", ErrInflated, len(body), limit)
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrInflate, err)
		case len(out) == cap(out):
			out = append(make([]byte, 0, min(limit+1, 2*cap(out))), out...)
		}
	}
}

func (f *inflater) open(body []byte) (io.Reader, error) {
	switch {
	case len(body) >= 2 && body[0] == 0x1f && body[1] == 0x8b:
		if err := f.gzip.Reset(&f.src); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInflate, noEOF(err))
		}
		return &f.gzip, nil
	case len(body) >= 2 && body[0]&0x0f == 8 && (int(body[0])<<8|int(body[1]))%31 == 0: // RFC 1950, 2.2: CM and FCHECK
		return f.openZlib()
	case len(body) < 2:
		return nil, fmt.Errorf("%w: %d bytes are too few", ErrInflate, len(body))
	}
	return nil, fmt.Errorf("%w: it starts with % x, expected 1f 8b or a zlib header", ErrInflate, body[:2])
}

func (f *inflater) openZlib() (io.Reader, error) {
	var err error
	if z, ok := f.zlib.(zlib.Resetter); ok {
		err = z.Reset(&f.src, nil)
	} else {
		f.zlib, err = zlib.NewReader(&f.src)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInflate, noEOF(err))
	}
	return f.zlib, nil
}

// noEOF keeps an end of input inside a body from looking like the end of the connection to whoever tests for io.EOF.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendDeflated appends the zlib form of body to dst, which is the one that all of Pitaya's clients read, and says false, with nothing appended, when that is
// not shorter than body.
func appendDeflated(dst, body []byte) ([]byte, bool) {
	at := len(dst)
	out := shorter{buf: dst, limit: at + len(body) - 1}
	w, _ := deflaters.Get().(*zlib.Writer)
	if w == nil {
		w = zlib.NewWriter(&out)
	} else {
		w.Reset(&out)
	}
	_, err := w.Write(body)
	if err == nil {
		err = w.Close()
	}
	w.Reset(io.Discard) // a pooled writer must not keep the caller's buffer alive
	deflaters.Put(w)
	if err != nil {
		return dst[:at], false
	}
	return out.buf, true
}

// shorter is an append that gives up beyond a limit.
type shorter struct {
	buf   []byte
	limit int
}

var errNotShorter = errors.New("packet: compression does not pay")

func (s *shorter) Write(p []byte) (int, error) {
	if len(s.buf)+len(p) > s.limit {
		return 0, errNotShorter
	}
	s.buf = append(s.buf, p...)
	return len(p), nil
}
