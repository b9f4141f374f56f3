package record_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/record"
	"github.com/skua-go/skua/actor/value"
)

func TestARecordingThatIsCutAnywhereGivesWhatIsThere(t *testing.T) {
	types := record.Types(deposit{}, scripted{})
	text := recordingOf(t, types, deposit{1}, "äöü\n", scripted{1, value.Of("x", 2.0)}, actor.Terminated{Reason: actor.ErrStopped})
	all, errs := entries(t, text, types)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for n := range len(text) {
		got, errs := entries(t, text[:n], types)
		whole := strings.Count(text[:n], "\n")
		if n < len(text)-1 { // the last newline may be missing
			if len(errs) != 1 || !errors.Is(errs[0], record.ErrCut) {
				t.Fatalf("cut at %d: errors %v", n, errs)
			}
		} else if len(errs) > 0 {
			t.Fatalf("cut at %d: errors %v", n, errs)
		}
		if len(got) < min(whole-1, len(all)) {
			t.Fatalf("cut at %d, behind %d lines: %d entries", n, whole, len(got))
		}
		for i := range got {
			if !bytes.Equal(got[i].JSON, all[i].JSON) {
				t.Fatalf("cut at %d: entry %d is %s, want %s", n, i, got[i].JSON, all[i].JSON)
			}
		}
	}
}

// list is the line of a message of a script.
func list(values string) string { return `{"at":1,"type":"value.List","message":[` + values + `]}` }

func TestDamageIsNamedByItsLine(t *testing.T) {
	good := `{"at":1,"type":"int","message":1}`
	for name, c := range map[string]struct {
		text  string
		want  error
		texts []string
	}{
		"empty":               {"", record.ErrCut, []string{"line 1: the recording is cut short: it is empty"}},
		"no recording":        {"hello\nworld\n", record.ErrFormat, []string{"line 1: no recording"}},
		"another JSON":        {`{"a":1}` + "\n", record.ErrFormat, []string{"line 1", `"a"`}},
		"another version":     {`{"recording":2,"actor":"a"}` + "\n", record.ErrFormat, []string{"line 1", "format 2, and this program reads 1"}},
		"garbage":             {recorded(good, "garbage", good), record.ErrFormat, []string{"line 3"}},
		"an empty line":       {recorded(good, "", good), record.ErrFormat, []string{"line 3"}},
		"no message":          {recorded(good, `{"at":1}`), record.ErrFormat, []string{"line 3", "neither a message nor an end"}},
		"before all time":     {recorded(`{"at":-1,"type":"int","message":1}`), record.ErrFormat, []string{"line 2"}},
		"an unknown member":   {recorded(`{"at":1,"type":"int","message":1,"x":1}`), record.ErrFormat, []string{"line 2", `"x"`}},
		"a line too few":      {strings.Replace(recorded(good, good), good+"\n", "", 1), record.ErrFormat, []string{"line 3", "1 messages, and the last line"}},
		"a line behind":       {recorded(good) + good + "\n", record.ErrFormat, []string{"line 4", "behind the end"}},
		"no end":              {recorded(good)[:len(recorded(good))-10], record.ErrCut, []string{"line 3"}},
		"an end by failure":   {strings.Replace(recorded(good), "closed", "failed", 1), record.ErrCut, []string{"line 3", "failed"}},
		"an endless line":     {recorded(strings.Repeat("x", 17<<20)), record.ErrFormat, []string{"line 2", "longer than"}},
		"no message in it":    {recorded(`{"at":1,"type":"int"}`), nil, []string{"line 2: int: "}},
		"another message":     {recorded(`{"at":1,"type":"int","message":1.5}`), nil, []string{"line 2: int: "}},
		"too large":           {recorded(`{"at":1,"type":"int8","message":300}`), nil, []string{"line 2: int8: "}},
		"an unknown special":  {recorded(list(`{"$x":1}`)), nil, []string{"line 2: value.List"}},
		"a special and more":  {recorded(list(`{"$float":"NaN","b":1}`)), nil, []string{"line 2: value.List"}},
		"a key that is none":  {recorded(list(`{"$table":[[],[null,1]]}`)), nil, []string{"a key is nil or a table"}},
		"a pair of one":       {recorded(list(`{"$table":[[],[1]]}`)), nil, []string{"line 2: value.List"}},
		"bytes that are none": {recorded(list(`{"$bytes":"?"}`)), nil, []string{"$bytes: illegal base64"}},
		"a float that is not": {recorded(list(`{"$float":"x"}`)), nil, []string{"$float"}},
		"too deep":            {recorded(list(strings.Repeat("[", 70) + strings.Repeat("]", 70))), nil, []string{"tables nest deeper"}},
		"an integer too far":  {recorded(list(`9223372036854775808`)), nil, []string{"9223372036854775808 is out of range"}},
		"an unknown code": {
			recorded(`{"at":1,"type":"actor.Terminated","message":{"Ref":"","Reason":{"code":"?"}}}`), nil, []string{`"?" is no code of an error`},
		},
		"a Ref that is none": {recorded(`{"at":1,"type":"actor.Terminated","message":{"Ref":7,"Reason":null}}`), nil, []string{"expected a string, got number"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs := entries(t, c.text, nil)
			if len(errs) != 1 {
				t.Fatalf("errors %v", errs)
			}
			if c.want != nil {
				wantErr(t, errs[0], c.want)
			}
			var line *record.LineError
			if !errors.As(errs[0], &line) {
				t.Fatalf("%T is no LineError", errs[0])
			}
			wantErr(t, errs[0], errs[0], c.texts...)
		})
	}
}

