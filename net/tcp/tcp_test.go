package tcp_test

import (
	"context"
	"strings"
	"testing"

	"github.com/skua-go/skua/net/tcp"
)

func TestABadAddressIsNamed(t *testing.T) {
	if _, err := tcp.Listen(context.Background(), "127.0.0.1:nowhere"); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("%v", err)
	}
}
