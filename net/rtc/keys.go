package rtc

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/prf"
	"github.com/pion/dtls/v3/pkg/protocol/extension"
	"github.com/pion/dtls/v3/pkg/protocol/handshake"
	"github.com/pion/srtp/v3"
)

// handshakeKeys finds the keys of a connection's media. The library keeps them to itself, but shows its handshake to those who ask: what it says to the client, and the secret that the
// two of them have, as a line of a key log. From these follow the keys (RFC 5705 and 5764), as they do at the client. They stay in memory, and nobody else sees them.
type handshakeKeys struct {
	mu     sync.Mutex
	hello  handshake.MessageServerHello
	agreed atomic.Pointer[srtp.Config]
}

// said is given what the node says to the client.
func (k *handshakeKeys) said(hello handshake.MessageServerHello) handshake.Message {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hello = hello
	return &hello
}

// Write is given the line of the key log: a label, the client's random number and the secret. It comes when the handshake is about to end.
func (k *handshakeKeys) Write(line []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	agreed, err := agree(k.hello, string(line))
	if err != nil {
		return 0, fmt.Errorf("rtc: keys of a connection: %w", err)
	}
	k.agreed.Store(agreed)
	return len(line), nil
}

// agree computes the keys.
func agree(hello handshake.MessageServerHello, line string) (*srtp.Config, error) {
	fields := strings.Fields(line)
	if len(fields) != 3 || hello.CipherSuiteID == nil {
		return nil, fmt.Errorf("a key log of %d fields, expected 3 behind a ServerHello", len(fields))
	}
	client, err := hex.DecodeString(fields[1])
	if err != nil {
		return nil, err
	}
	secret, err := hex.DecodeString(fields[2])
	if err != nil {
		return nil, err
	}
	server := hello.Random.MarshalFixed()
	c := new(srtp.Config)
	for _, e := range hello.Extensions {
		if use, ok := e.(*extension.UseSRTP); ok && len(use.ProtectionProfiles) == 1 {
			c.Profile = srtp.ProtectionProfile(use.ProtectionProfiles[0])
		}
	}
	err = c.ExtractSessionKeysFromDTLS(exporter{secret: secret, randoms: append(client, server[:]...), suite: dtls.CipherSuiteID(*hello.CipherSuiteID)}, false)
	return c, err
}

// exporter is RFC 5705 for TLS 1.2, section 4.
type exporter struct {
	secret, randoms []byte
	suite           dtls.CipherSuiteID
}

// ExportKeyingMaterial makes it what the library of SRTP asks for keys.
func (e exporter) ExportKeyingMaterial(label string, _ []byte, length int) ([]byte, error) {
	hash := sha256.New
	if strings.HasSuffix(e.suite.String(), "_SHA384") {
		hash = sha512.New384
	}
	return prf.PHash(e.secret, append([]byte(label), e.randoms...), length, hash)
}

// seal makes what encrypts packets for the client; nil if there are no keys.
func (k *handshakeKeys) seal() *srtp.Context {
	c := k.agreed.Load()
	if c == nil {
		return nil
	}
	ctx, err := srtp.CreateContext(c.Keys.LocalMasterKey, c.Keys.LocalMasterSalt, c.Profile)
	if err != nil {
		return nil // of a profile that only the library knows: it encrypts then
	}
	return ctx
}

// open makes what decrypts packets of the client; nil if there are no keys.
func (k *handshakeKeys) open() *srtp.Context {
	c := k.agreed.Load()
	if c == nil {
		return nil
	}
	ctx, err := srtp.CreateContext(c.Keys.RemoteMasterKey, c.Keys.RemoteMasterSalt, c.Profile, srtp.SRTPReplayProtection(replayWindow))
	if err != nil {
		return nil
	}
	return ctx
}

// replayWindow is how many packets a packet may be late, as the library has it.
const replayWindow = 64
