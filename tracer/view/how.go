package view

import (
	"appliance/tracer"
	"appliance/tracer/view/words"
)

// How tells in words how a connection ended.
func How(l words.Lang, h tracer.How) string {
	switch h {
	case tracer.HowFIN:
		return l.T("closed by FIN")
	case tracer.HowReset:
		return l.T("reset by peer")
	case tracer.HowAborted:
		return l.T("aborted here")
	case tracer.HowTimeout:
		return l.T("timed out")
	case tracer.HowRefused:
		return l.T("refused")
	case tracer.HowUnreachable:
		return l.T("peer unreachable")
	default:
		return l.T("ended")
	}
}
