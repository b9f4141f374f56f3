package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/skua-go/skua/services/store"
)

// A file of exported documents is a row of BSON documents, which tools such as bsondump can read, too:
//
//	{skua: "store", format: 1}
//	{kind, id, version, epoch, body, crc32c}   one each, ordered by kind and id
//	{documents, bytes, sha256}                 bytes: of all before it, which sha256 is of
//
// crc32c (Castagnoli) is of what stands between the length of its BSON document and itself, so that a changed byte is found where it is.
const (
	exportMagic  = "store"
	exportFormat = 1
	// maxFrame is the longest document of a file: the longest content, and what stands around it.
	maxFrame = store.MaxBody + 64<<10
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// exportWriter writes the documents of an export.
type exportWriter struct {
	w         *bufio.Writer
	sum       hash.Hash
	table     *crc32.Table
	documents int64
	bytes     int64
	frame     []byte
}

func newExportWriter(w io.Writer) (*exportWriter, error) {
	e := &exportWriter{w: bufio.NewWriterSize(w, 64<<10), sum: sha256.New(), table: castagnoli()}
	at, frame := bsoncore.AppendDocumentStart(nil)
	frame = bsoncore.AppendStringElement(frame, "skua", exportMagic)
	frame = bsoncore.AppendInt32Element(frame, "format", exportFormat)
	if err := e.put(at, frame); err != nil {
		return nil, err
	}
	return e, nil
}

// put ends a frame and writes it.
func (e *exportWriter) put(at int32, frame []byte) error {
	frame, err := bsoncore.AppendDocumentEnd(frame, at)
	if err != nil {
		return fmt.Errorf("store export: %w", err)
	}
	e.frame = frame[:0]
	e.bytes += int64(len(frame))
	e.sum.Write(frame)
	if _, err := e.w.Write(frame); err != nil {
		return fmt.Errorf("store export: %w", err)
	}
	return nil
}

// add writes a document.
func (e *exportWriter) add(d store.Doc) error {
	at, frame := bsoncore.AppendDocumentStart(e.frame[:0])
	frame = bsoncore.AppendStringElement(frame, "kind", d.Kind)
	frame = bsoncore.AppendStringElement(frame, "id", d.ID)
	frame = bsoncore.AppendInt64Element(frame, "version", d.Version)
	frame = bsoncore.AppendInt64Element(frame, "epoch", d.Epoch)
	frame = bsoncore.AppendDocumentElement(frame, "body", bsoncore.Document(d.Body))
	frame = bsoncore.AppendInt64Element(frame, "crc32c", int64(crc32.Checksum(frame[4:], e.table)))
	e.documents++
	return e.put(at, frame)
}

// end writes the trailer.
func (e *exportWriter) end() error {
	at, frame := bsoncore.AppendDocumentStart(nil)
	frame = bsoncore.AppendInt64Element(frame, "documents", e.documents)
	frame = bsoncore.AppendInt64Element(frame, "bytes", e.bytes)
	frame = bsoncore.AppendBinaryElement(frame, "sha256", bson.TypeBinaryGeneric, e.sum.Sum(nil))
	if err := e.put(at, frame); err != nil {
		return err
	}
	if err := e.w.Flush(); err != nil {
		return fmt.Errorf("store export: %w", err)
	}
	return nil
}

// exportReader reads them. Its errors name the byte, and the document before it.
type exportReader struct {
	r         *bufio.Reader
	sum       hash.Hash
	table     *crc32.Table
	at        int64  // where the frame that is read begins
	last      string // what stood before it
	kind, id  string
	documents int64
}

func newExportReader(r io.Reader) (*exportReader, error) {
	e := &exportReader{r: bufio.NewReaderSize(r, 64<<10), sum: sha256.New(), table: castagnoli(), last: "the beginning"}
	// What is no export at all is told so, whatever its first bytes would be as a length.
	head, err := e.r.Peek(9)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("store import: %w", err)
	}
	if len(head) < 9 || !bytes.Equal(head[4:], []byte("\x02skua")) {
		return nil, errors.New("store import: this is no file of `skua store export`")
	}
	frame, err := e.frame()
	if err != nil {
		return nil, err
	}
	magic, _ := frame.Lookup("skua").StringValueOK()
	format, ok := frame.Lookup("format").AsInt64OK()
	if magic != exportMagic || !ok {
		return nil, errors.New("store import: this is no file of `skua store export`")
	}
	if format != exportFormat {
		return nil, fmt.Errorf("store import: the file has format %d, this program reads %d", format, exportFormat)
	}
	e.took(frame)
	e.last = "the header"
	return e, nil
}

// broken is an error of the frame that is read.
func (e *exportReader) broken(format string, args ...any) error {
	return fmt.Errorf("store import: the file is damaged at byte %d, behind %s: %s", e.at, e.last, fmt.Sprintf(format, args...))
}

