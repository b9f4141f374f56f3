// Package record writes streams to files: fragmented MP4, or FLV. A recording is a viewer of its stream, so that a disk that is slow costs nobody else anything, and what waits for
// it is bounded by the stream's ring.
//
// What is in a file can be played whatever happens to the process: MP4 up to the last fragment, FLV up to the last tag, written once a Config.Flush.
package record

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/net/media"
)

// Why a recording is not begun, or ends. They come wrapped with what concerned.
var (
	// ErrOptions: what was asked for is not possible.
	ErrOptions = errors.New("record: bad options")
	// ErrFull: there are as many recordings as there may be.
	ErrFull = errors.New("record: too many recordings")
	// ErrQuota: the files have as many bytes as they may have.
	ErrQuota = errors.New("record: the quota of the disk is used up")
	// ErrDisk: a file could not be made or written.
	ErrDisk = errors.New("record: the disk has failed")
	// ErrTracks: nothing of the stream can be in the format.
	ErrTracks = errors.New("record: no track can be in this format")
	// ErrStopped: it was asked to end, or the node stops.
	ErrStopped = errors.New("record: stopped")
)

// Format is how files are written.
type Format string

// The formats.
const (
	MP4 Format = "mp4" // fragmented: H.264, H.265, AV1, VP9, AAC, Opus, MP3
	FLV Format = "flv" // all codecs; beyond H.264, AAC and MP3 as Enhanced RTMP has them
)

// Config bounds a Recorder. Dir is needed.
type Config struct {
	// Dir is where the files are. It is made if it is not there; links in it that lead out of it are not followed.
	Dir string
	// Quota is how many bytes all files under Dir may have, those of others too. What is above it is not written: files are never deleted here. Default 10 GiB.
	Quota int64
	// Max is how many recordings there may be at a time. Default 100.
	Max int
	// Every and Bytes are when a new file is begun, at the next key frame, for who asks for nothing else. Default 1 h and 1 GiB.
	Every time.Duration
	Bytes int64
	// Flush is how much of the stream is written at a time, and lost at most when the process is killed. Default 1 s.
	Flush time.Duration
	// Log gets what operators should see. Default: nothing is logged.
	Log *slog.Logger
}

// Options are what is asked for of one recording. The zero value is what Config has, in MP4.
type Options struct {
	Format Format
	Every  time.Duration
	Bytes  int64
}

// The least that may be asked for: each file costs a look at the directory.
const (
	minEvery = time.Second
	minBytes = 64 << 10
)

// File is what is told of a file when it is finished, or could not be made: its Name is empty then.
type File struct {
	Room, Name, Path string
	Format           Format
	Began            time.Time
	Duration         time.Duration
	Bytes            int64
	Frames           uint64
	// Lost frames were not written: the disk was too slow, or their parameters do not fit into the file.
	Lost uint64
	// Last: the recording has ended with it, and Err says why.
	Last bool
	Err  error
}

// Counts are what a Recorder has done.
type Counts struct {
	Now                int
	Files, Bytes, Lost uint64
	Failed             uint64 // recordings that ended by an ErrDisk
	OverQuota          uint64 // those that ended by an ErrQuota
	Used, Quota        int64
}

// Recorder makes recordings. Its methods may be called by anybody.
type Recorder struct {
	cfg     Config
	disk    disk
	running sync.WaitGroup

	mu       sync.Mutex
	now      map[*Recording]struct{}
	stopping bool

	files, bytes, lost, failed, overQuota atomic.Uint64
}

// New makes a recorder. Nothing is looked at on the disk before the first recording.
func New(cfg Config) (*Recorder, error) {
	if cfg.Dir == "" {
		return nil, fmt.Errorf("%w: Config.Dir is needed", ErrOptions)
	}
	size := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	wait := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	size(&cfg.Quota, 10<<30)
	size(&cfg.Bytes, 1<<30)
	wait(&cfg.Every, time.Hour)
	wait(&cfg.Flush, time.Second)
	if cfg.Max <= 0 {
		cfg.Max = 100
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Recorder{cfg: cfg, disk: disk{dir: cfg.Dir, quota: cfg.Quota}, now: map[*Recording]struct{}{}}, nil
}

// fileName is what a room may be called to be part of a file's name.
var fileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// Viewer is how a recording has to watch: it is patient with its disk for as long as the ring has frames.
func Viewer() media.ViewerConfig {
	return media.ViewerConfig{Lag: 25 * time.Second, Patience: 1 << 62}
}

// Start records what a viewer made of Viewer gets until that ends, or Stop. It returns at once; on an error the viewer has been closed. done is called for each file, and once
// with Last, on a goroutine of the recording's own.
func (r *Recorder) Start(v *media.Viewer, room string, opt Options, done func(File)) (*Recording, error) {
	one, err := r.start(v, room, opt, done)
	if err != nil {
		v.Close(err)
	}
	return one, err
}

func (r *Recorder) start(v *media.Viewer, room string, opt Options, done func(File)) (*Recording, error) {
	if !fileName.MatchString(room) {
		return nil, fmt.Errorf("%w: the name %q, expected a letter or a digit, then up to 63 letters, digits, - and _", ErrOptions, room[:min(len(room), 64)])
	}
	if opt.Format == "" {
		opt.Format = MP4
	}
	if opt.Every == 0 {
		opt.Every = r.cfg.Every
	}
	if opt.Bytes == 0 {
		opt.Bytes = r.cfg.Bytes
	}
	switch {
	case opt.Format != MP4 && opt.Format != FLV:
		return nil, fmt.Errorf("%w: format %q, expected mp4 or flv", ErrOptions, opt.Format)
	case opt.Every < minEvery:
		return nil, fmt.Errorf("%w: a new file each %s, expected %s or more", ErrOptions, opt.Every, minEvery)
	case opt.Bytes < minBytes:
		return nil, fmt.Errorf("%w: a new file each %d bytes, expected %d or more", ErrOptions, opt.Bytes, int64(minBytes))
	}
	one := &Recording{r: r, v: v, room: room, opt: opt, done: done, end: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.stopping:
		return nil, ErrStopped
	case len(r.now) >= r.cfg.Max:
		return nil, fmt.Errorf("%w: %d", ErrFull, len(r.now))
	}
	r.now[one] = struct{}{}
	r.running.Go(one.run)
	return one, nil
}

// Serve waits for the end of ctx, ends all recordings and returns when their files are finished.
func (r *Recorder) Serve(ctx context.Context) error {
	<-ctx.Done()
	r.mu.Lock()
	r.stopping = true
	for one := range r.now {
		one.Stop()
	}
	r.mu.Unlock()
	r.running.Wait()
	return nil
}

// Counts are the recorder's so far.
func (r *Recorder) Counts() Counts {
	r.mu.Lock()
	now := len(r.now)
	r.mu.Unlock()
	return Counts{
		Now: now, Files: r.files.Load(), Bytes: r.bytes.Load(), Lost: r.lost.Load(), Failed: r.failed.Load(), OverQuota: r.overQuota.Load(),
		Used: r.disk.usage(), Quota: r.cfg.Quota,
	}
}

// count tells why a recording has ended.
func (r *Recorder) count(reason error) {
	switch {
	case errors.Is(reason, ErrQuota):
		r.overQuota.Add(1)
	case errors.Is(reason, ErrDisk):
		r.failed.Add(1)
	}
}

// ended takes a recording out.
func (r *Recorder) ended(one *Recording) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.now, one)
}
