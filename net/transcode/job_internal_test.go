package transcode

import (
	"errors"
	"testing"

	"github.com/skua-go/skua/net/media"
)

// What comes back when the room has ended is for nobody. Something that can't be written to a room that goes on is a failure.
func TestTheEndOfARoomIsNoFailureOfItsProcess(t *testing.T) {
	s := media.New(media.Config{})
	j := &job{t: New(Config{}), stream: s, to: media.Opus}
	p := &process{to: media.Opus}
	if err := j.write(p, 0, nil); !errors.Is(err, media.ErrFrame) {
		t.Errorf("a frame without data: %v", err)
	}
	if err := j.write(p, 0, []byte("sound")); err != nil {
		t.Error(err)
	}
	s.Close(nil)
	if err := j.write(p, 0, []byte("sound")); err != nil {
		t.Errorf("the room has ended: %v", err)
	}
	if out := j.t.Counts().Out; out != 1 {
		t.Errorf("%d frames came out, expected 1", out)
	}
}
