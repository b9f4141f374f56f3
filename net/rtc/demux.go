package rtc

// What comes to one port is told apart by its first bytes (RFC 7983 and 5761).

func isSTUN(b []byte) bool { return len(b) >= 20 && b[0] < 4 }

func isDTLS(b []byte) bool { return len(b) > 0 && b[0] >= 20 && b[0] <= 63 }

func isRTCP(b []byte) bool { return len(b) >= 8 && b[0]>>6 == 2 && b[1] >= 192 && b[1] <= 223 }

func isRTP(b []byte) bool { return len(b) >= 12 && b[0]>>6 == 2 && (b[1] < 192 || b[1] > 223) }
