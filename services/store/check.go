package store

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a document, the same for every backend.
const (
	// MaxBody is the longest body in bytes: MongoDB's 16 MiB for a document, less room for what is kept beside it.
	MaxBody = 16<<20 - 64<<10
	// MaxDepth is how deep documents and arrays may be nested in a body: MongoDB's 100, less room for what is around.
	MaxDepth = 96
	// MaxKind and MaxID are in bytes.
	MaxKind = 64
	MaxID   = 256
	// MaxCount is the highest version or epoch: far above what counting reaches, far below an overflow.
	MaxCount = 1 << 60
)

// CheckName tells whether a document may have this name: a kind of a-z, 0-9 and _ that does not begin with _, and an
// id in valid UTF-8 without control characters. The error is an InvalidError.
func CheckName(kind, id string) error {
	if reason := badKind(kind); reason != "" {
		return &InvalidError{What: "kind " + clip(kind), Reason: reason}
	}
	if reason := badID(id); reason != "" {
		return &InvalidError{What: "id " + clip(id) + " of kind " + kind, Reason: reason}
	}
	return nil
}

// CheckClaim tells whether a document of this name may be claimed in this epoch, 0 for the next one. The error is an InvalidError. Backends call it.
func CheckClaim(kind, id string, epoch int64) error {
	if err := CheckName(kind, id); err != nil {
		return err
	}
	if epoch < 0 || epoch > MaxCount {
		return &InvalidError{What: Name(kind, id), Reason: fmt.Sprintf("epoch %d is not in 0..%d", epoch, int64(MaxCount))}
	}
	return nil
}

func badKind(kind string) string {
	switch {
	case kind == "":
		return "is empty"
	case len(kind) > MaxKind:
		return fmt.Sprintf("has %d bytes, %d are allowed", len(kind), MaxKind)
	case kind[0] == '_':
		return "begins with _"
	}
	for i := range len(kind) {
		if c := kind[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return "has a character other than a-z, 0-9 and _"
		}
	}
	return ""
}

func badID(id string) string {
	switch {
	case id == "":
		return "is empty"
	case len(id) > MaxID:
		return fmt.Sprintf("has %d bytes, %d are allowed", len(id), MaxID)
	case !utf8.ValidString(id):
		return "is not valid UTF-8"
	}
	for _, r := range id {
		if unicode.IsControl(r) {
			return "has a control character"
		}
	}
	return ""
}

