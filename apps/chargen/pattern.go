// Package chargen is the character generator of RFC 864, over TCP and UDP, and its
// client: characters without regard to input, in the pattern that the RFC calls
// popular, lines of 72 of the 95 printing characters of ASCII, each line beginning
// one character later than the line before.
package chargen

import "fmt"

const (
	// Port is the one that RFC 864 assigns.
	Port = 19
	// Width is the characters of a line without its CR LF.
	Width = 72
	// LineLen is the bytes of a line.
	LineLen = Width + 2
	// Printing is how many printing characters ASCII has, and so after how many
	// lines the pattern begins again.
	Printing = 95
	// cycleLen is the bytes after which the pattern begins again.
	cycleLen = Printing * LineLen

	first = ' ' // the first printing character
)

// cycle is one round of the pattern, from the line that begins with a space.
var cycle = func() []byte {
	b := make([]byte, cycleLen)
	for i := range b {
		b[i] = at(i)
	}
	return b
}()

// at gives the pattern's byte at a position.
func at(pos int) byte {
	line, col := pos/LineLen, pos%LineLen
	switch col {
	case Width:
		return '\r'
	case Width + 1:
		return '\n'
	}
	return byte(first + (line+col)%Printing)
}

// Line gives line n of the pattern with its CR LF; line 0 begins with a space, and
// line n+95 is line n again. n must not be below 0.
func Line(n int) []byte {
	start := n % Printing * LineLen
	return append([]byte(nil), cycle[start:start+LineLen]...)
}

// checker follows a stream that may begin with any line of the pattern.
type checker struct {
	begun bool
	start int // where in the cycle the stream began
	pos   int // bytes checked
}

// check tells the first byte of p that does not go on with the pattern.
func (c *checker) check(p []byte) error {
	if len(p) > 0 && !c.begun {
		c.begun = true
		if p[0] < first || p[0] >= first+Printing {
			return fmt.Errorf("byte 0 is %#02x, which begins no line of the pattern", p[0])
		}
		c.start = int(p[0]-first) * LineLen
	}
	for _, b := range p {
		if want := cycle[(c.start+c.pos)%cycleLen]; b != want {
			return fmt.Errorf("byte %d is %q where the pattern has %q", c.pos, b, want)
		}
		c.pos++
	}
	return nil
}
