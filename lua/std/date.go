package std

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// defaultDate is the format of os.date that is told none.
const defaultDate = "%c"

// osDate is os.date: a time as C's strftime writes it in the locale "C", or as a table.
func osDate(c call) int {
	format := c.optStr(1, defaultDate)
	var t time.Time
	if c.isNone(2) {
		t = time.Now()
	} else {
		t = time.Unix(c.integer(2), 0)
	}
	t = t.Local() //nolint:gosmopolitan // what Lua shows
	if strings.HasPrefix(format, "!") {
		t, format = t.UTC(), format[1:]
	}
	if !representable(t) {
		c.Errorf("date result cannot be represented in this installation")
	}
	if format == "*t" {
		c.NewTable(0, 9)
		c.setDate(c.Top(), t)
		return 1
	}
	b := c.buffer()
	for {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			b.add(format)
			break
		}
		b.add(format[:i])
		format = format[i+1:]
		n := 1
		if format != "" && (format[0] == 'E' || format[0] == 'O') {
			n = 2
		}
		if !validDate(format, n) {
			c.bad(1, "invalid conversion specifier '%%%s'", format[:min(n, len(format))])
		}
		c.Spend(1)
		b.add(dateText(t, format[n-1]))
		format = format[n:]
	}
	b.push()
	return 1
}

// validDate tells whether a conversion of n letters is one of C99.
func validDate(format string, n int) bool {
	if len(format) < n {
		return false
	}
	letters := "aAbBcCdDeFgGhHIjmMnprRStTuUVwWxXyYzZ%"
	switch {
	case n == 2 && format[0] == 'E':
		letters = "cCxXyY"
	case n == 2:
		letters = "deHImMSuUVwWy"
	}
	return strings.IndexByte(letters, format[n-1]) >= 0
}

// dateText is what one conversion stands for.
func dateText(t time.Time, verb byte) string {
	if layout, ok := dateLayouts[verb]; ok {
		return t.Format(layout)
	}
	isoYear, isoWeek := t.ISOWeek()
	switch verb {
	case 'c':
		return t.Format("Mon Jan _2 15:04:05 ") + strconv.Itoa(t.Year())
	case 'C':
		return strconv.Itoa(floorDiv(t.Year(), 100))
	case 'D', 'x':
		return t.Format("01/02/") + dateText(t, 'y')
	case 'F':
		return strconv.Itoa(t.Year()) + t.Format("-01-02")
	case 'g':
		return fmt.Sprintf("%02d", isoYear-100*floorDiv(isoYear, 100))
	case 'G':
		return strconv.Itoa(isoYear)
	case 'j':
		return fmt.Sprintf("%03d", t.YearDay())
	case 'n':
		return "\n"
	case 't':
		return "\t"
	case 'u':
		return strconv.Itoa((int(t.Weekday())+6)%7 + 1)
	case 'U': // weeks begin on Sunday
		return fmt.Sprintf("%02d", (t.YearDay()+6-int(t.Weekday()))/7)
	case 'V':
		return fmt.Sprintf("%02d", isoWeek)
	case 'w':
		return strconv.Itoa(int(t.Weekday()))
	case 'W': // weeks begin on Monday
		return fmt.Sprintf("%02d", (t.YearDay()+6-(int(t.Weekday())+6)%7)/7)
	case 'y':
		return fmt.Sprintf("%02d", t.Year()-100*floorDiv(t.Year(), 100))
	case 'Y':
		return strconv.Itoa(t.Year())
	case 'Z':
		zone, _ := t.Zone()
		if t.Location() == time.UTC {
			return "GMT"
		}
		return zone
	default:
		return string(verb)
	}
}

// dateLayouts are the conversions that package time knows.
var dateLayouts = map[byte]string{ //nolint:gochecknoglobals // a constant
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'd': "02", 'e': "_2", 'h': "Jan", 'H': "15", 'I': "03", 'm': "01", 'M': "04",
	'p': "PM", 'r': "03:04:05 PM", 'R': "15:04", 'S': "05", 'T': "15:04:05", 'X': "15:04:05", 'z': "-0700",
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
