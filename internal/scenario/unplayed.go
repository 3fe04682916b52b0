package scenario

import (
	"fmt"
	"slices"
	"strings"
)

// Unplayed says of each of the options' names of which every combination was skipped: why,
// and what to ask for to have it played.
func Unplayed(o Options, r *Report) []string {
	if o.complete() != nil {
		return nil // Run has said so
	}
	if o.Skips == nil {
		o.Skips, _ = Skips() // likewise
	}
	var all []string
	for _, name := range o.Names {
		if why := r.whySkipped(name); why != "" {
			all = append(all, fmt.Sprintf("%s was not played: %s%s", name, why, o.instead(name)))
		}
	}
	return all
}

// whySkipped joins the reasons where all that a name stands for was skipped; "" where not.
func (r *Report) whySkipped(name string) string {
	var reasons []string
	for i := range r.Results {
		res := &r.Results[i]
		switch {
		case res.Sequence != name && res.Sequence+"/"+res.Run != name:
		case res.Skipped == "":
			return ""
		case !slices.Contains(reasons, res.Skipped):
			reasons = append(reasons, res.Skipped)
		}
	}
	return strings.Join(reasons, "; ")
}

// instead says what to change of the options so that a name is played: as little as will do,
// and the link rather than what else was asked for.
func (o *Options) instead(name string) string {
	var best []string
	for _, link := range []string{Veth, TAP, Pipe} {
		for drop := range 8 {
			try := *o
			try.Names, try.Links = []string{name}, []string{link}
			var change []string
			if !slices.Contains(o.Links, link) {
				change = append(change, "say --link "+link)
			}
			if drop&1 != 0 && len(o.Peers) > 0 {
				try.Peers, try.FirstPeer = nil, true
				change = append(change, "leave out --peer "+o.Peers[0])
			}
			if drop&2 != 0 && o.Role != Both {
				try.Role = Both
				change = append(change, "leave out --role "+o.Role)
			}
			if drop&4 != 0 && o.Clock != "" {
				try.Clock = ""
				change = append(change, "leave out --clock "+o.Clock)
			}
			if (best == nil || len(change) < len(best)) && try.plays() {
				best = change
			}
		}
	}
	if len(best) == 0 {
		return ""
	}
	return ": " + strings.Join(best, " and ")
}

// plays tells whether anything that the options ask for can be played.
func (o *Options) plays() bool {
	if o.complete() != nil {
		return false
	}
	all, err := combinations(o)
	return err == nil && slices.ContainsFunc(all, func(c combination) bool {
		res := c.result()
		return o.skips(&res) == "" && c.unplayable() == ""
	})
}
