package config

import (
	"time"

	"appliance/netstack/link"
)

// parseRule errs when rule is not one that the impairment understands.
func parseRule(rule string) error {
	_, err := link.ParseRule(rule)
	return err
}

// Options returns the impairment's options. Clock is the caller's to add. c must be
// valid.
func (i Impair) Options() (link.ImpairOptions, error) {
	o := link.ImpairOptions{Seed: i.Seed, In: i.In.options(), Out: i.Out.options()}
	for _, text := range i.Rules {
		rule, err := link.ParseRule(text)
		if err != nil {
			return link.ImpairOptions{}, err
		}
		o.Rules = append(o.Rules, rule)
	}
	return o, o.Validate()
}

// Any tells whether anything is to be done to packets: if not, the link needs no
// impairment around it.
func (i Impair) Any() bool {
	return i.In != Impairment{} || i.Out != Impairment{} || len(i.Rules) > 0
}

func (i Impairment) options() link.Impairment {
	return link.Impairment{
		Loss:        i.Loss.Fraction(),
		Delay:       time.Duration(i.Delay),
		Jitter:      time.Duration(i.Jitter),
		Duplicate:   i.Duplicate.Fraction(),
		Reorder:     i.Reorder.Fraction(),
		ReorderBy:   i.ReorderBy,
		ReorderHold: time.Duration(i.ReorderHold),
		Corrupt:     i.Corrupt.Fraction(),
		Rate:        int64(i.Rate),
		RateBuffer:  int(i.RateBuffer),
	}
}
