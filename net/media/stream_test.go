package media_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/net/media"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is a publisher of a picture each 40 ms and a packet of sound each 20 ms, in a bubble's time.
type source struct {
	*testing.T
	s     *media.Stream
	p     *media.Publisher
	video *media.Track
	audio *media.Track
	h264  *media.Params
	opus  *media.Params
	gop   int // pictures from one key frame to the next
	base  time.Duration
	begun time.Time
	n     int
}

const tick = 20 * time.Millisecond

func publish(t *testing.T, s *media.Stream, gop int, base time.Duration) *source {
	t.Helper()
	p, err := s.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	src := &source{T: t, s: s, p: p, gop: gop, base: base, begun: time.Now(), h264: &media.Params{Codec: media.H264}, opus: &media.Params{Codec: media.Opus}}
	if src.video, err = p.Track(media.TrackSpec{Kind: media.Video}); err != nil {
		t.Fatal(err)
	}
	if src.audio, err = p.Track(media.TrackSpec{Kind: media.Audio}); err != nil {
		t.Fatal(err)
	}
	p.Complete()
	return src
}

// step writes what is due in one tick, and lets the time pass.
func (src *source) step() {
	src.Helper()
	at := src.base + time.Duration(src.n)*tick
	if src.n%2 == 0 {
		src.write(src.video, media.Sample{DTS: at, PTS: at + 2*tick, Key: src.n/2%src.gop == 0, Data: []byte(fmt.Sprintf("v%d", src.n/2)), Params: src.h264})
	}
	src.write(src.audio, media.Sample{DTS: at, PTS: at, Data: []byte(fmt.Sprintf("a%d", src.n)), Params: src.opus})
	src.n++
	<-time.After(tick)
}

func (src *source) write(t *media.Track, sample media.Sample) {
	src.Helper()
	if err := src.p.Write(t, sample); err != nil {
		src.Fatal(err)
	}
}

func (src *source) run(d time.Duration) {
	src.Helper()
	for range d / tick {
		src.step()
	}
}

func join(t *testing.T, s *media.Stream, cfg media.ViewerConfig) *media.Viewer {
	t.Helper()
	v, err := s.Join(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// drain reads all that a viewer can have now.
func drain(t *testing.T, v *media.Viewer) []*media.Frame {
	t.Helper()
	var all []*media.Frame
	var frames [7]*media.Frame
	for {
		n, err := v.Take(frames[:])
		if err != nil {
			t.Fatalf("after %d frames: %v", len(all), err)
		}
		if n == 0 {
			return all
		}
		all = append(all, frames[:n]...)
	}
}

func of(frames []*media.Frame, kind media.Kind) []*media.Frame {
	return slices.DeleteFunc(slices.Clone(frames), func(f *media.Frame) bool { return f.Track.Kind != kind })
}

// ordered fails unless the frames are in the stream's order, and decoding times never go back within a track.
func ordered(t *testing.T, frames []*media.Frame) {
	t.Helper()
	last := map[*media.Track]time.Duration{}
	for i, f := range frames {
		if i > 0 && f.Seq <= frames[i-1].Seq {
			t.Fatalf("frame %d comes behind frame %d", f.Seq, frames[i-1].Seq)
		}
		if f.DTS < last[f.Track] {
			t.Fatalf("%s frame %d is decoded at %v, the one before at %v", f.Track.Kind, f.Seq, f.DTS, last[f.Track])
		}
		last[f.Track] = f.DTS
	}
}

func TestViewerBeginsAtTheNewestKeyFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := media.New(media.Config{})
		src := publish(t, s, 25, 0)
		src.run(2500 * time.Millisecond) // pictures 0 to 62, key frames 0, 25 and 50
		frames := drain(t, join(t, s, media.ViewerConfig{}))
		ordered(t, frames)
		if f := frames[0]; !f.Key || string(f.Data) != "v50" {
			t.Errorf("the first frame is %s", f.Data)
		}
		if n := len(of(frames, media.Video)); n != 13 {
			t.Errorf("%d pictures, want 50 to 62", n)
		}
		if f := frames[0]; f.DTS != 2*time.Second || f.PTS != f.DTS+2*tick {
			t.Errorf("decoded at %v, shown at %v", f.DTS, f.PTS)
		}
		live := join(t, s, media.ViewerConfig{Live: true})
		src.run(time.Second)
		frames = drain(t, live)
		if got := of(frames, media.Video); string(got[0].Data) != "v75" || string(frames[0].Data) != "a125" {
			t.Errorf("a viewer of what is live begins with %s and %s, want a125 and v75", frames[0].Data, got[0].Data)
		}
	})
}

