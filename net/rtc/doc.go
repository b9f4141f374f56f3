// Package rtc is the node's door for WebRTC: publishers come by WHIP (RFC 9725), viewers by WHEP (draft-ietf-wish-whep), all of them through one UDP port,
// or a TCP port where UDP does not get through (ICE with multiplexed sockets, RFC 8445 and 6544; the node is an ICE-lite agent: it answers checks and never sends any to
// an address that a client has named).
//
// A room forwards packets as they are (a selective forwarding unit): nothing is decoded, and what comes from a publisher is kept once, for all who watch.
//
//	publisher -> source (a track: cache of packets) -> slot (a media line of a viewer) -> viewer
//
// A viewer offers as many lines of audio and video as it wants to receive at most. Sources are laid on these slots: all of them while there are no more than slots, and those
// that have spoken last beyond that. When a slot's source changes, sequence numbers and timestamps go on, so that publishers come and go without a word of SDP.
//
// Sessions have no goroutines and buffers of their own: who reads from a socket decrypts, forwards and encrypts. Of the libraries' connections only DTLS and SCTP are there, and while they are
// needed (see secure).
//
// What is not sent out again belongs to the caller: who may come in, and what becomes of it, is decided by Rules.
package rtc
