package gopher

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// maxResults bounds the values that one call returns or takes: the registers of a thread are 1<<20.
const maxResults = 250_000

// room makes place for n values at once: pushed one by one they would have the registers copied again and again.
func room(l *lua.LState, n int) int {
	if n > maxResults {
		stateOf(l).Errorf("too many results: %d, at most %d are possible", n, maxResults)
	}
	stateOf(l).m.spend(l, n/8)
	top := l.GetTop()
	l.SetTop(top + n)
	return top
}

func stringByte(l *lua.LState) int {
	s := checkString(l, 1)
	i := optInt(l, 2, 1)
	j := endAt(optInt(l, 3, i), len(s))
	i = startAt(i, len(s))
	if i > j {
		return 0
	}
	n := j - i + 1
	top := room(l, n)
	for k := range n {
		l.Replace(top+k+1, lua.LNumber(s[i+k-1]))
	}
	return n
}

func endAt(j, size int) int {
	switch {
	case j > size:
		return size
	case j >= 0:
		return j
	case j < -size:
		return 0
	}
	return size + j + 1
}

// letters is string.upper or string.lower of ASCII: the engine's change other bytes.
func letters(from, to byte, distance int) lua.LGFunction {
	return func(l *lua.LState) int {
		b := []byte(checkString(l, 1))
		for i, c := range b {
			if c >= from && c <= to {
				b[i] = byte(int(c) + distance)
			}
		}
		l.Push(lua.LString(b))
		return 1
	}
}

func stringReverse(l *lua.LState) int {
	s := checkString(l, 1)
	b := make([]byte, len(s))
	for i := range len(s) {
		b[len(s)-1-i] = s[i]
	}
	l.Push(lua.LString(b))
	return 1
}

func stringRep(l *lua.LState) int {
	s, n, sep := checkString(l, 1), checkInt(l, 2), ""
	if l.Get(3) != lua.LNil {
		sep = checkString(l, 3)
	}
	if n <= 0 || len(s)+len(sep) == 0 {
		l.Push(lua.LString(""))
		return 1
	}
	if n > maxString/(len(s)+len(sep)) {
		stateOf(l).Errorf("resulting string too large")
	}
	stateOf(l).m.spend(l, n*(len(s)+len(sep))/1024)
	if sep == "" {
		l.Push(lua.LString(strings.Repeat(s, n)))
		return 1
	}
	l.Push(lua.LString(strings.Repeat(s+sep, n-1) + s))
	return 1
}

// maxWidth bounds the width and the precision of a format, as in the reference implementation.
const maxWidth = 99

// stringFormat is string.format of Lua 5.4. An integer beyond 2^53 is no integer here, so %d refuses it.
func stringFormat(l *lua.LState) int {
	format := checkString(l, 1)
	var b strings.Builder
	arg := 1
	for {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			b.WriteString(format)
			break
		}
		b.WriteString(format[:i])
		format = format[i+1:]
		if strings.HasPrefix(format, "%") {
			b.WriteByte('%')
			format = format[1:]
			continue
		}
		n := 0
		for n < len(format) && strings.IndexByte("-+ #0123456789.", format[n]) >= 0 {
			n++
		}
		if n >= len(format) || !validSpec(format[:n]) {
			stateOf(l).Errorf("invalid conversion '%%%s' to 'format'", format[:min(n+1, len(format))])
		}
		if arg++; arg > l.GetTop() {
			badArgument(l, arg, "no value")
		}
		formatOne(l, &b, "%"+format[:n], format[n], arg)
		if b.Len() > maxString {
			stateOf(l).Errorf("resulting string too large")
		}
		format = format[n+1:]
	}
	l.Push(lua.LString(b.String()))
	return 1
}

