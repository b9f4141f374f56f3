package protobuf

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/skua-go/skua/internal/protofile"
)

// load compiles a text and adds its types to those of the VM.
func (r *registry) load(name, text string) error {
	if err := protofile.Check(name, text); err != nil {
		return err
	}
	h := sha256.New()
	_, _ = h.Write(r.key[:])
	_, _ = fmt.Fprintf(h, "%d:%s%s", len(name), name, text)
	key := [sha256.Size]byte(h.Sum(nil))
	c, err := r.library.Compile(key, r.files, name, text)
	if err != nil {
		return err
	}
	if len(r.files) >= maxFiles {
		return errors.New("too many files are loaded")
	}
	r.key = key
	r.files[name] = c.File
	r.types.Merge(c.Types)
	return nil
}
