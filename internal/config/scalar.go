package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"appliance/tracer/strictyaml"
)

// Duration is a length of time, written with its unit: "20ms", "2m", "1h30m".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := strictyaml.ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}

// MarshalText implements encoding.TextMarshaler: "30s", not "0m30s" or "30.0s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String returns the shortest form that UnmarshalText reads: "1h" for "1h0m0s".
func (d Duration) String() string { return strictyaml.Duration(time.Duration(d)) }

// unit is a suffix and what it multiplies by.
type unit struct {
	suffix string
	factor uint64
}

// suffixed reads a whole number with one of units; the message of an error ends in
// want.
func suffixed(s string, units []unit, want string) (uint64, error) {
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/")
	suffix := s[len(digits):]
	digits = strings.TrimSpace(digits)
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		if errors.Is(err, strconv.ErrRange) {
			return 0, fmt.Errorf("%q is too large", s)
		}
		return 0, fmt.Errorf("%q is not %s", s, want)
	}
	for _, u := range units {
		if u.suffix != suffix {
			continue
		}
		if n > math.MaxInt64/u.factor {
			return 0, fmt.Errorf("%q is too large", s)
		}
		return n * u.factor, nil
	}
	if suffix == "" {
		return 0, fmt.Errorf("%q has no unit: want %s", s, want)
	}
	return 0, fmt.Errorf("%q has an unknown unit %q: want %s", s, suffix, want)
}

// Size is a number of bytes: "64KiB", "1MiB", "1500".
type Size int64

var sizeUnits = []unit{
	{"", 1},
	{"B", 1},
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"kB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (v *Size) UnmarshalText(text []byte) error {
	n, err := suffixed(string(text), sizeUnits, "a size: a whole number of bytes, or one with KiB, MiB, GiB, kB, MB or GB, such as 64KiB")
	if err != nil {
		return err
	}
	*v = Size(n)
	return nil
}

// MarshalText implements encoding.TextMarshaler: the largest binary unit that
// leaves a whole number.
func (v Size) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// String returns the form that MarshalText writes.
func (v Size) String() string {
	for _, u := range []unit{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if v != 0 && v%Size(u.factor) == 0 {
			return strconv.FormatInt(int64(v/Size(u.factor)), 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(v), 10)
}

// Percent is a probability in percent, 0 to 100, written "10%" or "0.5%".
type Percent float64

// Fraction returns the probability as 0 to 1.
func (p Percent) Fraction() float64 { return float64(p) / 100 }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Percent) UnmarshalText(text []byte) error {
	s := string(text)
	digits, found := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if err != nil || math.IsNaN(v) {
		return fmt.Errorf("%q is not a percentage: want 0%% to 100%%, such as 10%% or 0.5%%", s)
	}
	if !found && v != 0 {
		return fmt.Errorf("%q has no %%: write %s%% for that many in a hundred", s, s)
	}
	if v < 0 || v > 100 {
		return fmt.Errorf("%q is out of range: want 0%% to 100%%", s)
	}
	*p = Percent(v + 0) // -0 becomes 0
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (p Percent) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// String returns "0.5%".
func (p Percent) String() string { return strconv.FormatFloat(float64(p), 'f', -1, 64) + "%" }

// Rate is a data rate in bits a second, written "10Mbit"; 0 is unlimited.
type Rate int64

var rateUnits = []unit{
	{"bit", 1},
	{"kbit", 1e3},
	{"Mbit", 1e6},
	{"Gbit", 1e9},
	{"bit/s", 1},
	{"kbit/s", 1e3},
	{"Mbit/s", 1e6},
	{"Gbit/s", 1e9},
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Rate) UnmarshalText(text []byte) error {
	if string(text) == "0" {
		*r = 0
		return nil
	}
	n, err := suffixed(string(text), rateUnits, "a rate: a whole number with bit, kbit, Mbit or Gbit (a second), such as 10Mbit; or 0 for no limit")
	if err != nil {
		return err
	}
	*r = Rate(n)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// String returns the largest unit that leaves a whole number: "10Mbit".
func (r Rate) String() string {
	if r == 0 {
		return "0"
	}
	for _, u := range []unit{{"Gbit", 1e9}, {"Mbit", 1e6}, {"kbit", 1e3}} {
		if r%Rate(u.factor) == 0 {
			return strconv.FormatInt(int64(r/Rate(u.factor)), 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(r), 10) + "bit"
}

// MAC is an Ethernet address, "02:00:00:00:12:53", or "" for none given.
type MAC string

// UnmarshalText implements encoding.TextUnmarshaler; it takes the forms that
// net.ParseMAC takes and "".
func (m *MAC) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "" {
		*m = ""
		return nil
	}
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 {
		return fmt.Errorf("%q is not an Ethernet address: want six bytes, such as 02:00:00:00:12:53", s)
	}
	if hw[0]&1 != 0 {
		return fmt.Errorf("%q is a group address: want one whose first byte is even, such as 02:00:00:00:12:53", s)
	}
	if hw.String() == "00:00:00:00:00:00" {
		return fmt.Errorf("%q is no station's address: leave mac out to let the link choose one", s)
	}
	*m = MAC(hw.String())
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m), nil }

// HardwareAddr returns the address, nil when none was given.
func (m MAC) HardwareAddr() net.HardwareAddr {
	hw, err := net.ParseMAC(string(m))
	if err != nil {
		return nil
	}
	return hw
}
