package rooms

import (
	"context"
	"fmt"
	"net"
	"time"

	pion "github.com/pion/webrtc/v4"
	"golang.org/x/sync/errgroup"

	"github.com/skua-go/skua/tools/bench/measure"
)

// A stream of 1.6 Mbps.
const (
	streamInterval = 6 * time.Millisecond
	streamPacket   = 1200
)

// WHEP is how much viewers of one stream are sent for a core's whole time, in Gbps.
func WHEP(viewers int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return measure.WithServer(ctx, WebRTCServer, func(p *measure.Process) (float64, error) {
			c, end, err := stage(ctx, p, viewers)
			if err != nil {
				return 0, err
			}
			defer end()
			cpu, bytes, err := c.cost(ctx, p)
			if err != nil {
				return 0, err
			}
			expected := float64(viewers) * streamPacket * float64(window/streamInterval)
			if float64(bytes) < 0.95*expected {
				return 0, fmt.Errorf("rooms: the viewers got %d bytes of %.0f: this machine is too busy to measure it", bytes, expected)
			}
			return float64(bytes) * 8 / float64(cpu.Nanoseconds()), nil
		})
	}
}

// WHEPBytes is the server's memory for each of so many viewers, while it sends to them.
func WHEPBytes(viewers int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return measure.WithSmallServer(ctx, WebRTCServer, func(p *measure.Process) (float64, error) {
			before, err := p.RSS()
			if err != nil {
				return 0, err
			}
			c, end, err := stage(ctx, p, viewers)
			if err != nil {
				return 0, err
			}
			defer end()
			if _, _, err := c.cost(ctx, p); err != nil {
				return 0, err
			}
			after, err := p.RSS()
			return float64(after-before) / float64(viewers), err
		})
	}
}

// stage has one publisher and its viewers.
func stage(ctx context.Context, p *measure.Process, viewers int) (_ *crowd, end func(), err error) {
	c := &crowd{addr: p.Addr}
	ctx, cancel := context.WithCancel(ctx)
	end = func() { cancel(); c.close() }
	track, err := c.publish(ctx, "/whip/stage?who=a", pion.MimeTypeVP8)
	if err == nil {
		go stream(ctx, streamInterval, streamPacket, track)
		err = c.each(ctx, viewers, func(ctx context.Context, _ int) error { return c.watch(ctx, "/whep/stage", pion.RTPCodecTypeVideo, 1) })
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return c, end, nil
}

// Rooms of voice.
const (
	voiceMembers = 4
	voicePacket  = 80
	// settled is how long it takes until sessions have put away what they needed to get through.
	settled = 6 * time.Second
)

// Voice is how many cores it takes for 200 rooms of 4 members who all speak, by so many of them.
func Voice(rooms int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return measure.WithServer(ctx, WebRTCServer, func(p *measure.Process) (float64, error) {
			cpu, end, err := talk(ctx, p, rooms, 20*time.Millisecond)
			end()
			return cpu.Seconds() / window.Seconds() * 200 / float64(rooms), err
		})
	}
}

// VoiceBytes is the server's memory for each of the members of so many rooms, while they all speak. A member has two sessions: one that sends, and one that hears the others.
func VoiceBytes(rooms int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return measure.WithSmallServer(ctx, WebRTCServer, func(p *measure.Process) (float64, error) {
			before, err := p.RSS()
			if err != nil {
				return 0, err
			}
			_, end, err := talk(ctx, p, rooms, 100*time.Millisecond) // the clients of so many take more than two cores else
			defer end()
			if err == nil {
				err = pause(ctx, settled)
			}
			if err != nil {
				return 0, err
			}
			after, err := p.RSS()
			return float64(after-before) / float64(rooms*voiceMembers), err
		})
	}
}

// talk has rooms of voice, whose members talk until end is called, and tells what CPU time that took the server for a while.
func talk(ctx context.Context, p *measure.Process, rooms int, every time.Duration) (cpu time.Duration, end func(), err error) {
	const others = voiceMembers - 1
	c := &crowd{addr: p.Addr}
	ctx, cancel := context.WithCancel(ctx)
	end = func() { cancel(); c.close() }
	tracks := make([]*pion.TrackLocalStaticRTP, rooms*voiceMembers)
	err = c.each(ctx, len(tracks), func(ctx context.Context, i int) (err error) {
		at := fmt.Sprintf("%d?who=m%d", i/voiceMembers, i%voiceMembers)
		if tracks[i], err = c.publish(ctx, "/whip/r"+at, pion.MimeTypeOpus); err != nil {
			return err
		}
		return c.watch(ctx, "/whep/r"+at, pion.RTPCodecTypeAudio, others)
	})
	if err != nil {
		return 0, end, err
	}
	go stream(ctx, every, voicePacket, tracks...)
	cpu, bytes, err := c.cost(ctx, p)
	if err != nil {
		return 0, end, err
	}
	if expected := float64(len(tracks)*others) * voicePacket * float64(window/every); float64(bytes) < 0.9*expected {
		return 0, end, fmt.Errorf("rooms: the members got %d bytes of %.0f: this machine is too busy to measure it", bytes, expected)
	}
	return cpu, end, nil
}

// each calls f for 0 to n-1, sixteen at a time.
func (c *crowd) each(ctx context.Context, n int, f func(context.Context, int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i := range n {
		group.Go(func() error { return f(ctx, i) })
	}
	return group.Wait()
}

// BareUDP is the loop that nothing is between: the same packets to as many sockets, as they are, in Gbps for a core's whole time.
func BareUDP(viewers int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		var lc net.ListenConfig
		out, err := lc.ListenPacket(ctx, "udp4", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		defer out.Close()
		in, err := lc.ListenPacket(ctx, "udp4", "127.0.0.1:0") // nobody reads: the system drops what does not fit
		if err != nil {
			return 0, err
		}
		defer in.Close()
		packet := make([]byte, streamPacket)
		before, err := measure.CPUTime()
		if err != nil {
			return 0, err
		}
		const packets = 300
		for range packets {
			for range viewers {
				if _, err := out.WriteTo(packet, in.LocalAddr()); err != nil {
					return 0, err
				}
			}
		}
		after, err := measure.CPUTime()
		return float64(packets*viewers*streamPacket*8) / float64((after - before).Nanoseconds()), err
	}
}
