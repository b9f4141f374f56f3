package record

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
)

// Config is how to record. The zero Config works.
type Config struct {
	// Buffer is how many messages may wait for the writer. One more, and the recording ends with ErrTooSlow: an actor never waits. Default 16,384.
	Buffer int
}

// Recorder records the messages of one actor until Close is called or the actor ends.
type Recorder struct {
	sys   *actor.System
	ref   actor.Ref
	name  string
	types *Registry
	began time.Time
	w     *bufio.Writer
	coder *coder
	told  map[string]bool // types of messages that could not be recorded, and that is logged
	wake  chan struct{}
	done  chan struct{} // closed when all is written
	n     int           // messages that were written

	mu    sync.Mutex
	limit int
	queue []seen
	end   string // why nothing more is taken
	err   error
}

// seen is a message as it came.
type seen struct {
	actor.Inbound
	own bool
}

// Start records the messages of an actor as lines of text, see the package's comment, from now on. It blocks while w takes the header. What
// the actor handles is written by a goroutine, which Close ends and waits for. w must be written to by nobody else until then, and is not closed.
func Start(sys *actor.System, ref actor.Ref, w io.Writer, types *Registry) (*Recorder, error) {
	return Config{}.Start(sys, ref, w, types)
}

// Start is Start with this Config.
func (cfg Config) Start(sys *actor.System, ref actor.Ref, w io.Writer, types *Registry) (*Recorder, error) {
	if cfg.Buffer <= 0 {
		cfg.Buffer = 16384
	}
	if types == nil {
		types = Types()
	}
	if err := types.Err(); err != nil {
		return nil, err
	}
	info, ok := sys.Inspect(ref)
	if !ok {
		return nil, fmt.Errorf("record: %w", &actor.Error{Code: actor.NoActor, Actor: ref.String()})
	}
	r := &Recorder{
		sys: sys, ref: ref, name: info.Name, types: types, began: time.Now(), w: bufio.NewWriterSize(w, 64<<10), coder: newCoder(), told: map[string]bool{},
		wake: make(chan struct{}, 1), done: make(chan struct{}), limit: cfg.Buffer,
	}
	if r.name == "" {
		r.name = ref.String()
	}
	r.name = strings.ToValidUTF8(r.name, "?")
	if err := r.writeHeader(); err != nil {
		return nil, err
	}
	remove, err := sys.Tap(ref, r.take)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	go r.run(remove)
	return r, nil
}

func (r *Recorder) writeHeader() error {
	data, err := marshalLine(Header{Version: version, Actor: r.name, Address: r.ref.String(), Began: r.began})
	if err == nil {
		_, err = r.w.Write(data)
	}
	if err == nil {
		err = r.w.Flush()
	}
	if err != nil {
		return fmt.Errorf("record: %s: header: %w", r.name, err)
	}
	return nil
}

// Close ends the recording and waits until what has been recorded is written, for as long as the writer takes for that. It returns why the recording has ended
// before, if it has: ErrTooSlow, or what the writer failed with. That the actor has ended is no error. It may be called again, and from any goroutine.
func (r *Recorder) Close() error {
	r.finish(endClosed, nil)
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// finish has nothing more taken. Only the first call counts.
func (r *Recorder) finish(why string, err error) {
	r.mu.Lock()
	r.finishLocked(why, err)
	r.mu.Unlock()
}

func (r *Recorder) finishLocked(why string, err error) {
	if r.end == "" {
		r.end, r.err = why, err
	}
	r.hint()
}

// hint has the writer look.
func (r *Recorder) hint() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// take is called in the actor.
func (r *Recorder) take(in actor.Inbound) {
	own := isOwn(r.sys, r.ref, in.From)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.end != "":
	case len(r.queue) >= r.limit:
		r.finishLocked(ErrTooSlow.Error(), fmt.Errorf("%w: %d messages wait", ErrTooSlow, r.limit))
	default:
		r.queue = append(r.queue, seen{in, own})
		if len(r.queue) == 1 {
			r.hint()
		}
	}
}

// isOwn tells whether what an actor gets is from itself or from a child of it.
func isOwn(sys *actor.System, ref, from actor.Ref) bool {
	if from == ref || from.IsZero() {
		return from == ref
	}
	i, ok := sys.Inspect(from)
	return ok && i.Parent == ref
}

// run writes what has been taken, until there is an end.
func (r *Recorder) run(remove func()) {
	defer close(r.done)
	ended := r.sys.Ended(r.ref)
	var batch []seen
	for over := false; !over; {
		select {
		case <-r.wake:
		case <-ended: // and has handled its last message
			r.finish(endActor, nil)
			ended = nil
		}
		batch, over = r.batch(batch)
		if err := r.write(batch); err != nil {
			r.fail(err)
			break
		}
		clear(batch)
	}
	remove()
	if err := r.writeEnd(); err != nil {
		r.fail(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = nil
	if r.err != nil {
		r.sys.Log().Error("recording has ended", "actor", r.name, "messages", r.n, "error", r.err)
	}
}

// batch is what is to be written, and whether nothing comes behind it. The memory of the last batch is used again.
func (r *Recorder) batch(last []seen) ([]seen, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.queue
	r.queue = last[:0]
	return now, r.end != ""
}

// fail notes what the writer failed with.
func (r *Recorder) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.end, r.err = "failed", fmt.Errorf("record: %s: %w", r.name, err)
	}
}

func (r *Recorder) write(batch []seen) error {
	for _, in := range batch {
		l := r.line(in)
		data, err := marshalLine(l)
		if err != nil { // JSON of a codec that is not strict
			l = r.unable(l, err)
			if data, err = marshalLine(l); err != nil {
				return err
			}
		}
		if _, err := r.w.Write(data); err != nil {
			return err
		}
		r.n++
	}
	return r.w.Flush()
}

// line is a message as it is written.
func (r *Recorder) line(in seen) line {
	l := line{At: max(0, in.At.Sub(r.began).Microseconds()), Request: in.Request, Own: in.own}
	if !in.From.IsZero() {
		l.From = in.From.String()
	}
	name, data, err := r.types.encode(r.coder, in.Message)
	if err == nil && len(data) > maxLine/2 {
		err = fmt.Errorf("%d bytes are too many for a line", len(data))
	}
	l.Type = name
	if err == nil {
		l.Message = data
		return l
	}
	return r.unable(l, err)
}

// unable is the line of a message that can't be recorded.
func (r *Recorder) unable(l line, err error) line {
	l.Message, l.Error = nil, strings.ToValidUTF8(err.Error(), "?")
	if !r.told[l.Type] {
		r.told[l.Type] = true
		r.sys.Log().Warn("message can't be recorded", "actor", r.name, "message", l.Type, "error", err)
	}
	return l
}

// writeEnd writes the last line.
func (r *Recorder) writeEnd() error {
	r.mu.Lock()
	why := r.end
	r.mu.Unlock()
	data, err := marshalLine(line{At: time.Since(r.began).Microseconds(), End: why, Messages: r.n})
	if err != nil {
		return err
	}
	if _, err := r.w.Write(data); err != nil {
		return err
	}
	return r.w.Flush()
}
