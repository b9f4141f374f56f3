package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// maxEarly bounds what is kept of packets that come before the answer to PLAY, bytes.
const maxEarly = 1 << 20

// describe asks what there is.
func (c *client) describe() error {
	public, err := c.ask(base.Options, c.at, nil, nil)
	if refused, ok := errors.AsType[*statusError](err); err != nil && (!ok || refused.status == base.StatusUnauthorized) {
		return err // else it does not know the method
	}
	if err == nil && strings.Contains(strings.Join(public.Header["Public"], ","), string(base.GetParameter)) {
		c.method = base.GetParameter
	}
	res, err := c.ask(base.Describe, c.at, base.Header{"Accept": {"application/sdp"}}, nil)
	if err != nil {
		return err
	}
	if c.announced, err = readSDP(res.Body, c.d.MaxFrame, c.d.Log.With("host", c.at.Host)); err != nil {
		return err
	}
	c.announced.pulled, c.announced.unagreed = true, c.d.Unagreed
	c.base = contentBase(c.at, c.announced.whole, res.Header)
	c.over, c.udp = make([]*route, len(c.announced.tracks)), make([]*UDP, len(c.announced.tracks))
	return nil
}

// contentBase is what the server calls all tracks together (RFC 2326 appendix C.1.1), and has its tracks below.
func contentBase(asked *base.URL, whole string, h base.Header) *base.URL {
	for _, told := range [][]string{{whole}, h["Content-Base"], h["Content-Location"]} {
		for _, text := range told {
			if strings.HasPrefix(text, "/") {
				text = asked.Scheme + "://" + asked.Host + text
			}
			if u, err := base.ParseURL(text); err == nil && u.Host != "" {
				return u
			}
		}
	}
	return asked
}

// setUp says how the packets of a track are to come: through the connection, and over UDP if that was asked for or the server does nothing else.
func (c *client) setUp(ctx context.Context, i int, name string) error {
	where, err := description.Media{Control: name}.URL(c.base)
	if err != nil || where == nil {
		return fmt.Errorf("%w: SDP: track %d has no URL", ErrProtocol, i)
	}
	unicast := headers.TransportDeliveryUnicast
	offer := headers.Transport{Protocol: headers.TransportProtocolTCP, Delivery: &unicast, InterleavedIDs: &[2]int{2 * i, 2*i + 1}}
	if c.overUDP {
		if err := c.listen(ctx, i); err != nil {
			return err
		}
		offer = headers.Transport{Protocol: headers.TransportProtocolUDP, Delivery: &unicast, ClientPorts: c.udp[i].ports()}
	}
	if c.sends {
		mode := headers.TransportModeRecord
		offer.Mode = &mode
	}
	res, err := c.ask(base.Setup, where, base.Header{"Transport": offer.Marshal()}, nil)
	if refused, ok := errors.AsType[*statusError](err); ok && refused.status == base.StatusUnsupportedTransport && i == 0 && !c.overUDP && !c.sends && c.at.Scheme == schemePlain {
		c.overUDP = true
		return c.setUp(ctx, i, name)
	}
	if err != nil {
		return err
	}
	var got headers.Transport
	if err := got.Unmarshal(res.Header["Transport"]); err != nil {
		return fmt.Errorf("%w: Transport: %w", ErrProtocol, err)
	}
	if got.Protocol != offer.Protocol || got.Profile != offer.Profile || got.Delivery != nil && *got.Delivery != unicast {
		wants := "to send"
		if c.sends {
			wants = "to be sent to"
		}
		return fmt.Errorf("%w: SETUP: the server wants %s by %.100q, expected %q", ErrProtocol, wants, res.Header["Transport"][0], offer.Marshal()[0])
	}
	if c.overUDP {
		return c.expect(i, got.ServerPorts)
	}
	return c.interleaved(i, got.InterleavedIDs)
}

// interleaved has a track come on the channels that the server has chosen.
func (c *client) interleaved(i int, ids *[2]int) error {
	if ids == nil {
		ids = &[2]int{2 * i, 2*i + 1}
	}
	if ids[0] < 0 || ids[0] > 254 || ids[1] != ids[0]+1 {
		return fmt.Errorf("%w: SETUP: interleaved=%d-%d, expected two that follow each other, up to 255", ErrProtocol, ids[0], ids[1])
	}
	for _, r := range c.over[:i] {
		if d := ids[0] - int(r.channel); d > -2 && d < 2 {
			return fmt.Errorf("%w: SETUP: interleaved=%d-%d, which another track has", ErrProtocol, ids[0], ids[1])
		}
	}
	c.over[i] = &route{channel: byte(ids[0])}
	return nil
}

