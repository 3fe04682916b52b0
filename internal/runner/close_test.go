package runner

import (
	"errors"
	"fmt"
	"testing"
)

func TestJoin(t *testing.T) {
	full, lab := errors.New("no space"), errors.New("the lab is gone")
	for _, tt := range []struct {
		ran, closed error
		want        string
	}{
		{nil, nil, ""},
		{full, nil, "no space"},
		{nil, lab, "the lab is gone"},
		{full, errors.Join(errors.Join(nil, full), lab), "no space\nthe lab is gone"},
		{full, full, "no space"},
		{full, fmt.Errorf("close: %w", lab), "no space\nclose: the lab is gone"},
	} {
		got := ""
		if err := Join(tt.ran, tt.closed); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("Join(%v, %v) = %q, want %q", tt.ran, tt.closed, got, tt.want)
		}
	}
}
