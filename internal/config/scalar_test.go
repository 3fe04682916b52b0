package config

import (
	"encoding"
	"testing"
	"time"
)

// TestScalars: each text is read as the value and written in the shortest form.
func TestScalars(t *testing.T) {
	for _, tt := range []struct {
		text string
		into interface {
			encoding.TextUnmarshaler
		}
		want  any
		short string
	}{
		{"20ms", new(Duration), Duration(20 * time.Millisecond), "20ms"},
		{"1h0m0s", new(Duration), Duration(time.Hour), "1h"},
		{"120s", new(Duration), Duration(2 * time.Minute), "2m"},
		{"10m0s", new(Duration), Duration(10 * time.Minute), "10m"},
		{"1h20s", new(Duration), Duration(time.Hour + 20*time.Second), "1h0m20s"},
		{"0", new(Duration), Duration(0), "0"},
		{"1500", new(Size), Size(1500), "1500"},
		{"1500 B", new(Size), Size(1500), "1500"},
		{"64KiB", new(Size), Size(65536), "64KiB"},
		{"1024KiB", new(Size), Size(1 << 20), "1MiB"},
		{"2MB", new(Size), Size(2e6), "2000000"},
		{"1GiB", new(Size), Size(1 << 30), "1GiB"},
		{"0", new(Size), Size(0), "0"},
		{"10%", new(Percent), Percent(10), "10%"},
		{"7 %", new(Percent), Percent(7), "7%"},
		{"0.5%", new(Percent), Percent(0.5), "0.5%"},
		{"100%", new(Percent), Percent(100), "100%"},
		{"0", new(Percent), Percent(0), "0%"},
		{"-0%", new(Percent), Percent(0), "0%"},
		{"10Mbit", new(Rate), Rate(10e6), "10Mbit"},
		{"1000kbit", new(Rate), Rate(1e6), "1Mbit"},
		{"2Gbit/s", new(Rate), Rate(2e9), "2Gbit"},
		{"9600bit", new(Rate), Rate(9600), "9600bit"},
		{"0", new(Rate), Rate(0), "0"},
		{"02-00-00-00-12-5A", new(MAC), MAC("02:00:00:00:12:5a"), "02:00:00:00:12:5a"},
		{"", new(MAC), MAC(""), ""},
	} {
		if err := tt.into.UnmarshalText([]byte(tt.text)); err != nil {
			t.Errorf("%T of %q: %v", tt.want, tt.text, err)
			continue
		}
		var got any
		switch v := tt.into.(type) {
		case *Duration:
			got = *v
		case *Size:
			got = *v
		case *Percent:
			got = *v
		case *Rate:
			got = *v
		case *MAC:
			got = *v
		}
		if got != tt.want {
			t.Errorf("%T of %q = %v, want %v", tt.want, tt.text, got, tt.want)
		}
		short, err := got.(encoding.TextMarshaler).MarshalText()
		if err != nil || string(short) != tt.short {
			t.Errorf("%T of %q is written %q, %v; want %q", tt.want, tt.text, short, err, tt.short)
		}
	}
	if f := Percent(10).Fraction(); f != 0.1 {
		t.Errorf("10%% is %v, want 0.1", f)
	}
	if hw := MAC("02:00:00:00:12:53").HardwareAddr(); len(hw) != 6 || hw[5] != 0x53 {
		t.Errorf("HardwareAddr = %v", hw)
	}
	if hw := MAC("").HardwareAddr(); hw != nil {
		t.Errorf("HardwareAddr of none = %v, want nil", hw)
	}
}