// frame reads the next BSON document, which is valid.
func (e *exportReader) frame() (bson.Raw, error) {
	var head [4]byte
	n, err := io.ReadFull(e.r, head[:])
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, e.broken("it ends here (%d bytes of a length), without the trailer that every export has: it was cut", n)
	case err != nil:
		return nil, fmt.Errorf("store import: at byte %d: %w", e.at, err)
	}
	size := int64(binary.LittleEndian.Uint32(head[:]))
	if size < 5 || size > maxFrame {
		return nil, e.broken("a length of %d bytes, which nothing in an export has", size)
	}
	var frame bytes.Buffer // grows by what is there, not by what the length says
	frame.Write(head[:])
	got, err := io.CopyN(&frame, e.r, size-4)
	switch {
	case errors.Is(err, io.EOF):
		return nil, e.broken("it ends after %d of %d bytes: it was cut", got+4, size)
	case err != nil:
		return nil, fmt.Errorf("store import: at byte %d: %w", e.at, err)
	}
	raw := bson.Raw(frame.Bytes())
	if err := raw.Validate(); err != nil {
		return nil, e.broken("no BSON document: %v", err)
	}
	return raw, nil
}

// took goes on behind a frame.
func (e *exportReader) took(frame bson.Raw) {
	e.sum.Write(frame)
	e.at += int64(len(frame))
}

// next gives the next document; io.EOF behind the trailer of a file that is whole.
func (e *exportReader) next() (store.Doc, error) {
	frame, err := e.frame()
	if err != nil {
		return store.Doc{}, err
	}
	if v := frame.Lookup("documents"); !v.IsZero() {
		return store.Doc{}, e.trailer(frame)
	}
	d, err := e.document(frame)
	if err != nil {
		return store.Doc{}, err
	}
	e.took(frame)
	e.documents++
	e.kind, e.id, e.last = d.Kind, d.ID, store.Name(d.Kind, d.ID)
	return d, nil
}

// crcTail is how long the field crc32c and the end of the frame are.
const crcTail = 1 + len("crc32c") + 1 + 8 + 1

func (e *exportReader) document(frame bson.Raw) (store.Doc, error) {
	var d store.Doc
	sum, ok := frame.Lookup("crc32c").AsInt64OK()
	if !ok || len(frame) < 4+crcTail {
		return d, e.broken("a document without crc32c")
	}
	kind, kindOK := frame.Lookup("kind").StringValueOK()
	id, idOK := frame.Lookup("id").StringValueOK()
	if got := int64(crc32.Checksum(frame[4:len(frame)-crcTail], e.table)); got != sum {
		return d, e.broken("the checksum of %s is %08x, and its bytes give %08x: they were changed", store.Name(kind, id), sum, got)
	}
	version, versionOK := frame.Lookup("version").AsInt64OK()
	epoch, epochOK := frame.Lookup("epoch").AsInt64OK()
	body, bodyOK := frame.Lookup("body").DocumentOK()
	if !kindOK || !idOK || !versionOK || !epochOK || !bodyOK {
		return d, e.broken("a document without kind, id, version, epoch or body")
	}
	if kind < e.kind || kind == e.kind && id <= e.id && e.documents > 0 {
		return d, e.broken("%s stands behind it, which is not their order: the file was put together by hand", store.Name(kind, id))
	}
	return store.Doc{Kind: kind, ID: id, Version: version, Epoch: epoch, Body: body}, nil
}

// trailer checks what the file says of itself. It gives io.EOF if all is well.
func (e *exportReader) trailer(frame bson.Raw) error {
	documents, ok := frame.Lookup("documents").AsInt64OK()
	size, sizeOK := frame.Lookup("bytes").AsInt64OK()
	subtype, sum, sumOK := frame.Lookup("sha256").BinaryOK()
	switch {
	case !ok || !sizeOK || !sumOK || subtype != bson.TypeBinaryGeneric:
		return e.broken("a trailer without documents, bytes or sha256")
	case documents != e.documents:
		return e.broken("the trailer counts %d documents, the file has %d", documents, e.documents)
	case size != e.at:
		return e.broken("the trailer counts %d bytes, the file has %d", size, e.at)
	case !bytes.Equal(sum, e.sum.Sum(nil)):
		return e.broken("the checksum of the whole is another one than the trailer has: something in it was changed")
	}
	e.at += int64(len(frame))
	e.last = "the trailer"
	if _, err := e.r.ReadByte(); err == nil {
		return e.broken("there is more, which does not belong to the export")
	} else if !errors.Is(err, io.EOF) {
		return fmt.Errorf("store import: at byte %d: %w", e.at, err)
	}
	return io.EOF
}