func TestSlowViewerSkipsToAKeyFrameAndKeepsTheSound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := media.New(media.Config{})
		src := publish(t, s, 25, 0)
		src.step()
		slow, good := join(t, s, media.ViewerConfig{}), join(t, s, media.ViewerConfig{})
		var all []*media.Frame
		for range 175 {
			src.step()
			all = append(all, drain(t, good)...)
		}
		frames := drain(t, slow)
		ordered(t, frames)
		pictures, sound := of(frames, media.Video), of(frames, media.Audio)
		if string(pictures[0].Data) != "v75" || len(sound) != 176 {
			t.Errorf("the slow one goes on at %s with %d packets of sound, want v75 and 176", pictures[0].Data, len(sound))
		}
		if c := slow.Counts(); c.Skips != 1 || c.Skipped != 75 || c.Lost != 0 {
			t.Errorf("counted %+v, want 1 skip of 75 pictures", c)
		}
		if len(of(all, media.Video)) != 88 || len(of(all, media.Audio)) != 176 || good.Counts().Skips != 0 {
			t.Errorf("the good one got %d pictures and %d packets of sound, want 88 and 176", len(of(all, media.Video)), len(of(all, media.Audio)))
		}
	})
}

func TestViewerThatStaysBehindIsClosedWithAReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := media.New(media.Config{})
		src := publish(t, s, 25, 0)
		var told error
		v := join(t, s, media.ViewerConfig{Patience: 10 * time.Second, Left: func(reason error) { told = reason }})
		var frames [4]*media.Frame
		for range 30 {
			src.run(time.Second)
			if _, err := v.Take(frames[:]); err != nil { // 4 of some 75 frames a second
				if !errors.Is(err, media.ErrSlow) || !errors.Is(told, media.ErrSlow) || s.Viewers() != 0 {
					t.Errorf("ended by %v, told %v, %d viewers", err, told, s.Viewers())
				}
				return
			}
		}
		t.Errorf("still there: %+v", v.Counts())
	})
}

func TestStalledViewersKeepNoMemoryBeyondTheRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := media.New(media.Config{RingBytes: 1000, RingFrames: 4096})
		src := publish(t, s, 1000, 0) // one key frame
		v := join(t, s, media.ViewerConfig{Lag: time.Hour})
		src.run(20 * time.Second)
		frames, bytes := s.Kept()
		if bytes > 1000 || frames > 400 {
			t.Errorf("the ring has %d frames of %d bytes, at most 1000", frames, bytes)
		}
		got := drain(t, v)
		if len(got) == 0 || len(of(got, media.Video)) != 0 || v.Counts().Lost == 0 {
			t.Errorf("the stalled one got %d pictures of %d frames, %+v: want sound only until the next key frame", len(of(got, media.Video)), len(got), v.Counts())
		}
	})
}

func TestPublisherThatComesBackKeepsViewersAndTheTimeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := media.New(media.Config{})
		src := publish(t, s, 25, 0)
		v := join(t, s, media.ViewerConfig{})
		src.run(time.Second)
		before := drain(t, v)
		if _, err := s.Publish(nil); !errors.Is(err, media.ErrBusy) {
			t.Errorf("a second publisher: %v", err)
		}
		src.p.Close()
		if err := src.p.Write(src.video, media.Sample{Data: []byte("x"), Params: src.h264}); !errors.Is(err, media.ErrClosed) {
			t.Errorf("a closed publisher writes: %v", err)
		}
		<-time.After(5 * time.Second)
		src = publish(t, s, 25, 0) // its clock begins anew
		src.run(time.Second)
		after := drain(t, v)
		ordered(t, append(slices.Clone(before), after...))
		if f := after[0]; f.Track != before[0].Track || !f.Key || f.DTS-before[len(before)-1].DTS != 5*time.Second+tick {
			t.Errorf("goes on with %s at %v after %v", f.Data, f.DTS, before[len(before)-1].DTS)
		}
	})
}

