package media_test

import (
	"testing"
	"time"

	"github.com/skua-go/skua/net/media"
)

func TestMuteThatChangesNothingLeavesPicturesAlone(t *testing.T) {
	s := media.New(media.Config{})
	p, err := s.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	track, err := p.Track(media.TrackSpec{Kind: media.Video})
	if err != nil {
		t.Fatal(err)
	}
	params := &media.Params{Codec: media.VP8}
	write := func(n int, key bool) uint64 {
		at := time.Duration(n) * 40 * time.Millisecond
		if err := p.Write(track, media.Sample{DTS: at, PTS: at, Key: key, Data: []byte{1}, Params: params}); err != nil {
			t.Fatal(err)
		}
		return s.Counts().Frames
	}
	write(0, true)
	p.Mute(media.Video, false)
	if n := write(1, false); n != 2 {
		t.Errorf("%d frames", n)
	}
	p.Mute(media.Video, true)
	p.Mute(media.Video, false)
	if n := write(2, false); n != 2 {
		t.Errorf("after a mute pictures go on without a key frame: %d frames", n)
	}
}
