package transcode

import (
	"errors"
	"log/slog"
	"time"

	"github.com/skua-go/skua/net/media"
)

const (
	// lookEvery is how often a job looks whether it is needed.
	lookEvery = 250 * time.Millisecond
	// maxAge is how old a frame may be that a process is given: what waits longer is too late for who plays live.
	maxAge = 2 * time.Second
	// hopeless is after how many failures in a row without a frame viewers get sound as it comes. It goes on being tried.
	hopeless = 4
	// sound is how long a process has to live before its failure is a first one again.
	sound = 10 * time.Second
	// maxLife is when a process makes place for a new one: long before its input's times, milliseconds in 32 bits, begin anew.
	maxLife = 7 * 24 * time.Hour
)

// job makes the sound of one stream, as long as somebody needs it. One goroutine runs it.
type job struct {
	t      *Transcoder
	stream *media.Stream
	viewer *media.Viewer
	log    *slog.Logger

	// With t.mu.
	from   media.Codec // 0: nobody needs anything
	to     media.Codec
	made   *media.Made // what viewers are told of; nil: they get sound as it comes
	given  bool        // up, for now: there is no process, and none that was tried gave anything
	quitAt time.Time   // when nobody has needed it for the grace; zero: somebody does

	// Of its goroutine.
	proc   *process
	fed    time.Time // when it was given something last, or began
	failed int       // in a row
	others int       // processes that soon were for other sound than came, in a row
	next   time.Time // not before it is one started
	said   string    // why it failed last
}

// turn notes what is needed. Called with t.mu.
func (j *job) turn(from *media.Params, to media.Codec, ok bool) {
	if ok && makes(from.Codec, to) {
		j.quitAt = time.Time{}
		if j.from != from.Codec || j.to != to {
			j.from, j.to, j.given = from.Codec, to, false
			j.closeMade()
		}
		if j.made == nil && !j.given {
			j.openMade()
		}
		return
	}
	if from != nil && j.from != 0 && from.Codec != j.from { // another publisher, whom all can play
		j.from, j.to = 0, 0
		j.closeMade()
	}
	if j.quitAt.IsZero() {
		j.quitAt = time.Now().Add(j.t.cfg.Grace)
	}
}

// openMade promises viewers what they need. Called with t.mu.
func (j *job) openMade() {
	made, err := j.stream.Make(paramsOf(j.to))
	if err == nil {
		j.made, j.given = made, false
	}
}

func (j *job) closeMade() {
	if j.made != nil {
		j.made.Close()
		j.made = nil
	}
}

// giveUp has viewers get sound as it comes.
func (j *job) giveUp() {
	j.t.mu.Lock()
	defer j.t.mu.Unlock()
	j.given = true
	j.closeMade()
}

// run ends when nobody has needed anything for a while, or the stream or the node ends.
func (j *job) run() {
	defer j.over()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-j.t.end:
			return
		case <-j.ended():
			j.fail(j.proc.err())
		case <-tick.C:
			if !j.look() {
				return
			}
		case <-j.viewer.Wake():
			if !j.take() {
				return
			}
		}
	}
}

// ended is for the end of the process; nil without one.
func (j *job) ended() <-chan struct{} {
	if j.proc == nil {
		return nil
	}
	return j.proc.gone
}

func (j *job) over() {
	j.stop()
	j.viewer.Close(nil)
	j.t.mu.Lock()
	defer j.t.mu.Unlock()
	j.closeMade()
	if j.t.jobs[j.stream] == j {
		delete(j.t.jobs, j.stream)
	}
}

// look is what it does now and then. It tells whether it goes on.
func (j *job) look() bool {
	from, to, ok := j.stream.Need()
	j.t.mu.Lock()
	j.turn(from, to, ok)
	quit := !j.quitAt.IsZero() && time.Now().After(j.quitAt)
	if quit { // who comes from now on finds no job, and begins another
		delete(j.t.jobs, j.stream)
		j.closeMade()
	}
	j.t.mu.Unlock()
	if quit {
		return false
	}
	if p := j.proc; p != nil {
		switch {
		case p.stalled(j.t.cfg.Stall):
			p.end(errStalled)
		case time.Since(p.began) > maxLife, time.Since(j.fed) > j.t.cfg.Silence: // others may need its place more
			j.stop()
		}
	}
	return j.stream.Err() == nil
}