func TestJumpsOfThePublishersClockAreTakenOut(t *testing.T) {
	for _, to := range []time.Duration{-100 * time.Hour, -5 * time.Second, time.Minute, 200 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s := media.New(media.Config{})
			src := publish(t, s, 25, time.Second)
			v := join(t, s, media.ViewerConfig{})
			src.run(time.Second)
			src.base += to
			src.run(time.Second)
			frames := drain(t, v)
			ordered(t, frames)
			for _, kind := range []media.Kind{media.Video, media.Audio} {
				track := of(frames, kind)
				for i := 1; i < len(track); i++ {
					if step := track[i].DTS - track[i-1].DTS; step <= 0 || step > 3*tick {
						t.Errorf("a jump by %v: a step of %v in %s", to, step, kind)
					}
				}
			}
			// Sound and pictures of one moment stay at one moment, to a frame.
			pictures, sound := of(frames, media.Video), of(frames, media.Audio)
			if apart := pictures[len(pictures)-1].DTS - sound[len(sound)-1].DTS; apart > tick || apart < -2*tick {
				t.Errorf("a jump by %v: sound and pictures are %v apart", to, apart)
			}
			if s.Counts().Jumps != 1 {
				t.Errorf("%d jumps by %v are counted, want 1", s.Counts().Jumps, to)
			}
		})
	}
}

func TestPicturesBeforeTheFirstKeyFrameAreLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := media.New(media.Config{})
		src := publish(t, s, 25, 0)
		src.n = 2 // in the middle of a GOP
		v := join(t, s, media.ViewerConfig{})
		src.run(2 * time.Second)
		if got := of(drain(t, v), media.Video); string(got[0].Data) != "v25" {
			t.Errorf("begins with %s", got[0].Data)
		}
		if n := s.Counts().Early; n != 24 {
			t.Errorf("%d early pictures, want 24", n)
		}
	})
}

func TestOneTrackAloneIsAStream(t *testing.T) {
	for _, kind := range []media.Kind{media.Audio, media.Video} {
		synctest.Test(t, func(t *testing.T) {
			s := media.New(media.Config{})
			p, err := s.Publish(nil)
			if err != nil {
				t.Fatal(err)
			}
			track, err := p.Track(media.TrackSpec{Kind: kind})
			if err != nil {
				t.Fatal(err)
			}
			params := map[media.Kind]*media.Params{media.Audio: {Codec: media.AAC}, media.Video: {Codec: media.AV1}}[kind]
			v := join(t, s, media.ViewerConfig{})
			got := make(chan time.Duration, 1)
			begun := time.Now()
			go func() {
				var frames [1]*media.Frame
				if _, err := v.Next(frames[:]); err != nil {
					t.Error(err)
				}
				got <- time.Since(begun)
			}()
			for i := range 50 {
				at := time.Duration(i) * tick
				if err := p.Write(track, media.Sample{DTS: at, PTS: at, Key: true, Data: []byte("x"), Params: params}); err != nil {
					t.Fatal(err)
				}
				<-time.After(tick)
			}
			// Nobody has said that this is all, so the first viewer is held for a while.
			if waited := <-got; waited != 700*time.Millisecond {
				t.Errorf("%s: the first frame after %v", kind, waited)
			}
		})
	}
}