func TestAReaderThatFailsSaysSo(t *testing.T) {
	lost := errors.New("connection lost")
	text := recorded(`{"at":1,"type":"int","message":1}`)
	for _, n := range []int{0, len(text) - 60, len(text)} {
		r := io.MultiReader(strings.NewReader(text[:n]), iotest.ErrReader(lost))
		rec, err := record.Read(r, nil)
		if err == nil {
			for _, e := range rec.Entries() {
				err = e
			}
		}
		wantErr(t, err, lost, "record: line ")
	}
}

func FuzzRead(f *testing.F) {
	for _, text := range []string{
		"", "{}", "\n\n", recorded(), recorded(`{"at":1,"from":"skua:00000001","request":true,"own":true,"type":"int","message":1}`),
		recorded(list(`"a",1,2.5,null,true,{"$bytes":"/w=="},{"$table":[[1],["k",{}]]},[1,[2]],{"x":{"$float":"NaN"}}`)),
		recorded(`{"at":1,"type":"record_test.scripted","message":{"Type":10,"Args":["a",[1,2]]}}`),
		recorded(`{"at":1,"type":"record_test.rich","message":{"Any":[1,1.5,{"a":[]}],"Err":{"code":"refused","text":"no"},"Long":"1.5s"}}`),
		recorded(`{"at":1,"type":"actor.Terminated","message":{"Ref":"skua:00000001","Reason":null}}`, `{"at":2,"type":"x","error":"why"}`),
	} {
		f.Add(text)
	}
	types := record.Types(scripted{}, rich{}, deposit{})
	f.Fuzz(func(t *testing.T, text string) {
		rec, err := record.Read(strings.NewReader(text), types)
		if err != nil {
			var line *record.LineError
			if !errors.As(err, &line) {
				t.Fatalf("%v is no LineError", err)
			}
			return
		}
		last := 1
		for e, err := range rec.Entries() {
			if e.Line <= last && err == nil || e.Line < last {
				t.Fatalf("line %d behind line %d", e.Line, last)
			}
			last = e.Line
			var line *record.LineError
			if err != nil && (!errors.As(err, &line) || line.Line < e.Line || e.Message != nil) {
				t.Fatalf("%v in line %d with %v", err, e.Line, e.Message)
			}
		}
	})
}
