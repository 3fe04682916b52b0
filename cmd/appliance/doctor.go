package main

import (
	"slices"

	"github.com/urfave/cli/v2"

	"appliance/internal/lab"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "say which links this host can do, and what to do where it cannot",
		Description: "It tries each thing and leaves nothing behind. The exit code is 0 whatever it finds,\n" +
			"unless --need names a link or a check that is not good: then it is 5.",
		Flags: []cli.Flag{
			outputFlag("text", "json"),
			colorFlag(),
			&cli.StringSliceFlag{Name: "need", Usage: "end with exit code 5 unless `NAME` is good; may be repeated"},
		},
		Action: doctor,
	}
}

// diagnosis is what doctor finds: the links that this host can do, and what they
// stand on.
type diagnosis struct {
	Links []lab.Check `json:"links"`
	Host  []lab.Check `json:"host"`
}

func doctor(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	d := diagnose(lab.Probe(c.Context))
	met, err := d.meets(c.StringSlice("need"))
	if err != nil {
		return err
	}
	out := errWriter{w: c.App.Writer}
	if c.String("output") == "json" {
		err = printJSON(&out, d)
	} else {
		err = d.print(&out, colored(c, c.App.Writer))
	}
	if err == nil && !met {
		return checkErr()
	}
	return err
}

// diagnose tells which links a host can do of which the checks hold.
func diagnose(host []lab.Check) diagnosis {
	able := "on this host's interfaces and in labs"
	if i := slices.IndexFunc(host, func(c lab.Check) bool { return c.Name == "privilege" }); i < 0 || !host[i].OK {
		able = "in a lab of your own, without root; on this host's interfaces as root only"
	}
	return diagnosis{
		Links: []lab.Check{
			linkCheck("veth", able, host, "network namespaces", "veth", "AF_PACKET"),
			linkCheck("tap", able, host, "network namespaces", "TAP"),
			{Name: "pipe", OK: true, Detail: "two stacks in one process; needs nothing of the host"},
		},
		Host: host,
	}
}

// linkCheck is of a link that needs the named checks to be good.
func linkCheck(name, able string, host []lab.Check, needs ...string) lab.Check {
	for _, need := range needs {
		i := slices.IndexFunc(host, func(c lab.Check) bool { return c.Name == need })
		if i < 0 { // not one that can be tried here: what is bad says why
			i = slices.IndexFunc(host, func(c lab.Check) bool { return !c.OK })
		}
		switch {
		case i < 0:
			return lab.Check{Name: name, Detail: need + " could not be tried", Fix: "use --link pipe"}
		case !host[i].OK:
			return lab.Check{Name: name, Detail: host[i].Name + ": " + host[i].Detail, Fix: host[i].Fix}
		}
	}
	return lab.Check{Name: name, OK: true, Detail: able}
}

// meets tells whether all that need names is good; a link goes before a check of the
// same name. It errs on a name that is neither's.
func (d diagnosis) meets(need []string) (bool, error) {
	all := slices.Concat(d.Links, d.Host)
	met := true
	for _, name := range need {
		i := slices.IndexFunc(all, func(c lab.Check) bool { return c.Name == name })
		if i < 0 {
			var names []string
			for _, c := range all {
				if !slices.Contains(names, c.Name) {
					names = append(names, c.Name)
				}
			}
			return false, usageErr("doctor: --need %s: no such link or check: want %s", name, orList(names))
		}
		met = met && all[i].OK
	}
	return met, nil
}

// print writes a line a check, and below a bad one what to do.
func (d diagnosis) print(out *errWriter, color bool) error {
	width := 0
	for _, check := range slices.Concat(d.Links, d.Host) {
		width = max(width, len(check.Name))
	}
	out.printf("%s\n", paint(color, styleBold, "links"))
	printChecks(out, d.Links, width, color)
	out.printf("\n%s\n", paint(color, styleBold, "host"))
	printChecks(out, d.Host, width, color)
	return out.done()
}

func printChecks(out *errWriter, checks []lab.Check, width int, color bool) {
	for _, check := range checks {
		mark := paint(color, styleGood, "ok")
		if !check.OK {
			mark = paint(color, styleBad, "no")
		}
		out.printf("  %s  %-*s  %s\n", mark, width, check.Name, check.Detail)
		if !check.OK && check.Fix != "" {
			out.printf("      %-*s  → %s\n", width, "", check.Fix)
		}
	}
}
