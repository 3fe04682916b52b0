package words

import "unicode/utf8"

// Width returns how many columns of a terminal a text takes: two for each Chinese, Japanese
// or Korean character and for full-width punctuation, one for any other.
func Width(s string) int {
	n := 0
	for i, w := 0, 0; i < len(s); i += w {
		if s[i] < utf8.RuneSelf {
			n, w = n+1, 1
			continue
		}
		var r rune
		r, w = utf8.DecodeRuneInString(s[i:])
		n += RuneWidth(r)
	}
	return n
}

// wide are the ranges of what takes two columns (Unicode Standard Annex 11: W and F), as
// far as text may have them; no emoji.
var wide = [...][2]rune{
	{0x1100, 0x115f}, // Hangul
	{0x2e80, 0x303e}, // radicals and punctuation
	{0x3041, 0x33ff}, // kana, enclosed characters
	{0x3400, 0x4dbf}, // Han, extension A
	{0x4e00, 0x9fff}, // Han
	{0xa000, 0xa4cf}, // Yi
	{0xac00, 0xd7a3}, // Hangul syllables
	{0xf900, 0xfaff}, // Han, for compatibility
	{0xfe30, 0xfe6f}, // forms for compatibility
	{0xff00, 0xff60}, // full-width forms
	{0xffe0, 0xffe6}, // full-width signs
	{0x20000, 0x3fffd},
}

// RuneWidth returns how many columns of a terminal a character takes, 1 or 2.
func RuneWidth(r rune) int {
	for _, w := range wide {
		if r >= w[0] && r <= w[1] {
			return 2
		}
	}
	return 1
}
