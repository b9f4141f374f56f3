package std_test

import (
	"strings"
	"testing"
	"time"
)

func TestAnEngineOfFloatsRefusesWhatItWouldRound(t *testing.T) {
	for source, want := range map[string]string{
		`return string.format("%d", 2^53)`:                                       "9007199254740992",
		`return string.format("%d", 2^60)`:                                       "beyond 2^53",
		`return string.format("%d", "9007199254740993")`:                         "beyond 2^53",
		`return string.format("%s %s %q %q", 3, 0.5, 3, 0.5)`:                    "3 0.5 3 0.5",
		`return (string.unpack("<j", "\1\0\0\0\0\0\32\0"))`:                      "9007199254740993 is beyond 2^53",
		`return (string.unpack("<J", ("\255"):rep(8)))`:                          "beyond 2^53",
		`return (string.unpack("<j", ("\255"):rep(8)))`:                          "-1",
		`return (string.unpack("<J", "\0\0\0\0\0\0\32\0"))`:                      "9007199254740992",
		`return (string.unpack("<I16", ("\0"):rep(7) .. "\1" .. ("\0"):rep(8)))`: "beyond 2^53",
		`return math.maxinteger`:                                                 "9007199254740992",
		`return math.mininteger`:                                                 "-9007199254740992",
		`return math.tointeger("9007199254740993")`:                              "nil",
		`return math.tointeger(2^60)`:                                            "nil",
		`return math.tointeger("8")`:                                             "8",
		`return math.floor(2^60 + 0.5) == 2^60`:                                  "true",
		`return math.type(2^53) .. " " .. math.type(2^60)`:                       "integer float",
		`return math.fmod(-6, 4)`:                                                "-2",
		`math.randomseed(42) return math.random(1, 100)`:                         "50",
		`return math.random(0) < 2^53`:                                           "true",
		`local a, b = math.randomseed() return a < 2^53`:                         "true",
		`return ("x"):rep(3.0) .. 4`:                                             "xxx4",
		`return utf8.char(0x20AC)`:                                               "€",
		`return table.concat({ 1, 2.5, "x" }, " ")`:                              "1 2.5 x",
		`return os.time({ year = 2000, month = 1, day = 1 }) > 9e8`:              "true",
	} {
		s := watched(t, 10*time.Second).Main()
		if err := s.Load("=inexact", "local ok, v = pcall(function() "+source+" end) return tostring(v)"); err != nil {
			t.Fatal(err)
		}
		s.Call(0, 1)
		if got, _ := s.String(-1); !strings.Contains(got, want) || got != want && !strings.Contains(want, "beyond") {
			t.Errorf("%s\ngot %s, want %s", source, got, want)
		}
	}
}
