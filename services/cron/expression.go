package cron

import (
	"fmt"
	"strings"
	"time"

	gocron "github.com/netresearch/go-cron"
)

// calendar finds days and times by the fields of an expression. It is asked in UTC only, which has no changes of the clock: see timetable.
type calendar interface {
	Next(after time.Time) time.Time
}

// maxExpr bounds the length of an expression; each minute of an hour named alone is 169.
const maxExpr = 256

// searchYears is how far a calendar looks. The rarest days are fifth Fridays in February and their like: they come each 28 years, and after 40 where 2100 is
// between, which is no leap year. So what is not found is never due.
const searchYears = 50

// field is one of the six.
type field struct {
	name, values, example string
}

func fields() [6]field {
	return [6]field{
		{"second", "0-59", "a list (0,30), a range (10-20) or a step (*/10)"},
		{"minute", "0-59", "a list (0,30), a range (10-20) or a step (*/10)"},
		{"hour", "0-23", "a list (8,20), a range (9-17) or a step (*/6)"},
		{"day of month", "1-31", "a list (1,15), a range (1-7), L, L-2, LW or 15W"},
		{"month", "1-12 or JAN-DEC", "a list (1,7), a range (JUN-AUG) or a step (*/3)"},
		{"day of week", "0-7 or SUN-SAT", "a list (SAT,SUN), a range (MON-FRI), FRI#2 or FRI#L"},
	}
}

// named are the expressions that have a name.
func named(name string) (string, bool) {
	switch name {
	case "@yearly", "@annually":
		return "0 0 1 1 *", true
	case "@monthly":
		return "0 0 1 * *", true
	case "@weekly":
		return "0 0 * * 0", true
	case "@daily", "@midnight":
		return "0 0 * * *", true
	case "@hourly":
		return "0 * * * *", true
	}
	return "", false
}

// parse reads an expression. everyHour is whether its hour field begins with *.
func parse(expr string) (days calendar, everyHour bool, err *Error) {
	if len(expr) > maxExpr {
		return nil, false, &Error{Code: BadExpr, Msg: fmt.Sprintf("the expression has %d bytes, at most %d are allowed", len(expr), maxExpr)}
	}
	texts := strings.Fields(expr)
	if len(texts) == 1 && strings.HasPrefix(texts[0], "@") {
		full, ok := named(texts[0])
		if !ok {
			msg := fmt.Sprintf("there is no %q: @yearly, @annually, @monthly, @weekly, @daily, @midnight or @hourly is expected", texts[0])
			return nil, false, &Error{Code: BadExpr, Msg: msg}
		}
		texts = strings.Fields(full)
	}
	switch len(texts) {
	case 5:
		texts = append([]string{"0"}, texts...)
	case 6:
	default:
		msg := fmt.Sprintf("the expression %q has %d fields: minute, hour, day of month, month and day of week are expected, and the second in front if it matters",
			expr, len(texts))
		return nil, false, &Error{Code: BadExpr, Msg: msg}
	}
	for i, f := range fields() {
		if reason := check(i, texts[i]); reason != "" {
			msg := fmt.Sprintf("%q: %s; %s is expected, or * for all, or %s", texts[i], reason, f.values, f.example)
			return nil, false, &Error{Code: BadExpr, Field: f.name, Msg: msg}
		}
	}
	days, failed := parser().Parse(strings.Join(texts, " "))
	if failed != nil { // not seen: each field alone was read
		return nil, false, &Error{Code: BadExpr, Msg: fmt.Sprintf("%q: %v", expr, failed)}
	}
	return days, strings.HasPrefix(texts[2], "*"), nil
}

func parser() gocron.Parser {
	const six = gocron.Second | gocron.Minute | gocron.Hour | gocron.Dom | gocron.Month | gocron.Dow
	return gocron.MustNewParser(six | gocron.Extended | gocron.DowOrDom).WithMaxSearchYears(searchYears)
}

// Places of fields that differ from others.
const (
	dayOfMonth = 3
	dayOfWeek  = 5
)

// check says what is wrong with a field, or nothing. The library is lenient where it would then do something else than what was meant; this is not.
func check(place int, text string) string {
	for element := range strings.SplitSeq(text, ",") {
		if reason := checkElement(place, element); reason != "" {
			return reason
		}
	}
	alone := [6]string{"*", "*", "*", "*", "*", "*"}
	alone[place] = text
	if _, err := parser().Parse(strings.Join(alone[:], " ")); err != nil {
		return err.Error()
	}
	return ""
}

func checkElement(place int, element string) string {
	if element == "" {
		return "an element of the list is empty"
	}
	for _, r := range element {
		if !strings.ContainsRune("*?,-/#0123456789", r) && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return fmt.Sprintf("%q can't be in it", r)
		}
	}
	days := place == dayOfMonth || place == dayOfWeek
	if strings.Contains(element, "?") && (element != "?" || !days) {
		return "? stands alone, for a day"
	}
	if i := strings.LastIndex(element, "*"); i > 0 || i == 0 && len(element) > 1 && element[1] != '/' {
		return "* stands alone or before a step"
	}
	if place == dayOfWeek && wrapsWithStep(element) {
		return "a range over the end of the week takes no step: name the days"
	}
	return ""
}

// wrapsWithStep tells of FRI-MON/2, in which the library counts Sunday twice, as 7 and as 0.
func wrapsWithStep(element string) bool {
	days, _, step := strings.Cut(element, "/")
	from, to, isRange := strings.Cut(days, "-")
	return step && isRange && weekday(from) > weekday(to)
}

// weekday is the number of a day; what is none is left to the library.
func weekday(text string) int {
	if len(text) == 1 {
		return int(text[0] - '0')
	}
	return strings.Index("SUNMONTUEWEDTHUFRISAT", strings.ToUpper(text)) / 3
}
