package transcode_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/transcode"
)

// pids are those of the processes that were started so far.
func (r *rig) pids() (all []int) {
	for _, found := range regexp.MustCompile(`sound is transcoded.* pid=(\d+)`).FindAllStringSubmatch(r.log.String(), -1) {
		pid, err := strconv.Atoi(found[1])
		if err != nil {
			r.Fatal(err)
		}
		all = append(all, pid)
	}
	return all
}

func TestAKilledProcessIsStartedAgainAndPicturesGoOn(t *testing.T) {
	st := open(t, transcode.Config{Pause: 50 * time.Millisecond}).stage("arena")
	v := st.watch(media.Opus)
	st.publish(sound(t, media.AAC, "0"), true)
	st.until("there is sound", func() bool { return len(v.got(media.Opus)) > 10 })
	killed := st.pids()[0]
	if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	st.until("another one is there", func() bool { return len(st.pids()) == 2 })
	before := len(v.got(media.Opus))
	st.until("there is sound again", func() bool { return len(v.got(media.Opus)) > before+25 })
	if c := st.made.Counts(); c.Restarts != 1 || c.Running != 1 {
		t.Errorf("counts are %+v, expected one restart and one running", c)
	}
	if n := len(v.got(media.AAC)); n > 0 {
		t.Errorf("%d frames came as they were published, while the process was away", n)
	}
	var last time.Duration
	for _, f := range v.got(media.Opus) {
		if f.DTS < last {
			t.Errorf("sound goes back from %s to %s", last, f.DTS)
		}
		last = f.DTS
	}
	st.whole(v)
	if log := st.log.String(); !strings.Contains(log, "signal: killed") || !strings.Contains(log, "room=arena") {
		t.Errorf("the log does not say what has happened: %s", log)
	}
}

// whole checks that all pictures have come.
func (st *stage) whole(v *viewer) {
	st.Helper()
	var last time.Duration = -1
	for _, f := range v.got(media.VP8) {
		if last >= 0 && f.DTS-last != 40*time.Millisecond {
			st.Errorf("a picture at %s is behind one at %s", f.DTS, last)
		}
		last = f.DTS
	}
	if last <= 0 {
		st.Error("there were no pictures")
	}
}

func TestAProgramThatMisbehavesCostsNoPictures(t *testing.T) {
	for way, reason := range map[string]string{
		"garbage": "it writes what was not asked for", "cut": "it writes what was not asked for", "nothing": "it gives nothing", "closes": "it gives nothing",
		"ends": "exit status 3: no such encoder: ?",
	} {
		t.Run(way, func(t *testing.T) {
			samples := sound(t, media.Opus, "0")
			t.Setenv(fake, way)
			program, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			st := open(t, transcode.Config{Program: program, Pause: 5 * time.Millisecond, MaxPause: 50 * time.Millisecond, Stall: 100 * time.Millisecond}).stage("arena")
			v := st.watch(media.UsualSound()...)
			st.publish(samples, true)
			st.until("sound comes as it is published", func() bool { return len(v.got(media.Opus)) > 25 })
			if n := len(v.got(media.AAC)); n > 0 {
				t.Errorf("%d frames of AAC, of which none was made", n)
			}
			st.whole(v)
			st.until("the log has the reason", func() bool { return strings.Contains(st.log.String(), reason) })
			st.until("it is tried again", func() bool { return len(st.pids()) > 5 })
		})
	}
}

func TestWithoutTheProgramSoundComesAsItIs(t *testing.T) {
	st := open(t, transcode.Config{Program: filepath.Join(t.TempDir(), "ffmpeg"), Pause: 5 * time.Millisecond}).stage("arena")
	v := st.watch(media.UsualSound()...)
	st.publish(sound(t, media.Opus, "0"), true)
	st.until("sound comes as it is published", func() bool { return len(v.got(media.Opus)) > 25 })
	st.whole(v)
	if log := st.log.String(); strings.Count(log, "ffmpeg is not there") != 1 {
		t.Errorf("the log says it not once: %s", log)
	}
}

func TestThereAreNoMoreProcessesThanTheConfigurationSays(t *testing.T) {
	r := open(t, transcode.Config{Max: 1, Grace: time.Millisecond})
	samples := sound(t, media.Opus, "0")
	one, other := r.stage("one"), r.stage("other")
	first := one.watch(media.UsualSound()...)
	one.publish(samples, true)
	one.until("there is sound", func() bool { return len(first.got(media.AAC)) > 10 })
	second := other.watch(media.UsualSound()...)
	other.publish(samples, true)
	other.until("sound comes as it is published", func() bool { return len(second.got(media.Opus)) > 10 })
	if c := r.made.Counts(); c.Running != 1 || c.Refused == 0 {
		t.Errorf("counts are %+v, expected one running and some refused", c)
	}
	if log := r.log.String(); !strings.Contains(log, "too many processes") || !strings.Contains(log, "room=other") {
		t.Errorf("the log does not say why: %s", log)
	}
	first.leave()
	other.until("there is sound when there is place", func() bool { return len(second.got(media.AAC)) > 10 })
}

