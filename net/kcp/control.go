package kcp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// Control datagrams, byte by byte in docs/kcp.md. The fifth byte tells them from KCP's commands (81 to 84) and from FEC's types (0xf1 to 0xf3).
const (
	ctlHello     = 0xc1 // client: I would like to come in
	ctlCookie    = 0xc2 // server: show me that you get this
	ctlConnect   = 0xc3 // client: here it is, and my half of the key
	ctlAccept    = 0xc4 // server: your conversation, and my half
	ctlRefuse    = 0xc5 // server: you may not come in
	ctlPing      = 0xc6 // client: are you there?
	ctlPong      = 0xc7 // server: yes
	ctlChallenge = 0xc8 // server: show me that this new address is yours
	ctlProof     = 0xc9 // client: here
	ctlEnd       = 0xca // both: my stream ends
	ctlEnded     = 0xcb // both: I know
	ctlReset     = 0xcc // server: I know no such conversation

	ctlVersion = 1
	ctlMagic   = "SKCP" // where there is no conversation yet

	macLen    = 16
	keyLen    = 32
	nonceLen  = 8
	cookieLen = 20
	tokenLen  = 16
	shareLen  = 32

	helloLen     = 64
	cookieMsgLen = 16 + cookieLen
	connectLen   = 80
	acceptLen    = 24 + shareLen + macLen
	refuseLen    = 16
	pingLen      = 24
	challengeLen = 8 + tokenLen
	proofLen     = 8 + tokenLen + macLen
	endLen       = 16 + macLen
	resetLen     = 16
)

// Why a server refuses a client.
const (
	refusedFull    = 1
	refusedPrefix  = 2
	refusedBacklog = 3
	refusedVersion = 4
	refusedClosing = 5
)

// Flags of an end.
const (
	endWhole  = 1 << 0 // the sender is gone: it neither reads nor answers any more
	endBroken = 1 << 1 // it leaves although not all that it has written arrived
)

// kindOf returns what a datagram is: a ctl number, or 0 for KCP and FEC. ok is false for what is neither, or of the wrong length.
func kindOf(d []byte) (kind byte, ok bool) {
	if len(d) < 16 {
		return 0, false
	}
	switch d[4] {
	case cmdPush, cmdAck, cmdAsk, cmdTell:
		return 0, len(d) >= overhead
	case fecData, fecParity:
		return 0, d[5] == 0 && len(d) >= fecHeader
	}
	want, known := 0, true
	switch d[4] {
	case ctlHello:
		want = helloLen
	case ctlCookie:
		want = cookieMsgLen
	case ctlConnect:
		want = connectLen
	case ctlAccept:
		want = acceptLen
	case ctlRefuse:
		want = refuseLen
	case ctlPing, ctlPong:
		want = pingLen
	case ctlChallenge:
		want = challengeLen
	case ctlProof:
		want = proofLen
	case ctlEnd, ctlEnded:
		want = endLen
	case ctlReset:
		want = resetLen
	default:
		known = false
	}
	if !known || len(d) != want {
		return 0, false
	}
	if named(d[4]) && string(d[:4]) != ctlMagic {
		return 0, false
	}
	// A hello of another version is answered, so that its client hears why; everything else of another version is nothing of ours.
	return d[4], d[5] == ctlVersion || d[4] == ctlHello
}

// named says whether a control datagram begins with the magic, and not with a conversation.
func named(kind byte) bool { return kind >= ctlHello && kind <= ctlRefuse }

// appendHead appends the first 8 bytes; conv is of use where the magic does not stand.
func appendHead(d []byte, kind byte, conv uint32, a, b byte) []byte {
	if named(kind) {
		d = append(d, ctlMagic...)
	} else {
		d = binary.LittleEndian.AppendUint32(d, conv)
	}
	return append(d, kind, ctlVersion, a, b)
}

func appendZeros(d []byte, upTo int) []byte {
	for len(d) < upTo {
		d = append(d, 0)
	}
	return d
}

