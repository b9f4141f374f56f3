package ferrettest_test

import (
	"net"
	"testing"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/internal/ferrettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServerComesBackOnItsAddress(t *testing.T) {
	s := ferrettest.Start(t)
	serves(t, s, true)
	s.Kill()
	serves(t, s, false)
	s.Restart(t)
	serves(t, s, true)
	s.Stop(t)
	serves(t, s, false)
	s.Restart(t)
	serves(t, s, true)
}

func serves(t *testing.T, s *ferrettest.Server, want bool) {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	if (err == nil) != want {
		t.Fatalf("connect: %v, want it to serve: %v", err, want)
	}
	if err == nil {
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
