package lua54_test

import (
	"testing"

	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm/vmtest"
)

func TestTheEngineIsLuaExceptWhereDeclared(t *testing.T) {
	racetest.SetAside(t)
	vmtest.Run(t, lua54.Engine{})
}