func hello(d []byte, nonce [nonceLen]byte) []byte {
	from := len(d)
	d = append(appendHead(d, ctlHello, 0, 0, 0), nonce[:]...)
	return appendZeros(d, from+helloLen)
}

func cookieMsg(d, nonce []byte, cookie [cookieLen]byte) []byte {
	return append(append(appendHead(d, ctlCookie, 0, 0, 0), nonce...), cookie[:]...)
}

func connectMsg(d []byte, nonce [nonceLen]byte, cookie, share []byte) []byte {
	from := len(d)
	d = append(append(appendHead(d, ctlConnect, 0, 0, 0), nonce[:]...), cookie...)
	d = append(appendZeros(d, from+40), share...)
	return appendZeros(d, from+connectLen)
}

// acceptMsg is signed with the session's key, so that a client knows that it comes from who has its share.
func acceptMsg(d, nonce []byte, conv uint32, silence uint16, share []byte, key *[keyLen]byte) []byte {
	from := len(d)
	d = append(appendHead(d, ctlAccept, 0, 0, 0), nonce...)
	d = binary.LittleEndian.AppendUint32(d, conv)
	d = binary.LittleEndian.AppendUint16(d, silence)
	d = append(appendZeros(d, from+24), share...)
	return appendMAC(d, from, key, fromServer)
}

func refuseMsg(d, nonce []byte, why byte) []byte {
	return append(appendHead(d, ctlRefuse, 0, why, 0), nonce...)
}

func pingMsg(d []byte, kind byte, conv uint32, nonce []byte) []byte {
	from := len(d)
	return appendZeros(append(appendHead(d, kind, conv, 0, 0), nonce...), from+pingLen)
}

func challengeMsg(d []byte, conv uint32, token [tokenLen]byte) []byte {
	return append(appendHead(d, ctlChallenge, conv, 0, 0), token[:]...)
}

func proofMsg(d []byte, conv uint32, token []byte, key *[keyLen]byte) []byte {
	from := len(d)
	d = append(appendHead(d, ctlProof, conv, 0, 0), token...)
	return appendMAC(d, from, key, fromClient)
}

func endMsg(d []byte, kind byte, conv uint32, flags byte, end uint32, key *[keyLen]byte, who byte) []byte {
	from := len(d)
	d = binary.LittleEndian.AppendUint32(appendHead(d, kind, conv, flags, 0), end)
	return appendMAC(appendZeros(d, from+16), from, key, who)
}

func resetMsg(d []byte, conv uint32, echo []byte) []byte {
	return append(appendHead(d, ctlReset, conv, 0, 0), echo...)
}

// Who signs: what one end has sent can't be handed back to it.
const (
	fromClient = 'c'
	fromServer = 's'
)

// appendMAC signs what d has from index from on.
func appendMAC(d []byte, from int, key *[keyLen]byte, who byte) []byte {
	sum := mac(d[from:], key, who)
	return append(d, sum[:]...)
}

func mac(d []byte, key *[keyLen]byte, who byte) (sum [macLen]byte) {
	h := hmac.New(sha256.New, key[:])
	h.Write([]byte{who})
	h.Write(d)
	var all [sha256.Size]byte
	copy(sum[:], h.Sum(all[:0]))
	return sum
}

// signed says whether a control datagram ends with the right MAC.
func signed(d []byte, key *[keyLen]byte, who byte) bool {
	if len(d) < macLen {
		return false
	}
	body := d[:len(d)-macLen]
	sum := mac(body, key, who)
	return hmac.Equal(sum[:], d[len(body):])
}

// sessionKey is what both ends make of the secret that they share (X25519).
func sessionKey(secret, nonce, clientShare, serverShare []byte) (key [keyLen]byte) {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("skua kcp session 1"))
	h.Write(nonce)
	h.Write(clientShare)
	h.Write(serverShare)
	copy(key[:], h.Sum(nil))
	return key
}
