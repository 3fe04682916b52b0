package hello

import "strings"

// Repr writes b as Python 3 prints a bytes object: in single quotes, or in double
// ones where b has a single quote and no double one; \t \n \r \\ and the quote
// itself by a backslash, and what is not printing ASCII as \x and two digits.
func Repr(b []byte) string {
	quote := byte('\'')
	if s := string(b); strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	const digits = "0123456789abcdef"
	out := make([]byte, 0, len(b)+3)
	out = append(out, 'b', quote)
	for _, c := range b {
		switch {
		case c == quote || c == '\\':
			out = append(out, '\\', c)
		case c == '\t':
			out = append(out, `\t`...)
		case c == '\n':
			out = append(out, `\n`...)
		case c == '\r':
			out = append(out, `\r`...)
		case c < ' ' || c > '~':
			out = append(out, '\\', 'x', digits[c>>4], digits[c&15])
		default:
			out = append(out, c)
		}
	}
	return string(append(out, quote))
}
