package std

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
)

// bufferSize is how much of a file is read at once, and how much waits to be written.
const bufferSize = 16 << 10

// stream is an open file with a buffer, for what has been read and not been asked for or for what has been written. One VM uses it at a time, or all if it is
// a standard one.
type stream struct {
	mu            sync.Mutex
	files         *openFiles // nil for a standard one
	f             *os.File   // nil when it is closed
	space         []byte
	in, out       []byte
	reads, writes bool
	direct        bool // nothing stays in out
}

// The standard files of the node, which all VMs share: what one has read ahead the others would miss.
var (
	stdin  = &stream{f: os.Stdin, reads: true}                 //nolint:gochecknoglobals // of the process
	stdout = &stream{f: os.Stdout, writes: true, direct: true} //nolint:gochecknoglobals // of the process
	stderr = &stream{f: os.Stderr, writes: true, direct: true} //nolint:gochecknoglobals // of the process
)

// openFiles are those of one VM.
type openFiles struct {
	mu   sync.Mutex
	open map[*stream]struct{}
}

// add opens a file if the VM may have one more.
func (o *openFiles) add(open func() (*os.File, error), reads, writes bool) (*stream, error) {
	o.mu.Lock()
	full := len(o.open) >= maxFiles
	o.mu.Unlock()
	if full {
		return nil, syscall.EMFILE
	}
	f, err := open() // which may wait, so the lock is not held; only the VM itself adds
	if err != nil {
		return nil, err
	}
	s := &stream{files: o, f: f, reads: reads, writes: writes}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open == nil {
		o.open = map[*stream]struct{}{}
	}
	o.open[s] = struct{}{}
	return s, nil
}

// close writes what is left and closes a file; a second time does nothing.
func (o *openFiles) close(s *stream) error {
	o.mu.Lock()
	delete(o.open, s)
	o.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		return nil
	}
	err := errors.Join(s.flush(), s.f.Close())
	s.f, s.in, s.out, s.space = nil, nil, nil, nil
	return err
}

// closeAll is for the end of the VM.
func (o *openFiles) closeAll() {
	o.mu.Lock()
	rest := o.open
	o.open = nil
	o.mu.Unlock()
	for s := range rest {
		_ = o.close(s) // nobody is left to be told
	}
}

func (s *stream) isClosed() bool {
	if s.files == nil {
		return false // standard files stay open, and another VM may wait for one with the lock held
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.f == nil
}

func (s *stream) setDirect(direct bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.direct = direct || s.files == nil
	return s.flush()
}

func (s *stream) flushed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flush()
}

// flush writes what waits. What can't be written is lost, as in C.
func (s *stream) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	_, err := s.f.Write(s.out)
	s.out = s.out[:0]
	return err //nolint:wrapcheck // it goes to the script in C's words
}

// write takes text for the file, at the place where reading has come to.
func (s *stream) write(text string) error {
	if text == "" {
		return nil
	}
	if !s.writes {
		return syscall.EBADF
	}
	if len(s.in) > 0 {
		if _, err := s.f.Seek(-int64(len(s.in)), io.SeekCurrent); err != nil {
			return err //nolint:wrapcheck // it goes to the script in C's words
		}
		s.in = nil
	}
	if len(s.out)+len(text) > bufferSize {
		if err := s.flush(); err != nil {
			return err
		}
	}
	if len(text) > bufferSize {
		_, err := s.f.WriteString(text)
		return err //nolint:wrapcheck // see above
	}
	s.out = append(s.out, text...)
	return nil
}

func (s *stream) seek(offset int64, whence int) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.flush(); err != nil {
		return 0, err
	}
	if whence == io.SeekCurrent {
		offset -= int64(len(s.in))
	}
	at, err := s.f.Seek(offset, whence)
	if err == nil {
		s.in = nil
	}
	return at, err //nolint:wrapcheck // it goes to the script in C's words
}

