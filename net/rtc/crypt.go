package rtc

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// crypt are the keys of a session's media, both ways (RFC 3711), which follow from the handshake (RFC 5764).
type crypt struct {
	in     sync.Mutex
	open   *srtp.Context
	from   []uint32   // who has sent RTCP: the library keeps something of each
	opened rtp.Header // what the library reads of a packet; here, so that it need not be made for each
	out    sync.Mutex
	seal   *srtp.Context
	sealed rtp.Header // as opened
}

// replayWindow is how many packets a packet may be late: what a publisher is asked for again comes behind all that was sent meanwhile.
const replayWindow = 1024

// maxReporters bounds the sources of RTCP of one client: each that it sends, and what it gets by.
const maxReporters = 2 * maxSources

var errReporters = errors.New("rtc: the client sends RTCP from too many sources")

func newCrypt(conn *dtls.Conn) (*crypt, error) {
	profile, _ := conn.SelectedSRTPProtectionProfile()
	state, ok := conn.ConnectionState()
	if !ok {
		return nil, errNoHandshake
	}
	cfg := &srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := cfg.ExtractSessionKeysFromDTLS(&state, false); err != nil {
		return nil, err
	}
	return cryptOf(cfg)
}

func cryptOf(cfg *srtp.Config) (*crypt, error) {
	k := &cfg.Keys
	open, err := srtp.CreateContext(k.RemoteMasterKey, k.RemoteMasterSalt, cfg.Profile, srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(replayWindow))
	if err != nil {
		return nil, err
	}
	seal, err := srtp.CreateContext(k.LocalMasterKey, k.LocalMasterSalt, cfg.Profile)
	if err != nil {
		return nil, err
	}
	return &crypt{open: open, seal: seal}, nil
}

// openRTP decrypts a packet into room.
func (c *crypt) openRTP(room, b []byte) ([]byte, error) {
	c.in.Lock()
	defer c.in.Unlock()
	c.opened = rtp.Header{Extensions: c.opened.Extensions[:0]}
	return c.open.DecryptRTP(room[:0], b, &c.opened)
}

// openRTCP decrypts a packet, which has a head, into room.
func (c *crypt) openRTCP(room, b []byte) ([]byte, error) {
	c.in.Lock()
	defer c.in.Unlock()
	from := binary.BigEndian.Uint32(b[4:8])
	known := slices.Contains(c.from, from)
	if !known && len(c.from) == maxReporters {
		return nil, errReporters
	}
	plain, err := c.open.DecryptRTCP(room[:0], b, nil)
	if err == nil && !known {
		c.from = append(c.from, from)
	}
	return plain, err
}

// sealRTP encrypts a packet into room.
func (c *crypt) sealRTP(room []byte, h *rtp.Header, payload []byte) ([]byte, error) {
	n, err := h.MarshalTo(room)
	if err != nil {
		return nil, err
	}
	n += copy(room[n:], payload)
	c.out.Lock()
	defer c.out.Unlock()
	c.sealed = rtp.Header{Extensions: c.sealed.Extensions[:0]}
	return c.seal.EncryptRTP(room, room[:n], &c.sealed)
}

func (c *crypt) sealRTCP(packets []rtcp.Packet) ([]byte, error) {
	plain, err := rtcp.Marshal(packets)
	if err != nil {
		return nil, err
	}
	c.out.Lock()
	defer c.out.Unlock()
	return c.seal.EncryptRTCP(nil, plain, nil)
}
