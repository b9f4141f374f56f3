package transcode_test

import (
	"testing"
	"time"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/transcode"
)

func TestSoundInAnotherCodecIsHeardAtTheSameTime(t *testing.T) {
	for _, c := range []struct {
		from, to media.Codec
		frame    time.Duration
	}{
		{media.AAC, media.Opus, 20 * time.Millisecond},
		{media.Opus, media.AAC, media.FromTicks(1024, 48000)},
	} {
		t.Run(c.from.String()+" to "+c.to.String(), func(t *testing.T) {
			st := open(t, transcode.Config{}).stage("arena")
			published, made := st.watch(), st.watch(c.to)
			done := st.publish(sound(t, c.from, "2"), false)
			<-done
			st.until("all of it has come", func() bool {
				in, out := published.got(c.from), made.got(c.to)
				return len(in) > 0 && len(out) > 0 && in[len(in)-1].DTS-out[len(out)-1].DTS < 100*time.Millisecond
			})
			if n := len(made.got(c.from)); n > 0 {
				t.Errorf("%d frames came as they were published, expected none", n)
			}
			out := made.got(c.to)
			for i := range out[1:] {
				if step := out[i+1].DTS - out[i].DTS; (step - c.frame).Abs() > time.Microsecond {
					t.Errorf("frame %d is %s behind the one before, expected %s", i+1, step, c.frame)
				}
			}
			was, is := onset(t, published.got(c.from)), onset(t, out)
			t.Logf("the tone begins at %s as published and %s as made: %s apart; %d of %s are behind", was, is, is-was, len(out), c.to)
			if (is - was).Abs() > c.frame {
				t.Errorf("sound has moved by %s, expected less than a frame (%s)", is-was, c.frame)
			}
		})
	}
}

func TestAGapStaysAGap(t *testing.T) {
	for _, c := range []struct{ from, to media.Codec }{{media.AAC, media.Opus}, {media.Opus, media.AAC}} {
		t.Run(c.from.String()+" to "+c.to.String(), func(t *testing.T) {
			var torn []media.Sample
			for _, s := range sound(t, c.from, "3.5") {
				if s.DTS < time.Second || s.DTS >= 2*time.Second {
					torn = append(torn, s)
				}
			}
			st := open(t, transcode.Config{}).stage("arena")
			published, made := st.watch(), st.watch(c.to)
			<-st.publish(torn, false)
			after := func(frames []*media.Frame) []*media.Frame {
				for i := range frames {
					if i > 0 && frames[i].DTS-frames[i-1].DTS > 500*time.Millisecond {
						t.Logf("%s: a gap from %s to %s", frames[i].Params.Codec, frames[i-1].DTS, frames[i].DTS)
						return frames[i:]
					}
				}
				return nil
			}
			st.until("what is behind the gap has come", func() bool { return len(after(made.got(c.to))) > 100 })
			was, is := onset(t, after(published.got(c.from))), onset(t, after(made.got(c.to)))
			t.Logf("behind the gap the tone begins at %s as published and %s as made: %s apart", was, is, is-was)
			if (is - was).Abs() > 25*time.Millisecond {
				t.Errorf("sound has moved by %s behind a gap", is-was)
			}
		})
	}
}