// take gives the process what has come. It tells whether more may.
func (j *job) take() bool {
	var frames [16]*media.Frame
	n, err := j.viewer.Take(frames[:])
	if err != nil {
		return false
	}
	for _, f := range frames[:n] {
		j.frame(f)
	}
	return true
}

func (j *job) frame(f *media.Frame) {
	j.t.mu.Lock()
	from, to := j.from, j.to
	j.t.mu.Unlock()
	if f.Params.Codec != from {
		j.replace()
		return // nobody needs anything of it
	}
	if j.proc != nil && (!j.proc.fits(f.Params) || j.proc.to != to) {
		j.replace()
	}
	if j.proc == nil {
		j.start(f.Params, to)
	}
	if j.proc == nil || time.Since(j.viewer.When(f)) > maxAge {
		j.t.dropped.Add(1)
		return
	}
	if err := j.proc.feed(f); err != nil {
		j.t.dropped.Add(1)
		j.proc.end(err)
		return
	}
	j.fed = time.Now()
	j.t.in.Add(1)
}

// start begins a process, if it is time to.
func (j *job) start(from *media.Params, to media.Codec) {
	if time.Now().Before(j.next) {
		return
	}
	if err := j.t.seat(); err != nil {
		j.t.refused.Add(1)
		j.next = time.Now().Add(time.Second)
		j.giveUp()
		j.say("sound is not made for viewers that can't play it", err)
		return
	}
	p, err := startProcess(j.t.cfg.Program, from, to, j.log)
	if err != nil {
		j.t.leave()
		j.fail(err)
		return
	}
	if j.failed > 0 {
		j.t.restarts.Add(1)
	}
	j.proc, j.fed = p, p.began
	p.run(func(at time.Duration, data []byte) error { return j.write(p, at, data) })
	j.log.Info("sound is transcoded", "from", from.Codec.String(), "to", to.String(), "pid", p.pid())
}

// write is for what comes back. It is called by the process's reader.
func (j *job) write(p *process, at time.Duration, data []byte) error {
	j.t.mu.Lock()
	if j.made == nil && j.to == p.to {
		j.openMade()
	}
	made := j.made
	if j.to != p.to {
		made = nil
	}
	j.t.mu.Unlock()
	if made == nil {
		return nil // nobody needs it any more
	}
	err := made.Write(at, data)
	switch {
	case err == nil:
		j.t.out.Add(1)
	case j.stream.Err() != nil:
		err = nil // the room has ended, and so will the job: that is no failure of the process
	}
	return err
}

// stop ends the process, which is no failure.
func (j *job) stop() {
	if j.proc == nil {
		return
	}
	j.proc.end(nil)
	<-j.proc.gone
	j.proc = nil
	j.t.leave()
}

// replace ends a process that is for other sound than what comes. The next one may begin at once, but not of a publisher that changes again and again: processes cost more than sound.
func (j *job) replace() {
	if j.proc == nil {
		return
	}
	if time.Since(j.proc.began) > sound {
		j.others = 0
	}
	if j.others++; j.others > 1 {
		j.next = time.Now().Add(j.pause(j.others - 1))
	}
	j.stop()
}

// pause is how long it is waited after so many in a row.
func (j *job) pause(row int) time.Duration {
	return min(j.t.cfg.Pause<<min(row-1, 16), j.t.cfg.MaxPause)
}

// fail is for a process that has ended of itself, or that could not be started.
func (j *job) fail(err error) {
	gave := false
	if p := j.proc; p != nil {
		gave = p.gave.Load() > 0
		if time.Since(p.began) > sound && gave {
			j.failed, j.said = 0, ""
		}
		j.proc = nil
		j.t.leave()
	}
	j.failed++
	pause := j.pause(j.failed)
	j.next = time.Now().Add(pause)
	j.say("a process that makes sound has failed and is started again", err, "pause", pause.String(), "failures", j.failed)
	if errors.Is(err, ErrMissing) || !gave && j.failed >= hopeless {
		j.giveUp()
	}
}

// say logs a reason once, as long as it is the same.
func (j *job) say(what string, err error, more ...any) {
	if err.Error() == j.said {
		return
	}
	j.said = err.Error()
	j.log.Warn(what, append([]any{"reason", err}, more...)...)
}