// listen opens ports for a track, at the address that the server knows us by.
func (c *client) listen(ctx context.Context, i int) error {
	local, err := netip.ParseAddrPort(c.conn.LocalAddr().String())
	if err == nil {
		c.udp[i], err = ListenUDP(ctx, netip.AddrPortFrom(local.Addr().Unmap(), 0).String())
	}
	return err
}

// expect has a track's packets taken from the ports that the server has told, or from all. They are those of the host that the connection is with, whatever else it says, and nothing is sent to another.
func (c *client) expect(i int, ports *[2]int) error {
	host, err := netip.ParseAddrPort(c.conn.RemoteAddr().String())
	if err != nil {
		return fmt.Errorf("%w: no UDP from %s", ErrProtocol, c.conn.RemoteAddr())
	}
	addr := host.Addr().Unmap()
	r := &route{udp: true, rtp: anyPort(addr), control: anyPort(addr)}
	if ports != nil && ports[0] > 0 && ports[0] <= 0xffff && ports[1] > 0 && ports[1] <= 0xffff {
		r.rtp, r.control = netip.AddrPortFrom(addr, uint16(ports[0])), netip.AddrPortFrom(addr, uint16(ports[1]))
	}
	c.over[i] = r
	return c.udp[i].expect(r.rtp, r.control, c.takes(i, c.announced.packet), c.takes(i, c.announced.control))
}

// takes gives packets over UDP to a track.
func (c *client) takes(i int, take func(int, []byte, time.Time) error) func([]byte) {
	return func(b []byte) {
		now := time.Now()
		c.alive.Store(now.UnixNano())
		if err := take(i, b, now); err != nil {
			c.end(err)
		}
	}
}

// play has the server begin.
func (c *client) play() error {
	for i, r := range c.over {
		if r.udp && r.rtp.Port() != 0 {
			c.udp[i].open(r)
		}
	}
	c.asked = true
	if _, err := c.ask(base.Play, c.base, base.Header{"Range": {"npt=0.000-"}}, nil); err != nil {
		return err
	}
	return c.settle()
}

// settle is for when the server has agreed: from here on what is said has deadlines of its own.
func (c *client) settle() error {
	c.lock.Lock()
	c.flows = true
	c.lock.Unlock()
	return c.until(time.Time{})
}

// open lets routers on the way know that packets will come back: those to it mean nothing. They are as good as lost if they do not arrive.
func (u *UDP) open(r *route) {
	if b, err := (&rtp.Header{Version: 2}).Marshal(); err == nil {
		_, _ = u.rtp.WriteToUDPAddrPort(b, r.rtp)
	}
	if b, err := (&rtcp.ReceiverReport{}).Marshal(); err == nil {
		_, _ = u.rtcp.WriteToUDPAddrPort(b, r.control)
	}
}

// keep holds a packet that comes before there is a publisher.
func (c *client) keep(m *base.InterleavedFrame) {
	if !c.asked {
		return
	}
	if c.earlySize += len(m.Payload) + packetCost; c.earlySize <= maxEarly {
		c.early, c.earlyFrom = append(c.early, m.Payload), append(c.earlyFrom, byte(m.Channel))
	}
}

// take gives what comes to the publisher.
func (c *client) take() error {
	for i, b := range c.early {
		if err := c.packet(c.earlyFrom[i], b); err != nil {
			return err
		}
	}
	c.early, c.earlyFrom = nil, nil
	return c.hear(c.packet)
}

// hear takes what comes until there is a reason to end.
func (c *client) hear(packet func(channel byte, b []byte) error) error {
	for {
		what, err := c.read()
		if err != nil {
			return err
		}
		if c.sends {
			c.alive.Store(time.Now().UnixNano())
		}
		switch m := what.(type) {
		case *base.InterleavedFrame:
			err = packet(byte(m.Channel), m.Payload)
		case *base.Response:
			err = c.told(m)
		case *base.Request:
			err = c.serve(m)
		}
		if err != nil {
			return err
		}
	}
}

// packet takes one that came through the connection. Those on channels that nobody has set up are left out, and are no sign of life.
func (c *client) packet(channel byte, b []byte) error {
	now := time.Now()
	for i, r := range c.over {
		if r.udp || channel != r.channel && channel != r.channel+1 {
			continue
		}
		c.alive.Store(now.UnixNano())
		if channel == r.channel {
			return c.announced.packet(i, b, now)
		}
		return c.announced.control(i, b, now)
	}
	return nil
}
