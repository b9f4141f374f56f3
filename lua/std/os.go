package std

import (
	"errors"
	"math"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/skua-go/skua/lua/vm"
)

// newClock is os.clock: seconds from its first call on.
func newClock() func(call) int {
	var began time.Time
	return func(c call) int {
		if began.IsZero() {
			began = time.Now()
		}
		c.PushFloat(time.Since(began).Seconds())
		return 1
	}
}

func osDiffTime(c call) int {
	a, b := c.integer(1), c.integer(2)
	if a >= b {
		c.PushFloat(float64(uint64(a) - uint64(b)))
	} else {
		c.PushFloat(-float64(uint64(b) - uint64(a)))
	}
	return 1
}

// osTime is the time now, or that of a table of local time, whose fields it brings within their limits.
func osTime(c call) int {
	if c.isNone(1) {
		c.PushInt(time.Now().Unix())
		return 1
	}
	if c.Type(1) != vm.Table {
		c.wrongType(1, "table")
	}
	c.SetTop(1)
	year, month, day := c.dateField("year", -1, 1900), c.dateField("month", -1, 1), c.dateField("day", -1, 0)
	hour, minute, second := c.dateField("hour", 12, 0), c.dateField("min", 0, 0), c.dateField("sec", 0, 0)
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.Local)
	c.Field(1, "isdst")
	if c.Type(-1) != vm.Nil {
		t = asSummerTime(t, c.Bool(-1))
	}
	c.Pop(1)
	if !representable(t) {
		c.Errorf("time result cannot be represented in this installation")
	}
	c.setDate(1, t)
	c.PushInt(t.Unix())
	return 1
}

// dateField is a field of a date; one without a default must be there. C counts it from an offset, in an int.
func (c call) dateField(name string, otherwise, offset int) int {
	c.Field(1, name)
	kind := c.Type(-1)
	n, ok := c.Int(-1)
	if !ok {
		if s, isText := c.String(-1); isText {
			if v, isNumber := ParseNumber(s); isNumber {
				n, ok = v.Int64()
			}
		}
	}
	c.Pop(1)
	switch {
	case ok:
	case kind != vm.Nil:
		c.Errorf("field '%s' is not an integer", name)
	case otherwise < 0:
		c.Errorf("field '%s' missing in date table", name)
	default:
		return otherwise
	}
	if n > math.MaxInt32+int64(offset) || n < math.MinInt32+int64(offset) {
		c.Errorf("field '%s' is out-of-bound", name)
	}
	return int(n)
}

// asSummerTime is the time at which clocks that are set to summer time, or are not, show what those of the place show at t.
func asSummerTime(t time.Time, summer bool) time.Time {
	const season, seasons = 91 * 24 * time.Hour, 4
	for i := range seasons {
		if other := t.Add(time.Duration(i) * season); other.IsDST() == summer {
			_, shown := t.Zone()
			_, set := other.Zone()
			return t.Add(time.Duration(shown-set) * time.Second)
		}
	}
	if summer { // the place has one time all the year: glibc takes an hour
		return t.Add(-time.Hour)
	}
	return t.Add(time.Hour)
}

// representable tells whether C has this time: its years are an int.
func representable(t time.Time) bool {
	year := t.Year() - 1900
	return year >= math.MinInt32 && year <= math.MaxInt32
}

// setDate sets the fields of a date in the table at i.
func (c call) setDate(i int, t time.Time) {
	for _, f := range []struct {
		name string
		n    int
	}{
		{"year", t.Year()},
		{"month", int(t.Month())},
		{"day", t.Day()},
		{"hour", t.Hour()},
		{"min", t.Minute()},
		{"sec", t.Second()},
		{"yday", t.YearDay()},
		{"wday", int(t.Weekday()) + 1},
	} {
		c.PushInt(int64(f.n))
		c.SetField(i, f.name)
	}
	c.PushBool(t.IsDST())
	c.SetField(i, "isdst")
}

func osGetenv(c call) int {
	if v, ok := os.LookupEnv(c.str(1)); ok {
		c.PushString(v)
	} else {
		c.PushNil()
	}
	return 1
}

func osRemove(c call) int {
	name := c.str(1)
	return c.fileResult(os.Remove(name), name)
}

func osRename(c call) int {
	from, to := c.str(1), c.str(2)
	return c.fileResult(os.Rename(from, to), "")
}

// osTmpname makes an empty file, which is the script's to remove.
func osTmpname(c call) int {
	f, err := os.CreateTemp("", "lua_")
	if err != nil {
		c.Errorf("unable to generate a unique filename")
	}
	name := f.Name()
	if f.Close() != nil {
		c.Errorf("unable to generate a unique filename")
	}
	c.PushString(name)
	return 1
}

// fileResult is true, or nil with what went wrong with the file of this name, and C's number of it.
func (c call) fileResult(err error, name string) int {
	if err == nil {
		c.PushBool(true)
		return 1
	}
	text, code := errorText(err)
	if name != "" {
		text = name + ": " + text
	}
	c.PushNil()
	c.PushString(text)
	c.PushInt(int64(code))
	return 3
}

// errorText is an error in C's words, and its number.
func errorText(err error) (string, syscall.Errno) {
	var code syscall.Errno
	if errors.As(err, &code) {
		text := code.Error()
		return strings.ToUpper(text[:1]) + text[1:], code // as C has it
	}
	return err.Error(), 0
}