func TestNothingIsLeftOfViewersThatComeAndGo(t *testing.T) {
	st := open(t, transcode.Config{Grace: time.Millisecond}).stage("arena")
	st.publish(sound(t, media.AAC, "0"), true)
	for n := range 20 {
		v := st.watch(media.Opus)
		st.until("there is sound", func() bool { return len(st.pids()) > n && len(v.got(media.Opus)) > 2 }) // some may be what the process before has made
		v.leave()
		st.until("the process has ended", func() bool { return st.made.Counts().Running == 0 })
	}
	pids := st.pids()
	if len(pids) != 20 {
		t.Errorf("%d processes were started, expected 20", len(pids))
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); err == nil {
			t.Errorf("process %d is still there", pid)
		}
	}
	st.until("the stream has no viewer", func() bool { return st.stream.Viewers() == 0 })
	if c := st.made.Counts(); c.Restarts != 0 {
		t.Errorf("counts are %+v, expected no restarts", c)
	}
}

func TestAProcessIsThereWhileThereIsSound(t *testing.T) {
	st := open(t, transcode.Config{Silence: time.Second}).stage("arena")
	v := st.watch(media.Opus)
	samples := sound(t, media.AAC, "0")[:100]
	st.mute(samples[0].Params)
	st.until("there are pictures", func() bool { return len(v.got(media.VP8)) == 50 })
	if n := len(st.pids()); n > 0 {
		t.Errorf("%d processes were started for sound that was announced, and did not come", n)
	}
	for range 2 {
		before := len(v.got(media.Opus))
		<-st.publish(samples, false)
		st.until("there is sound", func() bool { return len(v.got(media.Opus)) > before+10 })
		st.until("the process has ended", func() bool { return st.made.Counts().Running == 0 })
	}
	if c := st.made.Counts(); c.Restarts != 0 {
		t.Errorf("counts are %+v, expected no restarts: none has failed", c)
	}
}

// mute publishes 50 pictures, and announces sound that does not come.
func (st *stage) mute(announced *media.Params) {
	st.Helper()
	p, err := st.stream.Publish(nil)
	if err != nil {
		st.Fatal(err)
	}
	defer p.Close()
	pictures := &media.Params{Codec: media.VP8}
	var tracks []*media.Track
	for _, params := range []*media.Params{announced, pictures} {
		track, err := p.Track(media.TrackSpec{Kind: params.Codec.Kind()})
		if err != nil {
			st.Fatal(err)
		}
		p.Describe(track, params)
		tracks = append(tracks, track)
	}
	p.Complete()
	for n := range 50 {
		at := origin + time.Duration(n)*40*time.Millisecond
		if err := p.Write(tracks[1], media.Sample{DTS: at, PTS: at, Key: true, Data: []byte("picture"), Params: pictures}); err != nil {
			st.Fatal(err)
		}
	}
}

func TestOneProcessIsForAllViewersAndGoesOnWithThePublisher(t *testing.T) {
	st := open(t, transcode.Config{}).stage("arena")
	all := []*viewer{st.watch(media.Opus), st.watch(media.Opus), st.watch(media.Opus), st.watch(media.UsualSound()...), st.watch()}
	<-st.publish(sound(t, media.AAC, "0")[:50], false)
	for i, v := range all[:3] {
		st.until("each has sound", func() bool { return len(v.got(media.Opus)) > 10 })
		if n := len(v.got(media.AAC)); n > 0 {
			t.Errorf("viewer %d got %d frames that it can't play", i, n)
		}
	}
	for i, v := range all[3:] {
		st.until("who plays AAC has all of it", func() bool { return len(v.got(media.AAC)) == 50 })
		if made := len(v.got(media.Opus)); made != 0 {
			t.Errorf("viewer %d that plays AAC got %d frames that were made", i, made)
		}
	}
	// Another publisher comes, whose sound they play, but the others do not.
	st.publish(sound(t, media.Opus, "0"), true)
	st.until("who plays AAC gets that", func() bool { return len(all[3].got(media.AAC)) > 60 })
	before := len(all[0].got(media.Opus))
	st.until("who plays Opus gets that", func() bool { return len(all[0].got(media.Opus)) > before+10 })
	if n := st.made.Counts().Running; n != 1 {
		t.Errorf("%d processes, expected 1", n)
	}
}

func TestAPublisherThatChangesAgainAndAgainStartsFewProcesses(t *testing.T) {
	t.Setenv(fake, "nothing")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	opus := []*media.Params{{Codec: media.Opus, Config: media.OpusConfig(1), Channels: 1}, {Codec: media.Opus, Config: media.OpusConfig(2), Channels: 2}}
	aac := &media.Params{Codec: media.AAC, Config: []byte{0x11, 0x90}, SampleRate: 48000, Channels: 2}
	for name, params := range map[string][]*media.Params{"parameters": opus, "codec": {opus[0], aac}} {
		t.Run(name, func(t *testing.T) {
			var samples []media.Sample
			for at := time.Duration(0); at < 2*time.Second; at += 20 * time.Millisecond {
				samples = append(samples, media.Sample{DTS: at, PTS: at, Data: []byte{0xfc, 0xff, 0xfe}, Params: params[len(samples)%2]})
			}
			st := open(t, transcode.Config{Program: program}).stage("arena")
			v := st.watch(media.UsualSound()...)
			<-st.publish(samples, false)
			st.until("the last packet has been looked at", func() bool { return len(v.got(media.VP8)) == 50 && len(st.pids()) > 0 })
			if n := len(st.pids()); n > 10 { // two at once, and one after each of 0.2, 0.4, 0.8 and 1.6 s; a busy machine takes longer
				t.Errorf("%d processes for %d changes", n, len(samples))
			}
			st.whole(v)
		})
	}
}
