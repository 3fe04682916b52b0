package draw

import (
	"math"
	"strconv"
)

// contrast is the contrast ratio of two colours, 1 … 21 (WCAG 2.2, 1.4.3).
func contrast(a, b string) float64 {
	la, lb := luminance(a), luminance(b)
	if la < lb {
		la, lb = lb, la
	}
	return (la + 0.05) / (lb + 0.05)
}

// luminance is a colour's relative luminance, 0 … 1 (WCAG 2.2).
func luminance(hex string) float64 {
	r, g, b := linear(hex)
	return 0.2126*r + 0.7152*g + 0.0722*b
}

// linear are a colour's parts as amounts of light, 0 … 1 (sRGB).
func linear(hex string) (r, g, b float64) {
	n, err := strconv.ParseUint(hex[1:], 16, 32)
	if err != nil {
		panic("draw: " + hex + " is no colour") // the palette is ours
	}
	part := func(shift uint) float64 {
		c := float64(n>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return part(16), part(8), part(0)
}
