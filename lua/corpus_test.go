package lua_test

import (
	"os"
	"testing"

	"github.com/skua-go/skua/lua/corpus"
)

// The scripts of testdata/corpus are services as studios write them for Skynet. What they rely on holds on both engines.
func TestServicesInSkynetsStyleRun(t *testing.T) {
	corpus.Corpus{Files: os.DirFS("testdata/corpus")}.Run(t)
}
