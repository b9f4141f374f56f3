package record

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/skua-go/skua/net/media"
)

// Recording is one that runs.
type Recording struct {
	r    *Recorder
	v    *media.Viewer
	room string
	opt  Options
	done func(File)
	end  chan struct{}

	// of its goroutine
	out     *output
	form    format
	file    File
	first   time.Duration
	last    time.Duration
	lost    uint64        // as the viewer has told when the file began
	picture time.Duration // DTS of the last one
	silence time.Duration // DTS of the first sound that waits for a picture
	waits   bool
	over    bool                           // it was told that it has ended
	moved   bool                           // a frame did not fit: the next file begins where it can
	never   [media.MaxTracks]*media.Params // what the format can't have
	left    string                         // as it was logged
	refused error                          // why no file could be begun, since the frame of that time
	since   time.Duration
}

// patience is how long sound waits for pictures: to begin with, and to go on in one file; and how long a recording of what its format can't have waits for what it can.
const patience = 5 * time.Second

// Stop ends it. The file is finished a little later: done is told.
func (r *Recording) Stop() { r.v.Close(ErrStopped) }

// Done is closed when it has ended and its last file is finished.
func (r *Recording) Done() <-chan struct{} { return r.end }

// run writes until the viewer ends.
func (r *Recording) run() {
	err := r.frames()
	if r.refused != nil && r.out == nil && !errors.Is(err, ErrTracks) {
		err = fmt.Errorf("%w; %w", r.refused, err)
	}
	r.v.Close(err)
	_ = r.finish(err, true) // done is told
	r.r.ended(r)
	close(r.end)
}

func (r *Recording) frames() error {
	var frames [64]*media.Frame
	for {
		n, err := r.v.Next(frames[:])
		if err != nil {
			return err
		}
		for _, f := range frames[:n] {
			if err := r.put(f); err != nil {
				return err
			}
		}
		clear(frames[:n])
	}
}

// put writes a frame, into a new file where one is due.
func (r *Recording) put(f *media.Frame) error {
	fresh := false
	switch {
	case r.never[f.Track.ID] == f.Params:
		r.file.Lost++
		if r.out == nil && r.refused != nil && f.DTS-r.since >= patience {
			return r.refused
		}
		return nil
	case r.out == nil && !r.begins(f):
		r.file.Lost++
		return nil
	case r.out == nil || r.cuts(f):
		if err := r.finish(nil, false); err != nil {
			return err
		}
		err := r.begin(f)
		if errors.Is(err, ErrTracks) { // what else is published may not have come yet
			if r.refused == nil {
				r.since = f.DTS
			}
			r.never[f.Track.ID], r.refused = f.Params, err
			r.file.Lost++
			return nil
		}
		if err != nil {
			return err
		}
		r.refused = nil
		fresh = true
	}
	if !r.form.fits(f) {
		if fresh { // nor will it be in the next
			r.never[f.Track.ID] = f.Params
		} else {
			r.moved = true
		}
		r.file.Lost++
		return nil
	}
	piece, err := r.form.add(f)
	if err != nil {
		return err
	}
	r.file.Frames++
	r.last = max(r.last, f.DTS)
	if f.Track.Kind == media.Video {
		r.picture = f.DTS
	}
	return r.write(piece)
}

// begins tells whether the first file may begin with a frame: with a picture, if any are announced and come soon.
func (r *Recording) begins(f *media.Frame) bool {
	if f.Track.Kind == media.Video {
		return f.Key
	}
	for _, t := range r.v.Described() {
		if t.Kind != media.Video || r.never[t.ID] == t.Params {
			continue
		}
		if !r.waits {
			r.waits, r.silence = true, f.DTS
		}
		return f.DTS-r.silence >= patience
	}
	return true
}

// cuts tells whether the file ends before a frame.
func (r *Recording) cuts(f *media.Frame) bool {
	if !f.Key || r.form.video() && f.Track.Kind != media.Video && f.DTS-r.picture < patience {
		return false
	}
	return r.moved || !r.form.fits(f) || f.DTS-r.first >= r.opt.Every || r.out.size >= r.opt.Bytes
}

// begin makes a file whose first frame is this.
func (r *Recording) begin(f *media.Frame) error {
	var left, err error
	var form format
	if r.opt.Format == FLV {
		form = newFLV(r.v.Described(), f, r.r.cfg.Flush)
	} else if form, left, err = newMP4(r.v.Described(), f, r.r.cfg.Flush); err != nil {
		return fmt.Errorf("%w: %w", ErrTracks, err)
	}
	if left != nil && left.Error() != r.left {
		r.left = left.Error()
		r.r.cfg.Log.Warn("a track is not recorded", "room", r.room, "format", string(r.opt.Format), "error", left)
	}
	now := time.Now().UTC()
	file, name, err := r.r.disk.create(r.room+"-"+now.Format("20060102T150405.000Z"), "."+string(r.opt.Format))
	if err != nil {
		return err
	}
	path := filepath.Join(r.r.cfg.Dir, name)
	r.out, r.form, r.moved = &output{disk: &r.r.disk, file: file, path: path}, form, false
	r.file = File{Room: r.room, Name: name, Path: path, Format: r.opt.Format, Began: now, Lost: r.file.Lost}
	r.first, r.last, r.picture = f.DTS, f.DTS, f.DTS
	return nil
}

func (r *Recording) write(piece []byte) error {
	if len(piece) == 0 {
		return nil
	}
	if err := r.out.write(piece); err != nil {
		return err
	}
	r.r.bytes.Add(uint64(len(piece)))
	return nil
}

// finish ends the file that there is, and tells of it, and of the recording's end. It returns the reason, or what has failed now.
func (r *Recording) finish(reason error, last bool) error {
	if r.over || r.out == nil && !last {
		return reason
	}
	if r.out != nil {
		reason = r.complete(reason)
		r.file.Bytes, r.file.Duration = r.out.size, r.last-r.first
		r.r.files.Add(1)
	} else {
		r.file = File{Room: r.room, Format: r.opt.Format, Lost: r.file.Lost}
	}
	if failed(reason) {
		last = true
	}
	counts := r.v.Counts()
	r.file.Lost += counts.Lost + counts.Skipped - r.lost
	r.lost = counts.Lost + counts.Skipped
	r.r.lost.Add(r.file.Lost)
	r.file.Last, r.file.Err = last, reason
	r.r.cfg.Log.Info("a recording has a file", "room", r.room, "file", r.file.Name, "bytes", r.file.Bytes, "duration", r.file.Duration.Round(time.Millisecond), "lost", r.file.Lost,
		"last", last, "reason", reason)
	if last {
		r.r.count(reason)
	}
	if r.done != nil {
		r.done(r.file)
	}
	r.over = last
	r.out, r.file = nil, File{}
	if failed(reason) || last {
		return reason
	}
	return nil
}

// complete writes what is left and closes the file.
func (r *Recording) complete(reason error) error {
	if !failed(reason) {
		piece, err := r.form.end()
		if err == nil {
			err = r.write(piece)
		}
		if err != nil {
			reason = err
		}
	}
	if err := r.out.close(); err != nil && !failed(reason) {
		reason = err
	}
	return reason
}

// failed tells whether nothing more can be written.
func failed(reason error) bool { return errors.Is(reason, ErrDisk) || errors.Is(reason, ErrQuota) }