func TestLayersAreChosenByTheViewer(t *testing.T) {
	s := media.New(media.Config{})
	p, err := s.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	params := &media.Params{Codec: media.VP8}
	for layer := range uint8(3) {
		track, err := p.Track(media.TrackSpec{Kind: media.Video, Layer: layer})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Write(track, media.Sample{Key: true, Data: []byte{layer}, Params: params}); err != nil {
			t.Fatal(err)
		}
	}
	p.Complete()
	best := drain(t, join(t, s, media.ViewerConfig{}))
	last := drain(t, join(t, s, media.ViewerConfig{Want: func(t *media.Track) bool { return t.Layer == 2 }}))
	if len(best) != 1 || best[0].Data[0] != 0 || len(last) != 1 || last[0].Data[0] != 2 {
		t.Errorf("got %d frames of the best layer and %d of the last", len(best), len(last))
	}
	for i := range media.MaxTracks {
		_, err = p.Track(media.TrackSpec{Kind: media.Audio, Group: uint8(i)})
	}
	if !errors.Is(err, media.ErrFull) {
		t.Errorf("track %d: %v", media.MaxTracks+3, err)
	}
}

func TestMutedKindIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := media.New(media.Config{})
		src := publish(t, s, 25, 0)
		v := join(t, s, media.ViewerConfig{})
		src.p.Mute(media.Video, true)
		src.run(time.Second)
		src.p.Mute(media.Video, false)
		src.run(time.Second)
		frames := drain(t, v)
		if got := of(frames, media.Video); !got[0].Key || string(got[0].Data) != "v25" || len(of(frames, media.Audio)) != 100 {
			t.Errorf("pictures go on at %s, with %d packets of sound", got[0].Data, len(of(frames, media.Audio)))
		}
	})
}

func TestCloseTellsEverybodyWhy(t *testing.T) {
	s := media.New(media.Config{MaxViewers: 3})
	over, kicked := errors.New("over"), errors.New("kicked")
	var told []error
	p, err := s.Publish(func(reason error) { told = append(told, reason) })
	if err != nil {
		t.Fatal(err)
	}
	p.AtEnd(func(reason error) { told = append(told, reason) })
	track, err := p.Track(media.TrackSpec{Kind: media.Audio})
	if err != nil {
		t.Fatal(err)
	}
	stays, goes := join(t, s, media.ViewerConfig{}), join(t, s, media.ViewerConfig{})
	join(t, s, media.ViewerConfig{})
	if _, err := s.Join(media.ViewerConfig{}); !errors.Is(err, media.ErrFull) {
		t.Errorf("one viewer too many: %v", err)
	}
	var wg sync.WaitGroup
	ends := make([]error, 2)
	read := make([]int, 2)
	for i, v := range []*media.Viewer{stays, goes} {
		wg.Go(func() {
			var frames [4]*media.Frame
			for {
				n, err := v.Next(frames[:])
				read[i] += n
				if err != nil {
					ends[i] = err
					return
				}
			}
		})
	}
	goes.Close(kicked)
	if err := p.Write(track, media.Sample{Data: []byte("x"), Params: &media.Params{Codec: media.MP3}}); err != nil {
		t.Fatal(err)
	}
	s.Close(over)
	wg.Wait()
	if !errors.Is(ends[0], over) || read[0] != 1 || !errors.Is(ends[1], kicked) {
		t.Errorf("ended by %v after %d frames, and by %v", ends[0], read[0], ends[1])
	}
	if len(told) != 2 || !errors.Is(told[0], over) || !errors.Is(p.Err(), over) {
		t.Errorf("the publisher is told %v", told)
	}
	if _, err := s.Publish(nil); !errors.Is(err, over) {
		t.Errorf("a closed stream is published to: %v", err)
	}
}

func TestBadFramesAreRefused(t *testing.T) {
	p, err := media.New(media.Config{}).Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	track, err := p.Track(media.TrackSpec{Kind: media.Video})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []media.Sample{
		{Params: &media.Params{Codec: media.H264}},
		{Data: []byte("x")},
		{Data: []byte("x"), Params: &media.Params{Codec: media.AAC}},
	} {
		if err := p.Write(track, bad); !errors.Is(err, media.ErrFrame) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := p.Track(media.TrackSpec{}); !errors.Is(err, media.ErrFrame) {
		t.Errorf("a track of no kind: %v", err)
	}
}
