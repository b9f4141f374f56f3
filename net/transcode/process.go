package transcode

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/net/media"
)

var (
	errStalled = errors.New("transcode: it gives nothing")
	errFull    = errors.New("transcode: it takes nothing")
)

const (
	// leadIn is where an input's times begin, so that those that an encoder puts before its first sound are not below 0.
	leadIn = 10 * time.Second
	// maxWrite is how long a process may take none of what it is given: the pipe has place for some seconds of sound.
	maxWrite = time.Second
	// maxJitter is how far a time may be from the end of the frame before it and still mean it: times in milliseconds are not exact, and players of RTP want them to be.
	maxJitter = 15 * time.Millisecond
	// maxFarewell is how long what a process has written is read when it has ended, and how long it may take to end when there is no more to read.
	maxFarewell = time.Second
	// maxFed is how many frames a process may be given without giving any, however long that takes: an encoder waits for the next one.
	maxFed = 25
	// maxLines and maxLine bound what a process's complaints take of the log.
	maxLines = 5
	maxLine  = 300
)

// process is a run of ffmpeg.
type process struct {
	from  *media.Params
	to    media.Codec
	log   *slog.Logger
	began time.Time

	cmd  *exec.Cmd
	in   *os.File
	out  *os.File
	says *os.File
	done chan struct{} // closed when it has ended
	gone chan struct{} // closed when nothing is left of it

	input muxer
	base  atomic.Int64  // a DTS, and one more: that which is at leadIn
	fed   atomic.Int64  // frames that it was given since the last that it gave
	since atomic.Int64  // Unix nanoseconds when it was given the first of these
	gave  atomic.Uint64 // frames

	mu     sync.Mutex
	why    error
	ending bool
	last   string // line that it wrote
}

// startProcess starts ffmpeg. run has to follow.
func startProcess(program string, from *media.Params, to media.Codec, log *slog.Logger) (*process, error) {
	path, err := Find(program)
	if err != nil {
		return nil, err
	}
	p := &process{from: from, to: to, log: log, began: time.Now(), done: make(chan struct{}), gone: make(chan struct{}), input: newMuxer(from)}
	p.cmd = exec.Command(path, arguments(from.Codec, to)...) //nolint:gosec,noctx // the operator's program, with arguments of ours; end ends it, with a reason
	p.cmd.Env = environment()
	dieWithUs(p.cmd)
	theirs, err := p.pipes()
	if err != nil {
		return nil, err
	}
	started := make(chan error)
	go p.keep(started, theirs)
	if err := <-started; err != nil {
		p.close(p.in, p.out, p.says)
		return nil, fmt.Errorf("transcode: %w", err)
	}
	return p, nil
}

// pipes makes both ends of three; the process's are given.
func (p *process) pipes() (theirs []*os.File, err error) {
	var all []*os.File
	for range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			p.close(all...)
			return nil, fmt.Errorf("transcode: %w", err)
		}
		all = append(all, r, w)
	}
	p.in, p.out, p.says = all[1], all[2], all[4]
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = all[0], all[3], all[5]
	return []*os.File{all[0], all[3], all[5]}, nil
}

func (p *process) close(files ...*os.File) {
	for _, f := range files {
		_ = f.Close() // there is nothing in it that anybody wants
	}
}

// keep starts the process, waits for its end and tells when all that is of it is gone. Its thread is its own: the process ends with the thread that has started it, so that it ends with the node.
func (p *process) keep(started chan<- error, theirs []*os.File) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	p.close(theirs...)
	started <- err
	if err != nil {
		return
	}
	err = p.cmd.Wait()
	p.end(fmt.Errorf("transcode: it has ended: %w", cause(err)))
	soon := time.Now().Add(maxFarewell) // what it has written is read; nobody else may keep the pipes open
	_ = p.out.SetReadDeadline(soon)
	_ = p.says.SetReadDeadline(soon)
	close(p.done)
}