func validSpec(spec string) bool {
	spec = strings.TrimLeft(spec, "-+ #0")
	width, precision, _ := strings.Cut(spec, ".")
	for _, n := range []string{width, precision} {
		if v, err := strconv.Atoi(n); n != "" && (err != nil || v > maxWidth || v < 0) {
			return false
		}
	}
	return true
}

func formatOne(l *lua.LState, b *strings.Builder, spec string, verb byte, arg int) {
	switch verb {
	case 'd', 'i':
		fmt.Fprintf(b, spec+"d", checkInteger(l, arg))
	case 'u':
		fmt.Fprintf(b, spec+"d", uint64(checkInteger(l, arg)))
	case 'o', 'x', 'X':
		fmt.Fprintf(b, spec+string(verb), uint64(checkInteger(l, arg)))
	case 'c':
		c := string([]byte{byte(checkInteger(l, arg))})
		fmt.Fprintf(b, strings.ReplaceAll(spec, "0", "")+"s", c)
	case 'e', 'E', 'f', 'F', 'g', 'G':
		formatFloat(b, spec, verb, checkNumber64(l, arg))
	case 'a', 'A':
		fmt.Fprintf(b, spec+string('x'-'a'+rune(verb)), checkNumber64(l, arg))
	case 's':
		text := string(toText(stateOf(l), l.Get(arg)))
		width, precision, cut := strings.Cut(strings.TrimLeft(spec[1:], "-+ #0"), ".")
		if n, err := strconv.Atoi("0" + precision); cut && err == nil && n < len(text) {
			text = text[:n]
		}
		pad, _ := strconv.Atoi("0" + width)
		space := strings.Repeat(" ", max(pad-len(text), 0)) // bytes, not runes as in fmt
		if strings.HasPrefix(spec, "%-") {
			b.WriteString(text + space)
			return
		}
		b.WriteString(space + text)
	case 'q':
		quote(l, b, l.Get(arg))
	default:
		stateOf(l).Errorf("invalid conversion '%s%c' to 'format'", spec, verb)
	}
}

func checkInteger(l *lua.LState, i int) int64 {
	n, ok := exact(checkNumber64(l, i))
	if !ok {
		badArgument(l, i, "number has no integer representation")
	}
	return n
}

// formatFloat is fmt's with C's names of what is not finite.
func formatFloat(b *strings.Builder, spec string, verb byte, n float64) {
	if !math.IsInf(n, 0) && !math.IsNaN(n) {
		if verb|0x20 == 'g' && !strings.Contains(spec, ".") {
			spec += ".6" // fmt's default is as many digits as it takes
		}
		fmt.Fprintf(b, spec+string(verb), n)
		return
	}
	text := "nan"
	if math.IsInf(n, 0) {
		text = "inf"
	}
	if math.Signbit(n) {
		text = "-" + text
	} else if strings.Contains(spec, "+") {
		text = "+" + text
	}
	spec, _, _ = strings.Cut(strings.ReplaceAll(strings.ReplaceAll(spec, "0", ""), "+", ""), ".")
	fmt.Fprintf(b, spec+"s", text)
}

func quote(l *lua.LState, b *strings.Builder, v lua.LValue) {
	s, ok := v.(lua.LString)
	if !ok {
		switch v := v.(type) {
		case lua.LNumber:
			switch n := float64(v); {
			case math.IsInf(n, 1):
				b.WriteString("1e9999")
			case math.IsInf(n, -1):
				b.WriteString("-1e9999")
			case math.IsNaN(n):
				b.WriteString("(0/0)")
			default:
				b.WriteString(strconv.FormatFloat(n, 'g', -1, 64))
			}
		case lua.LBool:
			b.WriteString(v.String())
		default:
			if v != lua.LNil {
				badArgument(l, 2, "value has no literal form")
			}
			b.WriteString("nil")
		}
		return
	}
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c == '\n':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f:
			if i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9' {
				fmt.Fprintf(b, `\%03d`, c)
			} else {
				fmt.Fprintf(b, `\%d`, c)
			}
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
}
