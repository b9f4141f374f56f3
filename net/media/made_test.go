package media_test

import (
	"testing"
	"testing/synctest"

	"github.com/skua-go/skua/net/media"
)

// What takes frames from elsewhere, such as another node, says nothing of parameters but with the frames.
func TestConverterLooksWhenSoundComesInAnotherCodec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looked []media.Codec // for
		s := media.New(media.Config{Convert: func(s *media.Stream) {
			if from, _, ok := s.Need(); ok {
				looked = append(looked, from.Codec)
			}
		}})
		defer s.Close(nil)
		v := join(t, s, media.ViewerConfig{Sound: media.UsualSound()})
		defer v.Close(nil)
		src := publish(t, s, 10, 0)
		opus := src.opus
		src.opus = &media.Params{Codec: media.AAC}
		src.run(10 * tick)
		if len(looked) > 0 {
			t.Fatalf("somebody is said to need what is made of %v", looked)
		}
		src.opus = opus
		src.run(10 * tick)
		if len(looked) != 1 || looked[0] != media.Opus {
			t.Errorf("the converter was asked to make something of %v, expected of opus once", looked)
		}
	})
}
