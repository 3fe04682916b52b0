package config

import "reflect"

// doc describes one key.
type doc struct {
	text string // one line, or several, which stay lines
	// example is what may stand after the colon. A key that has one is written as a
	// comment, with it, while the key has no value.
	example string
}

// docs describe every key: "Type.key". The commented YAML and the JSON Schema are
// both made from them.
var docs = map[string]doc{
	"Config.name": {text: "What the trace calls this stack: each event bears it."},
	"Config.addresses": {text: "The stack's own addresses with the prefix lengths of their networks, IPv4 and IPv6, as many " +
		"as wanted. None may be an address of the kernel's on the same link: the kernel would answer with RST."},
	"Config.routes": {
		text:    "Where to send what is not on the link. Without a route the stack reaches its own networks only.",
		example: "[{to: 0.0.0.0/0, via: 192.168.12.1}]",
	},
	"Config.link":   {text: "The Ethernet link that the stack stands on."},
	"Config.tcp":    {text: "TCP's settings, for every connection of the stack."},
	"Config.impair": {text: "What the link does to packets on purpose. All of it is in the trace."},
	"Config.apps":   {text: "The programs that run on the stack, as many as wanted."},
	"Config.trace":  {text: "What is recorded, and where it goes."},

	"Route.to":  {text: "The destination network; 0.0.0.0/0 is all of IPv4, ::/0 all of IPv6."},
	"Route.via": {text: "The gateway: a neighbour on the link. Without one the destination is on the link itself.", example: "192.168.12.1"},

	"Link.kind": {text: "veth: one end of a veth pair, or any Ethernet interface, through a packet socket; needs CAP_NET_RAW\n" +
		"tap: a TAP device, made if it is not there; needs CAP_NET_ADMIN and /dev/net/tun\n" +
		"pipe: no kernel at all, two stacks in one process; needs no privileges"},
	"Link.lab": {text: "The lab to take interface and namespaces from; `appliance lab up` makes it. " +
		"Without lab and interface it is the lab \"appliance\".", example: DefaultLab},
	"Link.interface":  {text: "The interface, where it is not a lab's.", example: "veth0"},
	"Link.netns":      {text: "The network namespace that the interface is in: a name or a path. Without it, the one the appliance is started in.", example: "blue"},
	"Link.peer_netns": {text: "The network namespace of the veth pair's other end, where its offloads are switched off.", example: "green"},
	"Link.mac":        {text: "The stack's Ethernet address. Without it, one that follows from addresses, so that it stays the same.", example: "02:00:00:00:12:53"},
	"Link.mtu":        {text: "The largest packet, in bytes, without the Ethernet header: 68 to 65535, from 1280 with IPv6. 0 is the interface's own (1500 for a pipe); where the interface is there already, it must be that."},
	"Link.offload": {text: "off: what is traced is what a wire would carry, one frame a segment; the checksum and segmentation offloads of " +
		"the link's kernel end are switched off while the appliance runs\n" +
		"on: for load; segments of up to 64 KB both ways, and the kernel's own come without a checksum; the trace tells how many wire segments each stands for\n" +
		"auto: on where the kernel can, off elsewhere"},
	"Link.busy_poll": {text: "How long to ask again and again for the next frame before sleeping: a shorter round trip, for a processor that does nothing else " +
		"meanwhile. 0 is never; up to 1s.", example: "50us"},

	"TCP.congestion": {text: "The congestion control: reno (RFC 5681, 6582) or cubic (RFC 9438), which gVisor measures too coarsely for a round trip below 2 ms."},
	"TCP.sack":       {text: "Selective acknowledgements (RFC 2018)."},
	"TCP.rack":       {text: "Time-based loss detection with the tail loss probe (RFC 8985); without sack it has no effect. On a short link what comes 2 ms late is sent again."},
	"TCP.nagle":      {text: "Nagle's algorithm (RFC 896): hold back a small segment while others are unacknowledged."},
	"TCP.mss":        {text: "The maximum segment size to announce, in bytes: 64 to 65495. 0 is what the MTU allows."},
	"TCP.send_buffer": {text: "How much a connection holds that is sent and not acknowledged, or waits to be sent: 4KiB to 1GiB. " +
		"0 leaves it to the stack, which tunes it from 1MiB up to 4MiB."},
	"TCP.receive_buffer": {text: "How much a connection holds that the program has not read, which bounds the window it announces: 4KiB to 1GiB. " +
		"0 leaves it to the stack, which tunes it from 8MiB up to 32MiB: less makes a fast peer wait for windows."},
	"TCP.backlog":    {text: "How many connections of a listener wait to be accepted, at most: 1 to 65535. Beyond it, SYN cookies."},
	"TCP.msl":        {text: "The maximum segment lifetime (RFC 9293, 3.4.2): TIME-WAIT lasts twice as long. 1ms to 1h."},
	"TCP.fin_wait_2": {text: "How long a connection whose program has closed it waits in FIN-WAIT-2 for the peer's FIN: 1ms to 2m."},
	"TCP.keepalive":  {text: "Keep-alive (RFC 9293, 3.8.4): ask a silent peer whether it is still there."},
	"TCP.retries":    {text: "How often data is retransmitted before the connection times out: 1 to 255."},
	"TCP.min_rto":    {text: "The least retransmission time-out (RFC 6298, 2.4): 1ms to 2m."},

	"Keepalive.idle":     {text: "How long a connection is silent before the first probe. 0 is no keep-alive."},
	"Keepalive.interval": {text: "The time between probes."},
	"Keepalive.count":    {text: "How many unanswered probes end the connection: 1 to 127."},

	"Impair.seed": {text: "Where the dice start: the same seed and the same packets give the same decisions."},
	"Impair.in":   {text: "What happens to packets on their way to the stack."},
	"Impair.out":  {text: "What happens to packets from the stack; the same keys."},
	"Impair.rules": {
		text:    "What happens to single segments, chosen by what they are. A rule acts before in and out do.",
		example: `["drop out FIN nth=2"]`,
	},

	"Impairment.loss":         {text: "How many are lost: 0% to 100%."},
	"Impairment.delay":        {text: "How long each is held."},
	"Impairment.jitter":       {text: "How much the delay varies, up and down. The order stays."},
	"Impairment.duplicate":    {text: "How many come twice."},
	"Impairment.reorder":      {text: "How many let later ones pass."},
	"Impairment.reorder_by":   {text: "How many later packets of its flow pass one that is reordered. 0 is 1."},
	"Impairment.reorder_hold": {text: "How long a reordered packet waits for others to pass, at most. 0 is 20ms."},
	"Impairment.corrupt":      {text: "How many have one bit flipped, so that their checksum is wrong."},
	"Impairment.rate":         {text: "The line's speed, such as 10Mbit (a second). 0 is no limit."},
	"Impairment.rate_buffer":  {text: "How many bytes wait for the line, at most; what finds it full is lost. 0 is 64KiB."},

	"App.name": {text: "hello: says hello, prints what comes back, closes\necho: sends back what it gets (RFC 862)\n" +
		"discard: throws away what it gets (RFC 863)\nchargen: sends characters (RFC 864)\n" +
		"http: a page that says who you are\niperf: measures throughput, with iperf3 or with itself"},
	"App.role":    {text: "server: serve a port\nclient: connect to a server, once"},
	"App.port":    {text: "A server's port. 0 is the program's own: hello 9000, echo 7, discard 9, chargen 19, http 80, iperf 5201."},
	"App.connect": {text: "A client's server.", example: "192.168.12.1:9000"},
	"App.protocols": {text: "What it is spoken over: tcp, udp or both; hello, http and iperf speak tcp only. " +
		"A client speaks one."},
	"App.once": {text: "End a server after its first connection, iperf's after its first test."},
	"App.options": {
		text: "What the program is told; only iperf takes any. Its client: time, bytes, blockcount, parallel, reverse, bidir, omit, " +
			"length, bitrate, window, no-delay, repeating-payload, get-server-output, interval, json, which mean what they do to iperf3. " +
			"Its server: interval, json.",
		example: "[time=2, parallel=4, reverse]",
	},

	"Trace.level": {text: "off: nothing\nstates: state changes, calls, ends of connections\n" +
		"segments: those, and segments, datagrams, ICMP, timers\nfull: those, and the connections' variables"},
	"Trace.screen": {text: "The form on standard output: text (or true), jsonl, pcapng for a pipe to Wireshark, off (or false)."},
	"Trace.color":  {text: "Colour in text on the screen.\nauto: on a terminal, unless NO_COLOR is set\nalways\nnever"},
	"Trace.time":   {text: "The times in text.\nrel: since the start\ndelta: since the line before\nabs: the wall clock"},
	"Trace.files": {
		text: "Files to write the trace to. The ending tells the form: .jsonl, .pcapng for Wireshark, or .txt or .log for text. " +
			"One may be a FIFO: its reader is waited for.",
		example: "[trace.jsonl]",
	},
	"Trace.rotate_size": {text: "How large a file grows before another follows it: x.jsonl becomes x.1.jsonl, what was that becomes x.2.jsonl, and x.jsonl begins anew, " +
		"each a whole trace by itself. 64KiB to 1024GiB; 0 is one file, however large."},
	"Trace.rotate_count": {text: "How many of them are kept, the one that is written among them: 1 to 9999. The oldest is removed."},
}

// docOf returns what a key of a struct type is for.
func docOf(t reflect.Type, key string) doc { return docs[t.Name()+"."+key] }
