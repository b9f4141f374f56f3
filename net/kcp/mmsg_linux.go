package kcp

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// messages are what one call of recvmmsg(2) or sendmmsg(2) takes, each with one buffer and an address.
type messages struct {
	head  [batchSize]message
	iov   [batchSize]unix.Iovec
	names [batchSize]unix.RawSockaddrInet6 // large enough for IPv4's
}

// message is struct mmsghdr.
type message struct {
	hdr unix.Msghdr
	n   uint32
}

func newMessages() *messages {
	m := new(messages)
	for i := range m.head {
		h := &m.head[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&m.names[i])) //nolint:gosec // the kernel's view of it
		h.Iov = &m.iov[i]
		h.SetIovlen(1)
	}
	return m
}

// buffer is where message i begins, or what it is.
func (m *messages) buffer(i int, b []byte) {
	m.iov[i].Base = unsafe.SliceData(b) //nolint:gosec // kept alive by it
	m.iov[i].SetLen(len(b))
}

// forget lets the first n buffers go.
func (m *messages) forget(n int) {
	for i := range n {
		m.iov[i].Base = nil
	}
}

// address writes where message i goes, through a socket of IPv6 or one of IPv4.
func (m *messages) address(i int, to netip.AddrPort, v6 bool) {
	sa, h := &m.names[i], &m.head[i].hdr
	port := (*[2]byte)(unsafe.Pointer(&sa.Port)) //nolint:gosec // at the same place for both families, in network order
	binary.BigEndian.PutUint16(port[:], to.Port())
	if !v6 {
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa)) //nolint:gosec // names are large enough
		sa4.Family, sa4.Addr = unix.AF_INET, to.Addr().As4()
		h.Namelen = unix.SizeofSockaddrInet4
		return
	}
	sa.Family, sa.Addr, sa.Flowinfo, sa.Scope_id = unix.AF_INET6, to.Addr().As16(), 0, 0
	if zone := to.Addr().Zone(); zone != "" {
		id, _ := strconv.ParseUint(zone, 10, 32) // it comes from sender
		sa.Scope_id = uint32(id)
	}
	h.Namelen = unix.SizeofSockaddrInet6
}

// sender is where message i came from.
func (m *messages) sender(i int) netip.AddrPort {
	sa := &m.names[i]
	port := (*[2]byte)(unsafe.Pointer(&sa.Port)) //nolint:gosec // as in address
	var addr netip.Addr
	if sa.Family == unix.AF_INET {
		addr = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(sa)).Addr) //nolint:gosec // which the kernel has written
	} else {
		addr = netip.AddrFrom16(sa.Addr).Unmap()
		if sa.Scope_id != 0 {
			addr = addr.WithZone(strconv.FormatUint(uint64(sa.Scope_id), 10))
		}
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port[:]))
}

// receive takes what a non-blocking socket has.
//
// Neither it nor transmit waits, so Go's scheduler need not hear of them, as it does of package syscall's calls, which is ready to give the core to others meanwhile: at each of them
// it wakes a thread that watches over it, if everything has been at rest.
func (m *messages) receive(fd int) (int, error) {
	for i := range m.head {
		m.head[i].hdr.Namelen = unix.SizeofSockaddrInet6 // the kernel has changed it
	}
	for {
		//nolint:gosec // the messages live through the call, as the rules of package unsafe have it
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.head)), batchSize, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// briefBatch is how many datagrams at most are sent in one call: more would take the kernel too long for a goroutine that can't be interrupted meanwhile.
const briefBatch = 16

// transmit sends messages from one up to another, and returns how many of them the system has taken, which may be fewer; 0 with why it has not taken the first.
func (m *messages) transmit(fd, from, to int) (int, error) {
	to = min(to, from+briefBatch)
	for {
		//nolint:gosec // the messages live through the call, as the rules of package unsafe have it
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.head[from])), uintptr(to-from), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
