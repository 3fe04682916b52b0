package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"appliance/tracer/sequence"
)

func scenarioShow(c *cli.Context) error {
	args, err := arguments(c, "NAME")
	if err != nil {
		return err
	}
	all, err := sequences()
	if err != nil {
		return err
	}
	if err := checkNames(all, args); err != nil {
		return err
	}
	name, run, _ := strings.Cut(args[0], "/")
	p := shower{out: errWriter{w: c.App.Writer}, color: colored(c, c.App.Writer)}
	p.sequence(findSequence(all, name), run)
	return p.out.done()
}

// shower prints sequences.
type shower struct {
	out   errWriter
	color bool
}

// sequence prints s with the runs of that name, all where it is "".
func (p *shower) sequence(s *sequence.Sequence, run string) {
	p.out.printf("%s\n%s\n\n", paint(p.color, styleBold, s.Name+": "+s.Title), s.Shows)
	for _, src := range s.Sources {
		p.out.printf("  from  %s: %s\n", src.Document, src.Passage)
	}
	p.out.printf("  RFC   %s\n", strings.TrimSuffix(strings.ReplaceAll(strings.Join(s.RFC, "; "), "RFC ", ""), ";"))
	if s.Differs != "" {
		p.out.printf("  note  %s\n", s.Differs)
	}
	for i := range s.Runs {
		if r := &s.Runs[i]; run == "" || r.Name == run {
			p.run(r)
		}
	}
}

func (p *shower) run(r *sequence.Run) {
	p.out.printf("\n")
	if r.Name != "" {
		p.out.printf("%s\n", paint(p.color, styleBold, "run "+r.Name+": "+r.Shows))
	}
	for _, who := range sortedKeys(r.Programs) {
		p.steps(who, r.Programs[who])
	}
	for _, end := range []sequence.End{sequence.Client, sequence.Server} {
		p.frames(string(end)+"@script", r.Scripts[end])
	}
	p.frames("extra", r.Extra)
	for _, l := range r.Link {
		p.out.printf("  link  %s\n", l)
	}
	for _, who := range sortedKeys(r.Forced) {
		for _, l := range r.Forced[who] {
			p.out.printf("  link  %s, where %s\n", l, who)
		}
	}
	p.out.printf("\n")
	p.rows(r.Expect, "  ")
	for _, a := range r.Allow {
		p.out.printf("  besides: %s\n", a)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (p *shower) steps(who string, steps []sequence.Step) {
	words := make([]string, len(steps))
	for i, s := range steps {
		words[i] = s.String()
	}
	p.out.printf("  %-5s %s\n", who, strings.Join(words, " · "))
}

func (p *shower) frames(who string, frames []sequence.Frame) {
	if len(frames) == 0 {
		return
	}
	words := make([]string, len(frames))
	for i, f := range frames {
		words[i] = f.String()
	}
	p.out.printf("  %-5s %s\n", who, strings.Join(words, " · "))
}

// rows prints rows, groups with their lists behind an indentation.
func (p *shower) rows(rows []sequence.Row, indent string) {
	for i := range rows {
		g, ok := rows[i].Body.(sequence.Group)
		if !ok {
			p.out.printf("%s%s\n", indent, rows[i])
			continue
		}
		for k, list := range g.Lists {
			p.out.printf("%s%s\n", indent, paint(p.color, styleBold, groupWords(g, k)))
			p.rows(list, indent+"  ")
		}
	}
}

// groupWords introduces the k-th list of a group.
func groupWords(g sequence.Group, k int) string {
	switch g.Kind {
	case sequence.AnyOrder:
		if k == 0 {
			return "in any order:"
		}
		return "and:"
	case sequence.Either:
		if k == 0 {
			return "either:"
		}
		return "or:"
	case sequence.Optional:
		return "perhaps:"
	default:
		var who []string
		for _, player := range g.Players {
			who = append(who, map[sequence.Player]string{
				sequence.Stack: "the appliance", sequence.Linux: "Linux", sequence.Script: "a script",
			}[player])
		}
		return "where " + string(g.For) + " is " + orList(who) + ":"
	}
}
