package strictyaml

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads a length of time with its unit, 0 or more: "20ms", "2m", "1h30m".
func ParseDuration(s string) (time.Duration, error) {
	v, err := time.ParseDuration(s)
	if err != nil {
		if _, numErr := strconv.ParseFloat(s, 64); numErr == nil {
			return 0, fmt.Errorf("%q has no unit: write %sms or %ss", s, s, s)
		}
		return 0, fmt.Errorf("%q is not a duration: want a number with a unit, such as 20ms, 30s or 2m", s)
	}
	if v < 0 {
		return 0, fmt.Errorf("%q is negative: want 0 or more", s)
	}
	return v, nil
}

// Duration returns the shortest form that ParseDuration reads: "1h" for "1h0m0s".
func Duration(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
