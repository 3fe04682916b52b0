package text

import (
	"strings"

	"appliance/tracer/view/words"
)

// These words stand in traces, always in English. They are listed so that a language can
// have them; one that is not listed stays as it is.
var (
	_ = []string{ // notes
		words.Key("retransmission"), words.Key("fast-retransmit"), words.Key("tail-loss-probe"),
		words.Key("dup-ack"), words.Key("out-of-order"), words.Key("zero-window"), words.Key("window-probe"),
		words.Key("window-update"), words.Key("keepalive"), words.Key("challenge-ack"), words.Key("piggyback"),
		words.Key("duplicate"), words.Key("duplicated"), words.Key("reordered"), words.Key("corrupted"),
	}
	_ = []string{ // causes
		words.Key("ACK of our FIN"), words.Key("ACK of our SYN"), words.Key("ACK of our SYN cookie"),
		words.Key("FIN with the ACK of our FIN"), words.Key("close of the listener"), words.Key("stack closed"),
		words.Key("no answer to address resolution"), words.Key("retransmit timer"),
		words.Key("retransmit timer: no answer to SYN+ACK"), words.Key("time-wait timer"),
		words.Key("fin-wait-2 timer"), words.Key("keepalive timer"), words.Key("gave up"),
		words.Key("segment"), words.Key("call"), words.Key("timer"), words.Key("stack"),
	}
	_ = []string{ // causes that are inferred
		words.Key("close or shutdown"), words.Key("abort"), words.Key("already open when the trace began"),
		words.Key("data after close"), words.Key("data that completes the stream up to the FIN"),
	}
	_ = []string{ // timers
		words.Key("retransmit"), words.Key("time-wait"), words.Key("fin-wait-2"), words.Key("reorder"),
		words.Key("cork"), words.Key("fired"),
	}
	_ = []string{ // why something was dropped
		words.Key("bad checksum"), words.Key("malformed header"), words.Key("not for a unicast address"),
	}
)

// reason is why something was dropped.
func reason(l words.Lang, why string) string {
	if rule, ok := strings.CutPrefix(why, "impairment: "); ok {
		return l.F("impairment: %s", rule)
	}
	return l.T(why)
}

// counted returns "1 segment", "2 segments".
func counted(l words.Lang, n uint64, noun string) string {
	word := l.T(noun)
	if word == noun && n != 1 {
		word += "s"
	}
	return l.F("%d %s|so many of what", n, word)
}
