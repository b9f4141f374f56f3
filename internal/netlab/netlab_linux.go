package netlab

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// Isolate has cmd run in network namespace of its own, where nothing is reachable but itself. It needs root, or a kernel that lets users make namespaces; where
// that is not so, cmd.Start fails.
func Isolate(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	a := cmd.SysProcAttr
	a.Cloneflags |= syscall.CLONE_NEWNET
	if uid := os.Getuid(); uid != 0 {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
}

const device = "netlab"

// OpenTUN makes the device, with an IPv4 address in a network of 256, in the network namespace of the calling thread, and brings it and the loopback device up. Its packets are read and written
// one by one (Documentation/networking/tuntap.rst of the kernel, netdevice(7)).
func OpenTUN(own netip.Addr) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	if err := setUp(fd, own.As4()); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

func setUp(tun int, own [4]byte) error {
	r, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(tun, unix.TUNSETIFF, r); err != nil {
		return fmt.Errorf("make a TUN device: %w", err)
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(s) }()
	for _, set := range []struct {
		device  string
		what    string
		request uint
		value   func(*unix.Ifreq) error
	}{
		{"lo", "bring up", unix.SIOCSIFFLAGS, flags},
		{device, "address", unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(own[:]) }},
		{device, "netmask", unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{255, 255, 255, 0}) }},
		{device, "bring up", unix.SIOCSIFFLAGS, flags},
	} {
		r, err := unix.NewIfreq(set.device)
		if err != nil {
			return err
		}
		if err := set.value(r); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(s, set.request, r); err != nil {
			return fmt.Errorf("%s: %s: %w", set.device, set.what, err)
		}
	}
	return nil
}

func flags(r *unix.Ifreq) error {
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return nil
}
