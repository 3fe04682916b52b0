//go:build exactness

package netstack

import "appliance/tracer"

// end checks that a connection that is over has one end, and which.
func (j *exactJudge) end(conn uint32, steps []exactStep) {
	last := steps[len(steps)-1]
	isListener := steps[0].to == tracer.Listen
	over := last.to == tracer.Closed && !isListener
	ends := j.trace.ends[conn]
	if !over {
		if len(ends) != 0 {
			j.failf(conn, "conn %d: %d ends although it is %s", conn, len(ends), last.to)
		}
		if last.to != tracer.Closed {
			j.failf(conn, "conn %d: still %s although the stack was closed", conn, last.to)
		}
		return
	}
	j.tally.conns++
	if len(ends) != 1 {
		j.failf(conn, "conn %d: %d ends, want 1", conn, len(ends))
		return
	}
	b := ends[0].Body.(*tracer.End) //nolint:forcetypeassert // read sorted them
	if why, err := last.why(); err == nil && b.How != exactHow(last, why) {
		j.failf(conn, "conn %d: ended as %q, want %q: from %s by %v", conn, b.How, exactHow(last, why), last.from, why)
	}
	if role := map[bool]tracer.Role{true: tracer.Passive, false: tracer.Active}[last.Parent != nil]; b.Role != role {
		j.failf(conn, "conn %d: role %q, want %q", conn, b.Role, role)
	}
}

// exactHow is the way a connection ended, by what the scratch copy logged.
func exactHow(last exactStep, why exactWhy) tracer.How {
	rst := tracer.Flags(last.Last.Flags).Has(tracer.RST)
	switch {
	case last.from == tracer.TimeWait: // both FINs were acknowledged
		return tracer.HowFIN
	case why.kind == tracer.CauseTimer:
		return tracer.HowTimeout
	case why.kind == tracer.CauseICMP, why.stack == "neighbour":
		return tracer.HowUnreachable
	case why.kind != tracer.CauseSegment:
		return tracer.HowAborted
	case rst && last.from == tracer.SynSent:
		return tracer.HowRefused
	case rst:
		return tracer.HowReset
	case last.from == tracer.LastAck:
		return tracer.HowFIN
	default:
		return tracer.HowAborted
	}
}
