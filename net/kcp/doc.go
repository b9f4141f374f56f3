// Package kcp yields listeners of KCP, a reliable byte stream over UDP that trades bandwidth for latency on links which lose packets
// (github.com/skywind3000/kcp has the protocol), and the client's end of it.
//
// The listener is a session layer of our own. A session begins with a handshake: nothing is kept of a client before it has shown, with a cookie, that it
// receives at its address. The server chooses the conversation's number, by which it knows the session from then on, so a client whose address changes goes on
// with its session once it has proven that it is the same one. Streams have ends, and closing is signed. docs/kcp.md has all of it byte by byte. Plain KCP
// clients, which have none of this, are admitted where Config.Raw says so.
//
// An idle session has neither a goroutine nor a timer of the runtime. The sockets of a listener share a port; each has a lock, a wheel of timers and two
// goroutines, one that reads datagrams and one that minds the wheel.
package kcp
