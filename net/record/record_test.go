package record_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/net/flv/flvtest"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// studio is a recorder and a stream that it records.
type studio struct {
	*testing.T
	dir    string
	r      *record.Recorder
	stream *media.Stream
	pub    *media.Publisher
	files  chan record.File
}

func open(t *testing.T, cfg record.Config) *studio {
	t.Helper()
	s := &studio{T: t, dir: filepath.Join(t.TempDir(), "tapes"), stream: media.New(media.Config{}), files: make(chan record.File, 100)}
	if cfg.Dir == "" {
		cfg.Dir = s.dir
	}
	s.dir = cfg.Dir
	var err error
	if s.r, err = record.New(cfg); err != nil {
		t.Fatal(err)
	}
	if s.pub, err = s.stream.Publish(nil); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.r.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *studio) start(opt record.Options) (*record.Recording, error) {
	v, err := s.stream.Join(record.Viewer())
	if err != nil {
		s.Fatal(err)
	}
	return s.r.Start(v, "arena", opt, func(f record.File) { s.files <- f })
}

func (s *studio) begin(opt record.Options) *record.Recording {
	s.Helper()
	one, err := s.start(opt)
	if err != nil {
		s.Fatal(err)
	}
	return one
}

func (s *studio) next() record.File {
	s.Helper()
	select {
	case f := <-s.files:
		return f
	case <-time.After(time.Minute):
		s.Fatal("no file is told of")
		return record.File{}
	}
}

// all are the files until the recording ends.
func (s *studio) all() []record.File {
	s.Helper()
	files := []record.File{s.next()}
	for !files[len(files)-1].Last {
		files = append(files, s.next())
	}
	return files
}

// over ends the stream, once the recording has all of it.
func (s *studio) over() { s.stream.Close(nil) }

// the clips of these tests have pictures that refer to later ones, key frames each second, and sound.
func clip(t *testing.T, seconds int, codecs ...string) []byte {
	t.Helper()
	d := strconv.Itoa(seconds)
	return flvtest.Clip(t, append([]string{"-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=" + d, "-f", "lavfi", "-i", "sine=sample_rate=44100:duration=" + d, "-g", "25"}, codecs...)...)
}

