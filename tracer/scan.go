package tracer

// maxDepth is how deep values may be nested; encoding/json has the same limit.
const maxDepth = 10000

// scanValue returns the length of the JSON value (RFC 8259) at the start of b, and -1 where
// there is none. It takes what json.Valid takes: what stands in a string need not be UTF-8.
func scanValue(b []byte, depth int) int {
	if len(b) == 0 {
		return -1
	}
	switch c := b[0]; {
	case c == '"':
		return scanString(b)
	case c == '-', c >= '0' && c <= '9':
		return scanNumber(b)
	case c == '{', c == '[':
		if depth >= maxDepth {
			return -1
		}
		return scanGroup(b, depth+1)
	case c == 't':
		return scanWord(b, "true")
	case c == 'f':
		return scanWord(b, "false")
	case c == 'n':
		return scanWord(b, "null")
	default:
		return -1
	}
}

// scanString is scanValue of a string.
func scanString(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c < ' ':
			return -1
		case c == '\\':
			n := scanEscape(b[i:])
			if n < 0 {
				return -1
			}
			i += n - 1
		}
	}
	return -1
}

// scanEscape returns the length of the escape at the start of b, -1 where it is none.
func scanEscape(b []byte) int {
	if len(b) < 2 {
		return -1
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return -1
		}
		for _, c := range b[2:6] {
			if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
				return -1
			}
		}
		return 6
	default:
		return -1
	}
}

// scanNumber is scanValue of a number.
func scanNumber(b []byte) int {
	i := 0
	if b[0] == '-' {
		i++
	}
	whole := scanDigits(b[i:])
	if whole == 0 || whole > 1 && b[i] == '0' {
		return -1
	}
	i += whole
	if i < len(b) && b[i] == '.' {
		n := scanDigits(b[i+1:])
		if n == 0 {
			return -1
		}
		i += 1 + n
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		n := scanDigits(b[i:])
		if n == 0 {
			return -1
		}
		i += n
	}
	return i
}

func scanDigits(b []byte) int {
	for i, c := range b {
		if c < '0' || c > '9' {
			return i
		}
	}
	return len(b)
}

func scanWord(b []byte, word string) int {
	if len(b) >= len(word) && string(b[:len(word)]) == word {
		return len(word)
	}
	return -1
}

// scanGroup is scanValue of an object or an array.
func scanGroup(b []byte, depth int) int {
	object := b[0] == '{'
	end := byte(']')
	if object {
		end = '}'
	}
	i := skipSpace(b, 1)
	if i < len(b) && b[i] == end {
		return i + 1
	}
	for {
		if object {
			if i = scanKey(b, i); i < 0 {
				return -1
			}
		}
		n := scanValue(b[i:], depth)
		if n < 0 {
			return -1
		}
		if i = skipSpace(b, i+n); i >= len(b) {
			return -1
		}
		switch b[i] {
		case end:
			return i + 1
		case ',':
			i = skipSpace(b, i+1)
		default:
			return -1
		}
		if i >= len(b) {
			return -1
		}
	}
}

// scanKey returns where the value of the member at b[i:] begins, -1 where there is no key
// and colon.
func scanKey(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	n := scanString(b[i:])
	if n < 0 {
		return -1
	}
	i = skipSpace(b, i+n)
	if i >= len(b) || b[i] != ':' {
		return -1
	}
	if i = skipSpace(b, i+1); i >= len(b) {
		return -1
	}
	return i
}

// skipSpace returns the first place from i on that is no space of JSON's.
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}
