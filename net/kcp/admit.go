package kcp

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"net/netip"
)

// hello answers a client that wants to come in: with a cookie, of which nothing is kept. The shard is locked.
func (sh *shard) hello(d []byte, from netip.AddrPort) {
	sh.l.cfg.Stats.hellos.Add(1)
	nonce := d[8 : 8+nonceLen]
	if d[5] != ctlVersion {
		sh.refuse(refusedVersion, nonce, from)
		return
	}
	sh.giveCookie(nonce, from)
}

func (sh *shard) giveCookie(nonce []byte, from netip.AddrPort) {
	cookie := sh.l.mint.cookie(from, nonce)
	sh.answer(from, func(p []byte) []byte { return cookieMsg(p, nonce, cookie) })
	sh.l.cfg.Stats.cookies.Add(1)
}

func (sh *shard) refuse(why byte, nonce []byte, from netip.AddrPort) {
	sh.l.cfg.Stats.refused[why].Add(1)
	sh.answer(from, func(p []byte) []byte { return refuseMsg(p, nonce, why) })
}

// connect makes the session of a client that brings a good cookie, once. The shard is not locked: agreeing on a key takes some 50 µs.
func (sh *shard) connect(d []byte, from netip.AddrPort) {
	l := sh.l
	st := l.cfg.Stats
	nonce, cookie, share := d[8:8+nonceLen], d[16:16+cookieLen], d[40:40+shareLen]
	ours := l.mint.stamped(cookie, ctlCookie, from, nonce)
	if ours == nil {
		st.badCookie.Add(1)
		sh.mu.Lock()
		defer sh.leave()
		sh.giveCookie(nonce, from) // it may be too old: here is another
		return
	}
	st.connects.Add(1)
	var id connectID
	copy(id[copy(id[:], nonce):], share)
	sh.mu.Lock()
	if n, again := sh.recent[id]; again {
		defer sh.leave()
		if !n.c.gone && n.c.remote == from {
			sh.accepted(n, nonce)
		}
		return
	}
	if !sh.newcomers.take(sh.now()) {
		defer sh.leave()
		sh.refuse(refusedBacklog, nonce, from)
		return
	}
	sh.leave()

	theirs, err := ecdh.X25519().NewPublicKey(share)
	if err != nil {
		st.malformed.Add(1)
		return
	}
	why := l.enter(from, false)
	var secret []byte
	if why == 0 {
		if secret, err = ours.ECDH(theirs); err != nil { // a share of a small order, which no client makes
			st.malformed.Add(1)
			l.leftUnborn(from)
			return
		}
	}
	sh.mu.Lock()
	defer sh.leave()
	if why != 0 {
		sh.refuse(why, nonce, from)
		return
	}
	c := sh.newConn(sh.freeConv(), from, sh.now())
	c.key = sessionKey(secret, nonce, share, ours.PublicKey().Bytes())
	if !l.push(c) {
		l.left(c)
		l.closedBehind()
		sh.refuse(refusedBacklog, nonce, from)
		return
	}
	sh.sessions[c.block.conv] = c
	l.remember(c)
	n := newcomer{c, ours}
	sh.keep(id, n)
	c.schedule(sh.now())
	sh.accepted(n, nonce)
}

// accepted tells a client its conversation; again, if that got lost.
func (sh *shard) accepted(n newcomer, nonce []byte) {
	silence := uint16(min(sh.l.silence/1000, 1<<16-1))
	share := n.ours.PublicKey().Bytes()
	n.c.control(func(p []byte) []byte { return acceptMsg(p, nonce, n.c.block.conv, silence, share, &n.c.key) })
}

// freeConv is a conversation that leads to this shard and is not in use.
func (sh *shard) freeConv() uint32 {
	n := uint32(len(sh.l.shards))
	for {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails: it would end the program
		conv := binary.LittleEndian.Uint32(b[:])
		conv = conv - conv%n + uint32(sh.index)
		if conv%n != uint32(sh.index) || conv == 0 { // the topmost numbers wrap
			continue
		}
		if sh.sessions[conv] == nil {
			return conv
		}
	}
}

// keep remembers by which datagram a session began, for as long as that may be repeated.
func (sh *shard) keep(id connectID, n newcomer) {
	if sh.recent == nil {
		sh.recent = make(map[connectID]newcomer)
	}
	sh.recent[id] = n
	sh.old = append(sh.old, recent{id, sh.now() + (cookieLife+2)*1000})
}

// forgetOld forgets in large bites, each of which takes its time, and returns when it wants to be called again; 0: need not.
func (sh *shard) forgetOld(now int64) int64 {
	if len(sh.old) == 0 {
		return 0
	}
	if now < sh.forgetAt {
		return sh.forgetAt
	}
	const bite = 2000
	sh.forgetAt = now + bite
	n := 0
	for n < len(sh.old) && sh.old[n].until <= now {
		delete(sh.recent, sh.old[n].id)
		n++
	}
	if n == len(sh.old) {
		sh.recent, sh.old = nil, nil // a map keeps its memory otherwise
		return 0
	}
	sh.old = append(sh.old[:0], sh.old[n:]...)
	return sh.forgetAt
}