var avc = []string{"-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "veryfast", "-bf", "2", "-sc_threshold", "0", "-c:a", "aac"}

// noisy has pictures of some size.
var noisy = append([]string{"-vf", "noise=alls=30:allf=t"}, avc...)

// spans are the distances of a stream's stamps from the first, in milliseconds: what must not depend on the container.
func spans(t *testing.T, stamps []string) []string {
	t.Helper()
	var first float64
	var out []string
	for i, line := range stamps {
		parts := strings.Split(line, ",")
		var at []string
		for j, p := range parts[:2] {
			v, err := strconv.ParseFloat(p, 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if i == 0 && j == 0 {
				first = v
			}
			at = append(at, strconv.Itoa(int((v-first)*1000+0.5)))
		}
		out = append(out, strings.Join(at, "/"))
	}
	return out
}

func TestARecordingHasAllFramesWithTheirTimes(t *testing.T) {
	source := clip(t, 6, avc...)
	from := filepath.Join(t.TempDir(), "source.flv")
	if err := os.WriteFile(from, source, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, format := range []record.Format{record.MP4, record.FLV} {
		t.Run(string(format), func(t *testing.T) {
			s := open(t, record.Config{})
			s.begin(record.Options{Format: format})
			flvtest.Feed(t, s.pub, source, false)
			s.over()
			files := s.all()
			f := files[0]
			if len(files) != 1 || f.Lost != 0 || !errors.Is(f.Err, media.ErrClosed) || f.Room != "arena" {
				t.Fatalf("files %+v", files)
			}
			if !strings.HasPrefix(f.Name, "arena-20") || !strings.HasSuffix(f.Name, "Z."+string(format)) || f.Path != filepath.Join(s.dir, f.Name) {
				t.Errorf("it is called %s, %s", f.Name, f.Path)
			}
			if f.Duration < 5800*time.Millisecond || f.Duration > 6100*time.Millisecond {
				t.Errorf("it has %s", f.Duration)
			}
			for stream, name := range map[string]string{"v:0": "pictures", "a:0": "sound"} {
				if got, want := flvtest.Decoded(t, stream, f.Path), flvtest.Decoded(t, stream, from); got != want {
					t.Errorf("%s: %s are decoded, want %s", name, got, want)
				}
				got, want := spans(t, flvtest.Stamps(t, stream, f.Path)), spans(t, flvtest.Stamps(t, stream, from))
				if strings.Join(got, " ") != strings.Join(want, " ") {
					t.Errorf("%s: times\n%v, want\n%v", name, got, want)
				}
			}
			info, err := os.Stat(f.Path)
			if err != nil || info.Size() != f.Bytes {
				t.Errorf("%v, %v, want %d bytes", info, err, f.Bytes)
			}
		})
	}
}

func TestCodecsOfMP4(t *testing.T) {
	for name, codecs := range map[string][]string{
		"mp3": {"-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "libmp3lame"},
		"aac": {"-vn", "-c:a", "aac"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, record.Config{})
			s.begin(record.Options{})
			flvtest.Feed(t, s.pub, clip(t, 2, codecs...), false)
			s.over()
			f := s.next()
			if n, err := strconv.Atoi(flvtest.Decoded(t, "a:0", f.Path)); err != nil || n < 70 {
				t.Errorf("%d packets are decoded, %v", n, err)
			}
		})
	}
}

func TestFilesAreBegunAnewAtKeyFramesAndLoseNothing(t *testing.T) {
	source := clip(t, 6, noisy...)
	for name, opt := range map[string]record.Options{"time": {Every: 2 * time.Second}, "size": {Bytes: 64 << 10}} {
		t.Run(name, func(t *testing.T) {
			s := open(t, record.Config{})
			s.begin(opt)
			flvtest.Feed(t, s.pub, source, false)
			s.over()
			files := s.all()
			pictures, sound := 0, 0
			for _, f := range files {
				n, err := strconv.Atoi(flvtest.Decoded(t, "v:0", f.Path))
				if err != nil || n%25 != 0 || n == 0 {
					t.Errorf("%s: %d pictures, %v", f.Name, n, err)
				}
				pictures += n
				sound += len(flvtest.Stamps(t, "a:0", f.Path))
			}
			if pictures != 150 || len(files) < 2 || name == "time" && len(files) != 3 {
				t.Errorf("%d pictures in %d files", pictures, len(files))
			}
			if want := int(s.stream.Counts().Frames) - 150; sound != want {
				t.Errorf("%d packets of sound, want %d", sound, want)
			}
		})
	}
}

// What is killed leaves a file that ends somewhere: each beginning of it that has the first fragment is playable, up to the last whole fragment.
func TestWhatIsCutOffCanBePlayed(t *testing.T) {
	source := clip(t, 6, avc...)
	s := open(t, record.Config{})
	s.begin(record.Options{})
	flvtest.Feed(t, s.pub, source, false)
	s.over()
	f := s.next()
	whole, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	fragments := bytes.Count(whole, []byte("moof"))
	if fragments < 5 {
		t.Fatalf("%d fragments in 6 s", fragments)
	}
	third := 0
	for range 4 {
		third += bytes.Index(whole[third:], []byte("moof")) + 4
	}
	for what, end := range map[string]int{"before a fragment": third - 8, "in its head": third + 20, "in its frames": third + 4000} {
		cut := filepath.Join(t.TempDir(), "cut.mp4")
		if err := os.WriteFile(cut, whole[:end], 0o600); err != nil {
			t.Fatal(err)
		}
		if n, err := strconv.Atoi(flvtest.Decoded(t, "v:0", cut)); err != nil || n < 70 {
			t.Errorf("%s: %d pictures are decoded, %v", what, n, err)
		}
	}
}

func TestParametersThatChangeBeginANewFile(t *testing.T) {
	s := open(t, record.Config{})
	s.begin(record.Options{})
	flvtest.Feed(t, s.pub, clip(t, 2, avc...), false)
	s.pub.Close()
	again, err := s.stream.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	flvtest.Feed(t, again, clip(t, 2, append(avc, "-s", "320x240")...), false)
	s.over()
	files := s.all()
	if len(files) != 2 {
		t.Fatalf("files %+v", files)
	}
	for i, want := range []string{"160,120", "320,240"} {
		if got := strings.TrimSpace(flvtest.Show(t, "-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "csv=p=0", files[i].Path)); got != want {
			t.Errorf("file %d has %s, want %s", i, got, want)
		}
		if n := flvtest.Decoded(t, "v:0", files[i].Path); n != "50" {
			t.Errorf("file %d: %s pictures", i, n)
		}
	}
}

func TestAPublisherThatComesBackGoesOnInTheFile(t *testing.T) {
	source := clip(t, 2, avc...)
	s := open(t, record.Config{})
	s.begin(record.Options{})
	flvtest.Feed(t, s.pub, source, false)
	s.pub.Close()
	again, err := s.stream.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	flvtest.Feed(t, again, source, false)
	s.over()
	files := s.all()
	if n := flvtest.Decoded(t, "v:0", files[0].Path); len(files) != 1 || n != "100" {
		t.Errorf("%s pictures in %d files", n, len(files))
	}
}

func TestWhatCannotBeRecordedIsRefusedWithTheReason(t *testing.T) {
	s := open(t, record.Config{Max: 1})
	for _, c := range []struct {
		opt  record.Options
		want string
	}{
		{record.Options{Format: "avi"}, `format "avi", expected mp4 or flv`},
		{record.Options{Every: time.Millisecond}, "a new file each 1ms, expected 1s or more"},
		{record.Options{Bytes: 1}, "a new file each 1 bytes"},
	} {
		if _, err := s.start(c.opt); !errors.Is(err, record.ErrOptions) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.opt, err)
		}
	}
	for _, name := range []string{"", "..", "../x", "a/b", `a\b`, "a.b", "-a", strings.Repeat("x", 65)} {
		v, err := s.stream.Join(record.Viewer())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.r.Start(v, name, record.Options{}, nil); !errors.Is(err, record.ErrOptions) {
			t.Errorf("%q: %v", name, err)
		}
	}
	one := s.begin(record.Options{})
	if _, err := s.start(record.Options{}); !errors.Is(err, record.ErrFull) {
		t.Errorf("a second one: %v", err)
	}
	one.Stop()
	if f := s.next(); !f.Last || f.Name != "" || !errors.Is(f.Err, record.ErrStopped) {
		t.Errorf("%+v", f)
	}
	<-one.Done()
	if n := s.stream.Viewers(); n != 0 {
		t.Errorf("%d viewers are left", n)
	}
	if _, err := record.New(record.Config{}); !errors.Is(err, record.ErrOptions) {
		t.Errorf("without a directory: %v", err)
	}
}

func TestTheQuotaEndsARecordingWhoseFileCanBePlayed(t *testing.T) {
	s := open(t, record.Config{Quota: 250 << 10})
	s.begin(record.Options{})
	flvtest.Feed(t, s.pub, clip(t, 6, noisy...), false)
	f := s.next()
	if !f.Last || !errors.Is(f.Err, record.ErrQuota) || f.Bytes > 250<<10 {
		t.Fatalf("%+v", f)
	}
	if n, err := strconv.Atoi(flvtest.Decoded(t, "v:0", f.Path)); err != nil || n < 25 {
		t.Errorf("%d pictures, %v", n, err)
	}
	if c := s.r.Counts(); c.OverQuota != 1 || c.Failed != 0 || c.Files != 1 || c.Used != f.Bytes {
		t.Errorf("%+v", c)
	}
}

func TestADirectoryThatGoesIsNoticed(t *testing.T) {
	source := clip(t, 2, avc...)
	s := open(t, record.Config{})
	s.begin(record.Options{})
	flvtest.Feed(t, s.pub, source, false)
	for end := time.Now().Add(time.Minute); s.r.Counts().Bytes == 0; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is written")
		}
	}
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	s.pub.Close()
	again, err := s.stream.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	flvtest.Feed(t, again, source, false)
	f := s.next()
	if !f.Last || !errors.Is(f.Err, record.ErrDisk) || !errors.Is(f.Err, os.ErrNotExist) {
		t.Errorf("%+v", f)
	}
	if c := s.r.Counts(); c.Failed != 1 {
		t.Errorf("%+v", c)
	}
}

func TestADirectoryThatIsAFileOrLeadsOutIsAnError(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tapes")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, record.Config{Dir: dir})
	s.begin(record.Options{})
	flvtest.Feed(t, s.pub, clip(t, 1, avc...), false)
	if f := s.next(); !f.Last || !errors.Is(f.Err, record.ErrDisk) || f.Name != "" {
		t.Errorf("%+v", f)
	}
}
