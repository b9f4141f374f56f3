package room

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/net/record"
)

// ErrRecord tells that a recording can't be begun. It comes wrapped with why.
var ErrRecord = errors.New("room: not recorded")

// recorded is a file that is finished. It goes to the service, since the room may have ended before its file.
type recorded struct{ file record.File }

// recording tells whether the room is recorded now.
func (r *room) recording() bool {
	if r.tape == nil {
		return false
	}
	select {
	case <-r.tape.Done():
		return false
	default:
		return true
	}
}

// record begins to write the room's stream, also before somebody publishes. It waits for no disk: what fails there is told by on_record.
func (r *room) record(c *actor.Context, args value.List) {
	opt, err := recordOptions(args.At(0))
	switch {
	case err != nil:
	case r.cfg.Recorder == nil:
		err = errors.New("the node has no media.record_dir")
	case r.recording():
		err = errors.New("it is recorded already")
	default:
		err = r.begin(c, opt)
	}
	if err != nil {
		c.Reply(nil, fmt.Errorf("%w: room %s: %w", ErrRecord, r.name, err))
		return
	}
	c.Reply(value.Of(true), nil)
}

func (r *room) begin(c *actor.Context, opt record.Options) error {
	v, err := r.stream.Join(record.Viewer())
	if err != nil {
		return err
	}
	service, ok := c.System().Lookup(ServiceName)
	if !ok {
		v.Close(nil)
		return errors.New("the node stops")
	}
	sys := c.System()
	r.tape, err = r.cfg.Recorder.Start(v, r.name, opt, func(f record.File) { sys.Send(service, recorded{f}) })
	return err
}

// stopRecord tells whether there was a recording.
func (r *room) stopRecord(c *actor.Context) {
	runs := r.recording()
	if runs {
		r.tape.Stop()
	}
	c.Reply(value.Of(runs), nil)
}

// recordOptions reads what a script asks for: format, seconds and bytes.
func recordOptions(v value.Value) (opt record.Options, err error) {
	if v.IsNil() {
		return opt, nil
	}
	if v.Kind() != value.Table {
		return opt, fmt.Errorf("%w: a %s, expected a table of format, seconds and bytes", record.ErrOptions, v.Kind())
	}
	v.Pairs(func(key, found value.Value) bool {
		ok := false
		switch name, _ := key.Str(); name {
		case "format":
			var format string
			format, ok = found.Str()
			opt.Format = record.Format(format)
		case "seconds":
			var seconds float64
			seconds, ok = found.Float()
			ok = ok && seconds > 0 && seconds < float64(math.MaxInt64/time.Second)
			opt.Every = time.Duration(seconds * float64(time.Second))
		case "bytes":
			opt.Bytes, ok = found.Int()
			ok = ok && opt.Bytes > 0
		}
		if !ok {
			err = fmt.Errorf("%w: %s = %s, expected format, seconds and bytes", record.ErrOptions, key, found)
		}
		return ok
	})
	return opt, err
}

// fileTable is a file as scripts see it.
func fileTable(f record.File) map[string]any {
	t := map[string]any{
		"name": f.Name, "path": f.Path, "format": string(f.Format), "began": f.Began.Unix(), "seconds": f.Duration.Seconds(), "bytes": f.Bytes,
		"frames": int64(f.Frames), "lost": int64(f.Lost), "last": f.Last,
		"failed": errors.Is(f.Err, record.ErrDisk) || errors.Is(f.Err, record.ErrQuota) || errors.Is(f.Err, record.ErrTracks),
	}
	if f.Name == "" { // there is no file
		delete(t, "name")
		delete(t, "path")
		delete(t, "began")
	}
	if f.Err != nil {
		t["reason"] = f.Err.Error()
	}
	return t
}
