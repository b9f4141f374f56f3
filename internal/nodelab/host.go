package nodelab

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
)

// Host is one of a lab. Its methods may be called from any goroutine.
type Host struct {
	l      *Lab
	name   string
	addr   netip.Addr
	space  *os.File // the network namespace
	tun    *os.File
	failed error // set before the lab's goroutines have ended
}

// Name is the name of the host.
func (h *Host) Name() string { return h.name }

// Addr is its address. Servers there listen on it, or on all.
func (h *Host) Addr() netip.Addr { return h.addr }

// Start starts cmd as a process of this host; all that it starts itself belongs to the host, too. The rest, such as Wait, is the caller's.
func (h *Host) Start(cmd *exec.Cmd) error {
	if err := h.within(cmd.Start); err != nil {
		return fmt.Errorf("nodelab: host %s: %s: %w", h.name, cmd.Path, err)
	}
	return nil
}
