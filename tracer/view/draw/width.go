package draw

import (
	"unicode"
	"unicode/utf8"
)

// Fonts is the font family of every text: each system's own sans serif.
const Fonts = `system-ui, "Segoe UI", "Helvetica Neue", Arial, "Noto Sans", "DejaVu Sans", "Noto Sans CJK SC", ` +
	`"PingFang SC", "Microsoft YaHei", sans-serif`

// widths are the advances of U+0020 … U+007E in thousandths of the size, in DejaVu Sans,
// which is as wide as any of [Fonts].
var widths = [...]uint16{
	318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337,
	636, 636, 636, 636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531,
	1015, 711, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863, 748, 787,
	603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500,
	500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612,
	635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
}

// boldBy is how much wider bold text is, at most.
const boldBy = 1.27

// TextWidth returns how wide a text of that size is, in the size's unit, in any of [Fonts]:
// never less than it turns out to be, and not much more. A letter outside of ASCII counts
// as one full em, which is what Chinese ones have.
func TextWidth(s string, size float64) float64 {
	total := 0
	for _, r := range s {
		total += runeWidth(r)
	}
	return float64(total) * size / 1000
}

// BoldWidth is [TextWidth] of bold text.
func BoldWidth(s string, size float64) float64 { return TextWidth(s, size) * boldBy }

func runeWidth(r rune) int {
	switch {
	case r >= ' ' && int(r-' ') < len(widths):
		return int(widths[r-' '])
	case unicode.Is(unicode.Mn, r):
		return 0
	default:
		return 1000
	}
}

// Fit returns s cut, with … at its end, so that it is no wider than width; "" where not
// even that fits.
func Fit(s string, size, width float64) string {
	if TextWidth(s, size) <= width {
		return s
	}
	room := width - TextWidth("…", size)
	if room < 0 {
		return ""
	}
	at, used := 0, 0.0
	for at < len(s) {
		r, n := utf8.DecodeRuneInString(s[at:])
		used += float64(runeWidth(r)) * size / 1000
		if used > room {
			break
		}
		at += n
	}
	return s[:at] + "…"
}

// FitBold is [Fit] of bold text.
func FitBold(s string, size, width float64) string { return Fit(s, size, width/boldBy) }
