// Package transcode makes sound of one codec of sound of another, for viewers whose players do not know what is published: AAC and MP3 become Opus, Opus becomes AAC. The work is done
// by ffmpeg, a process of its own for each stream that needs it: one for all viewers, started with the first and ended some time after the last.
//
// Frames go to the process by a pipe in a container that has times (FLV, or Ogg for Opus), and come back so (Ogg for Opus, FLV for AAC). Their times on the stream's timeline are kept:
// what an encoder puts in front of its sound is accounted for, and gaps stay gaps. Pictures never wait for any of it. A process that dies, gives nothing, takes nothing or
// writes what can't be read is ended and started again, after a pause that grows; what is published meanwhile is dropped, and counted.
//
// The arguments of the process are fixed, its input is a pipe, and it may open nothing else.
package transcode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/net/media"
)

var (
	// ErrMissing tells that there is no such program.
	ErrMissing = errors.New("transcode: ffmpeg is not there")
	// ErrBusy tells that there are as many processes as there may be.
	ErrBusy = errors.New("transcode: too many processes")
)

// Config bounds a Transcoder. The zero value works.
type Config struct {
	// Program is ffmpeg: a name that is looked for in PATH, or a path. Default ffmpeg.
	Program string
	// Max is how many processes there may be. Streams beyond go without. Default 8.
	Max int
	// Grace is how long a process goes on after the last viewer that needed it. Default 10 s.
	Grace time.Duration
	// Silence is how long a process goes on when nothing is published that it could make something of. The next sound starts another. Default 10 s.
	Silence time.Duration
	// Pause is before a process that has failed is started again; it doubles up to MaxPause. Default 200 ms and 30 s.
	Pause, MaxPause time.Duration
	// Stall is how long a process may give nothing while it is fed. Default 5 s.
	Stall time.Duration
	// Log gets why processes fail, and what they say. Default: nothing is logged.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Program == "" {
		c.Program = "ffmpeg"
	}
	if c.Max <= 0 {
		c.Max = 8
	}
	for v, d := range map[*time.Duration]time.Duration{&c.Grace: 10 * time.Second, &c.Silence: 10 * time.Second, &c.Pause: 200 * time.Millisecond, &c.MaxPause: 30 * time.Second, &c.Stall: 5 * time.Second} {
		if *v <= 0 {
			*v = d
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Find tells where a program is, or an ErrMissing that says what was looked for.
func Find(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMissing, err)
	}
	return path, nil
}

// Transcoder has the processes of a node. Its methods may be called by anybody.
type Transcoder struct {
	cfg  Config
	wait sync.WaitGroup
	end  chan struct{} // closed at the end

	mu      sync.Mutex
	jobs    map[*media.Stream]*job
	running int
	ended   bool

	restarts, in, out, dropped, refused atomic.Uint64
}

// Counts are what there has been so far.
type Counts struct {
	// Running processes now.
	Running int
	// Restarts of processes that had failed, and attempts that were Refused since there were too many.
	Restarts, Refused uint64
	// In are the frames that processes were given, Out those that came back, Dropped those that nobody was there for, or that were too old.
	In, Out, Dropped uint64
}

// New makes one. Serve has to follow.
func New(cfg Config) *Transcoder {
	return &Transcoder{cfg: cfg.withDefaults(), end: make(chan struct{}), jobs: map[*media.Stream]*job{}}
}

// Counts are those of now.
func (t *Transcoder) Counts() Counts {
	t.mu.Lock()
	running := t.running
	t.mu.Unlock()
	return Counts{Running: running, Restarts: t.restarts.Load(), Refused: t.refused.Load(), In: t.in.Load(), Out: t.out.Load(), Dropped: t.dropped.Load()}
}

// Serve waits for the end of ctx, ends all processes and returns when they are gone. Nothing is made after it.
func (t *Transcoder) Serve(ctx context.Context) error {
	<-ctx.Done()
	t.mu.Lock()
	if !t.ended {
		t.ended = true
		close(t.end)
	}
	t.mu.Unlock()
	t.wait.Wait()
	return nil
}

// makes tells what becomes of what.
func makes(from, to media.Codec) bool {
	return to == media.Opus && (from == media.AAC || from == media.MP3) || from == media.Opus && to == media.AAC
}

// Convert looks whether a stream has viewers that can't play its sound, and has it made for them then: a media.Config's Convert. The name of its room is for the log. It does not wait.
func (t *Transcoder) Convert(room string, s *media.Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from, to, ok := s.Need()
	j := t.jobs[s]
	switch {
	case t.ended:
		return
	case j != nil:
		j.turn(from, to, ok)
		return
	case !ok || !makes(from.Codec, to):
		return
	}
	v, err := s.Join(media.ViewerConfig{Want: media.ConvertedFrom, Live: true, Patience: 1 << 62})
	if err != nil {
		return // the stream has ended, or is full
	}
	j = &job{t: t, stream: s, viewer: v, log: t.cfg.Log.With("room", room)}
	t.jobs[s] = j
	j.turn(from, to, ok)
	t.wait.Go(j.run)
}

// seat takes one of the processes there may be.
func (t *Transcoder) seat() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running >= t.cfg.Max {
		return fmt.Errorf("%w: %d, expected fewer than media.max_transcoders", ErrBusy, t.running)
	}
	t.running++
	return nil
}

func (t *Transcoder) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
}