// clip quotes text of a stranger for an error.
func clip(s string) string {
	const most = 48
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

// CheckWrites looks at a batch before it goes to a database: one entry a write, nil or an InvalidError. A document that
// comes a second time in the batch is refused the second time, because databases do not promise an order within one.
// Backends call it.
func CheckWrites(writes []Write) []error {
	errs := make([]error, len(writes))
	type name struct{ kind, id string }
	var seen map[name]struct{}
	if len(writes) > 1 {
		seen = make(map[name]struct{}, len(writes))
	}
	var walk walker
	for i := range writes {
		w := &writes[i]
		if errs[i] = w.check(&walk); errs[i] != nil || seen == nil {
			continue
		}
		if _, twice := seen[name{w.Kind, w.ID}]; twice {
			errs[i] = &InvalidError{What: Name(w.Kind, w.ID), Reason: "is written twice in one batch"}
		}
		seen[name{w.Kind, w.ID}] = struct{}{}
	}
	return errs
}

func (w *Write) check(walk *walker) error {
	if err := CheckName(w.Kind, w.ID); err != nil {
		return err
	}
	var reason string
	switch {
	case w.Version < 0 || w.Version > MaxCount:
		reason = fmt.Sprintf("version %d is not in 0..%d", w.Version, int64(MaxCount))
	case w.Epoch < 0 || w.Epoch > MaxCount:
		reason = fmt.Sprintf("epoch %d is not in 0..%d", w.Epoch, int64(MaxCount))
	case w.Nonce == 0:
		reason = "the write has no nonce"
	case w.Delete && len(w.Body) > 0:
		reason = "a delete has no body"
	case w.Patch != nil && (w.Delete || w.Version == 0):
		reason = "a patch has no content to change"
	case w.Delete:
		return nil
	case w.Patch != nil:
		return w.checkPatch(walk)
	default:
		return CheckBody(w.Kind, w.ID, w.Body)
	}
	return &InvalidError{What: Name(w.Kind, w.ID), Reason: reason}
}

// checkPatch looks at what a write changes: the rest of its body is content that was checked when it was written. So a small change of a large document is
// checked in no time.
func (w *Write) checkPatch(walk *walker) error {
	if len(w.Body) > MaxBody || !framed(w.Body) {
		return CheckBody(w.Kind, w.ID, w.Body) // which tells what is wrong
	}
	if reason := w.Patch.check(walk); reason != "" {
		return &InvalidError{What: Name(w.Kind, w.ID), Path: walk.where(), Reason: reason}
	}
	return nil
}

// check tells why what the patch changes can't be kept; walk is then left where it is.
func (p *Patch) check(walk *walker) (reason string) {
	for i := range p.Set {
		c := &p.Set[i]
		reason := walk.enter(c.Path)
		if reason == "" {
			var n int
			if n, reason = walk.value(c.Value.Type, c.Value.Value); reason == "" && n != len(c.Value.Value) {
				reason = errMalformed.Error()
			}
		}
		if reason != "" {
			return reason
		}
	}
	for _, path := range p.Unset {
		if reason := walk.enter(path); reason != "" {
			return reason
		}
	}
	return ""
}

// enter goes to a path, or as far as it is one.
func (w *walker) enter(path string) (reason string) {
	w.path = w.path[:0]
	for more := true; more; {
		var key string
		key, path, more = strings.Cut(path, ".")
		k := byteKey(key)
		w.path = append(w.path, k)
		if reason := badKey(k, false, 0); reason != "" {
			return reason
		}
	}
	if len(w.path) > MaxDepth {
		return fmt.Sprintf("is nested deeper than %d levels", MaxDepth)
	}
	return ""
}

// CheckImport looks at documents before Import gives them to a database: one entry a document, nil or an InvalidError. Backends call it.
func CheckImport(docs []Doc) []error {
	writes := make([]Write, len(docs))
	for i, d := range docs {
		writes[i] = Write{Kind: d.Kind, ID: d.ID, Version: d.Version, Epoch: d.Epoch, Nonce: 1, Body: d.Body}
	}
	errs := CheckWrites(writes)
	for i, d := range docs {
		if errs[i] == nil && d.Version == 0 {
			errs[i] = &InvalidError{What: Name(d.Kind, d.ID), Reason: "has content and version 0"}
		}
	}
	return errs
}

// Settled tells what becomes of a document that is imported where there is have already: nil if it is the very same, ErrExists if have has content, or a higher
// version or epoch; write: neither, and it may take have's place. Backends call it.
func (d Doc) Settled(have Doc) (write bool, err error) {
	switch {
	case have.Version == d.Version && have.Epoch == d.Epoch && bytes.Equal(have.Body, d.Body):
		return false, nil
	case have.Exists():
		return false, fmt.Errorf("%w: %s: there is version %d of epoch %d", ErrExists, Name(d.Kind, d.ID), have.Version, have.Epoch)
	case have.Version > d.Version || have.Epoch > d.Epoch:
		return false, fmt.Errorf("%w: %s: there was version %d of epoch %d, which is later than version %d of epoch %d",
			ErrExists, Name(d.Kind, d.ID), have.Version, have.Epoch, d.Version, d.Epoch)
	}
	return true, nil
}

// CheckScan looks at the arguments of a Scan. The error is an InvalidError. Backends call it.
func CheckScan(kind, after string, limit int) error {
	if reason := badKind(kind); reason != "" {
		return &InvalidError{What: "kind " + clip(kind), Reason: reason}
	}
	if after != "" {
		if err := CheckName(kind, after); err != nil {
			return err
		}
	}
	if limit < 1 {
		return &InvalidError{What: "scan of kind " + kind, Reason: fmt.Sprintf("the limit is %d, at least 1 is expected", limit)}
	}
	return nil
}

// MaxAnswer is about how many bytes of bodies one Scan or Find gives.
const MaxAnswer = 16 << 20