func cause(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// run reads what comes back. write is given frames with their times on the stream's timeline.
func (p *process) run(write func(at time.Duration, data []byte) error) {
	var readers sync.WaitGroup
	readers.Go(p.listen)
	readers.Go(func() {
		if err := p.read(write); err != nil {
			p.end(err)
		}
		_, _ = io.Copy(io.Discard, p.out) // it is not to wait for us while it ends
	})
	go func() {
		readers.Wait()
		select {
		case <-p.done:
		case <-time.After(maxFarewell): // it has closed its pipes, and lives
			p.end(errStalled)
			<-p.done
		}
		p.close(p.in, p.out, p.says)
		close(p.gone)
	}()
}

// end ends it for a reason, nil being none. The first one counts.
func (p *process) end(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ending {
		return
	}
	p.ending, p.why = true, why
	_ = p.cmd.Process.Kill() // it may have ended
}

// err is why it has ended, with what it said last.
func (p *process) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == "" || p.why == nil {
		return p.why
	}
	return fmt.Errorf("%w: %s", p.why, p.last)
}

// fits tells whether frames with these parameters may go on where those before have ended.
func (p *process) fits(params *media.Params) bool {
	if p.from != params && p.from.Codec == params.Codec && bytes.Equal(p.from.Config, params.Config) {
		p.from = params // told again
	}
	return p.from == params
}

// feed gives it a frame. It waits for maxWrite at most.
func (p *process) feed(f *media.Frame) error {
	p.base.CompareAndSwap(0, int64(f.DTS)+1)
	at := f.DTS - time.Duration(p.base.Load()-1) + leadIn
	if err := p.in.SetWriteDeadline(time.Now().Add(maxWrite)); err != nil {
		return fmt.Errorf("transcode: %w", err)
	}
	_, err := p.in.Write(p.input.append(f, max(at, 0)))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errFull
	}
	if err != nil {
		return fmt.Errorf("transcode: %w", err)
	}
	if p.fed.Add(1) == 1 {
		p.since.Store(time.Now().UnixNano())
	}
	return nil
}

// stalled tells whether it has been fed for so long and given nothing.
func (p *process) stalled(limit time.Duration) bool {
	return p.fed.Load() > maxFed && time.Since(time.Unix(0, p.since.Load())) > limit
}

// read passes on what comes back, until there is no more or it is not what it should be.
func (p *process) read(write func(at time.Duration, data []byte) error) error {
	var next time.Duration // the end of the frame before
	began := false
	return demux(bufio.NewReaderSize(p.out, 16<<10), p.to, func(at, long time.Duration, data []byte) error {
		p.fed.Store(0)
		p.gave.Add(1)
		at += time.Duration(p.base.Load()-1) - leadIn
		if began && (at-next).Abs() <= maxJitter {
			at = next
		}
		began, next = true, at+long
		return write(at, data)
	})
}

// listen logs the first lines of what it complains of, and keeps the last.
func (p *process) listen() {
	lines := bufio.NewReaderSize(p.says, maxLine)
	for n := 0; ; n++ {
		line, long, err := lines.ReadLine()
		text := strings.TrimSpace(strings.ToValidUTF8(string(line), "?"))
		if text != "" {
			p.mu.Lock()
			p.last = text
			p.mu.Unlock()
			if n < maxLines {
				p.log.Warn("ffmpeg says", "pid", p.pid(), "text", text)
			}
		}
		for long && err == nil {
			_, long, err = lines.ReadLine()
		}
		if err != nil {
			return
		}
	}
}

// environment is that of the node without what is the node's own: its configuration may have secrets.
func environment() []string {
	env := []string{"AV_LOG_FORCE_NOCOLOR=1"}
	for _, one := range os.Environ() {
		if !strings.HasPrefix(one, "SKUA_") {
			env = append(env, one)
		}
	}
	return env
}