// more tells whether there is something to read.
func (s *stream) more() (bool, error) {
	if len(s.in) > 0 {
		return true, nil
	}
	if !s.reads {
		return false, syscall.EBADF
	}
	if err := s.flush(); err != nil {
		return false, err
	}
	if s.space == nil {
		s.space = make([]byte, bufferSize)
	}
	n, err := s.f.Read(s.space)
	s.in = s.space[:n]
	if n > 0 || errors.Is(err, io.EOF) {
		return n > 0, nil
	}
	return false, err //nolint:wrapcheck // it goes to the script in C's words
}

// take moves n bytes of what has been read to the end of text.
func (s *stream) take(c call, text []byte, n int) []byte {
	if len(text)+n > maxString {
		c.Errorf("resulting string too large")
	}
	c.spendBytes(n)
	if need := len(text) + n; need > cap(text) && need >= large {
		c.Alloc(2 * need)
		text = append(make([]byte, 0, 2*need), text...)
	}
	text = append(text, s.in[:n]...)
	s.in = s.in[n:]
	return text
}

// line reads up to the end of a line, which it keeps or not.
func (s *stream) line(c call, keep bool) (text []byte, ok bool, err error) {
	for {
		if ok, err = s.more(); !ok || err != nil {
			return text, len(text) > 0, err
		}
		if i := bytes.IndexByte(s.in, '\n'); i >= 0 {
			if text = s.take(c, text, i+1); !keep {
				text = text[:len(text)-1]
			}
			return text, true, nil
		}
		text = s.take(c, text, len(s.in))
	}
}

// chars reads up to n bytes.
func (s *stream) chars(c call, n int64) (text []byte, ok bool, err error) {
	for int64(len(text)) < n {
		if ok, err = s.more(); !ok || err != nil {
			break
		}
		text = s.take(c, text, int(min(int64(len(s.in)), n-int64(len(text)))))
	}
	return text, len(text) > 0, err
}

// maxNumeral is the longest numeral that read("n") takes, as in PUC Lua.
const maxNumeral = 200

// numeral reads a number byte by byte.
type numeral struct {
	s    *stream
	text []byte
	err  error
	long bool
}

// accept takes the next byte if it is one of set.
func (n *numeral) accept(set string) bool {
	if n.err != nil || n.long {
		return false
	}
	ok, err := n.s.more()
	if n.err = err; !ok || strings.IndexByte(set, n.s.in[0]) < 0 {
		return false
	}
	if len(n.text) >= maxNumeral {
		n.long = true
		return false
	}
	n.text = append(n.text, n.s.in[0])
	n.s.in = n.s.in[1:]
	return true
}

func (n *numeral) digits(set string) (count int) {
	for n.accept(set) {
		count++
	}
	return count
}

// number reads a numeral, as far as it could be one.
func (s *stream) number(c call) (Number, bool, error) {
	for {
		ok, err := s.more()
		if err != nil {
			return Number{}, false, err
		}
		if !ok || strings.IndexByte(" \t\n\v\f\r", s.in[0]) < 0 {
			break
		}
		rest := bytes.TrimLeft(s.in, " \t\n\v\f\r")
		c.Spend(len(s.in) - len(rest))
		s.in = rest
	}
	n := &numeral{s: s}
	n.accept("+-")
	count, digits, exponent := 0, "0123456789", "eE"
	if n.accept("0") {
		if n.accept("xX") {
			digits, exponent = "0123456789abcdefABCDEF", "pP"
		} else {
			count = 1
		}
	}
	count += n.digits(digits)
	if n.accept(".") {
		count += n.digits(digits)
	}
	if count > 0 && n.accept(exponent) {
		n.accept("+-")
		n.digits("0123456789")
	}
	if n.err != nil || n.long {
		return Number{}, false, n.err
	}
	v, ok := ParseNumber(string(n.text))
	return v, ok, nil
}
