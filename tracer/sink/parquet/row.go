package parquet

// row is an event. Its fields are the file's columns: what is optional and zero is null.
// A pointer tells null from zero where both occur.
type row struct {
	N      uint64 `parquet:"n,delta"`
	TNs    int64  `parquet:"t_ns,delta"`
	Time   *int64 `parquet:"time,optional,timestamp(nanosecond:local)"`
	Type   string `parquet:"type,dict"`
	Stack  string `parquet:"stack,optional,dict"`
	Conn   uint32 `parquet:"conn,optional"`
	Parent uint32 `parquet:"parent,optional"`
	Local  *end   `parquet:"local,optional"`
	Remote *end   `parquet:"remote,optional"`

	// call
	Call       *string `parquet:"call,optional,dict"`
	Phase      *string `parquet:"phase,optional,dict"`
	Args       []arg   `parquet:"args,optional,list"`
	Of         uint64  `parquet:"of,optional"`
	Bytes      *int64  `parquet:"bytes,optional"`
	Result     string  `parquet:"result,optional"`
	ResultConn uint32  `parquet:"result_conn,optional"`
	Error      string  `parquet:"error,optional,dict"` // of state, too
	TookNs     *int64  `parquet:"took_ns,optional"`

	// segment; dir, len, notes and dropped also of datagram, dir and len of icmp
	Dir          *string  `parquet:"dir,optional,dict"`
	Flags        []string `parquet:"flags,optional,list" parquet-element:",dict"`
	Seq          *uint32  `parquet:"seq,optional"`
	Ack          *uint32  `parquet:"ack,optional"`
	RelSeq       *uint32  `parquet:"rel_seq,optional"`
	RelAck       *uint32  `parquet:"rel_ack,optional"`
	Len          *int64   `parquet:"len,optional"`
	Win          *uint32  `parquet:"win,optional"`
	Opts         *options `parquet:"opts,optional"`
	Notes        []string `parquet:"notes,optional,list" parquet-element:",dict"`
	Dropped      string   `parquet:"dropped,optional,dict"`
	WireSegments int64    `parquet:"wire_segments,optional"`

	// icmp
	Name     string `parquet:"name,optional,dict"`
	ICMPType *uint8 `parquet:"icmp_type,optional"`
	Code     *uint8 `parquet:"code,optional"`

	// state
	From       *string `parquet:"from,optional,dict"`
	To         *string `parquet:"to,optional,dict"`
	Cause      *cause  `parquet:"cause,optional"`
	Via        string  `parquet:"via,optional,dict"`
	DwellNs    *int64  `parquet:"dwell_ns,optional"`
	RFC        string  `parquet:"rfc,optional,dict"`
	StackState string  `parquet:"stack_state,optional,dict"`

	// timer
	Timer *string `parquet:"timer,optional,dict"`
	What  string  `parquet:"what,optional,dict"`
	RTONs int64   `parquet:"rto_ns,optional"`

	TCB *tcb `parquet:"tcb,optional"`

	// end
	Role        string  `parquet:"role,optional,dict"`
	OpenedNs    *int64  `parquet:"opened_ns,optional"`
	DurationNs  *int64  `parquet:"duration_ns,optional"`
	BytesIn     *uint64 `parquet:"bytes_in,optional"`
	BytesOut    *uint64 `parquet:"bytes_out,optional"`
	SegmentsIn  *uint64 `parquet:"segments_in,optional"`
	SegmentsOut *uint64 `parquet:"segments_out,optional"`
	Retransmits *uint64 `parquet:"retransmits,optional"`
	How         string  `parquet:"how,optional,dict"`

	// lost
	Missed *uint64 `parquet:"missed,optional"`
	LostOf string  `parquet:"lost_of,optional,dict"`
}

// end is an address and a port.
type end struct {
	Addr string `parquet:"addr,dict"`
	Port uint16 `parquet:"port"`
}

// arg is an argument of a call.
type arg struct {
	Name   string  `parquet:"name,dict"`
	Text   *string `parquet:"text,optional"`
	Number *int64  `parquet:"number,optional"`
	Flag   *bool   `parquet:"flag,optional"`
}

// options are a segment's.
type options struct {
	MSS    uint16 `parquet:"mss,optional"`
	WS     *uint8 `parquet:"ws,optional"`
	SACKOK bool   `parquet:"sack_ok"`
	TS     *ts    `parquet:"ts,optional"`
	SACK   []sack `parquet:"sack,optional,list"`
	Other  int64  `parquet:"other,optional"`
}

type ts struct {
	Val uint32 `parquet:"val"`
	Ecr uint32 `parquet:"ecr"`
}

type sack struct {
	Left  uint32 `parquet:"left"`
	Right uint32 `parquet:"right"`
}

type cause struct {
	Kind string `parquet:"kind,dict"`
	N    uint64 `parquet:"n,optional"`
	What string `parquet:"what,optional,dict"`
}

// tcb is the transmission control block: the variables of [Variables].
type tcb struct {
	After    uint64  `parquet:"after,optional"`
	SndUna   *int64  `parquet:"snd_una,optional"`
	SndNxt   *int64  `parquet:"snd_nxt,optional"`
	SndWnd   *int64  `parquet:"snd_wnd,optional"`
	RcvNxt   *int64  `parquet:"rcv_nxt,optional"`
	RcvWnd   *int64  `parquet:"rcv_wnd,optional"`
	Cwnd     *int64  `parquet:"cwnd,optional"`
	Inflight *int64  `parquet:"inflight,optional"`
	SRTTNs   *int64  `parquet:"srtt_ns,optional"`
	RTTVarNs *int64  `parquet:"rttvar_ns,optional"`
	RTONs    *int64  `parquet:"rto_ns,optional"`
	DupACKs  *int64  `parquet:"dup_acks,optional"`
	Recovery *string `parquet:"recovery,optional,dict"`
	RcvBuf   *int64  `parquet:"rcv_buf,optional"`
	SndBuf   *int64  `parquet:"snd_buf,optional"`
	SSThresh *int64  `parquet:"ssthresh,optional"`
	Other    []tcbVr `parquet:"other,optional,list"`
}

// tcbVr is a variable that has no column.
type tcbVr struct {
	Name   string  `parquet:"name,dict"`
	Number *int64  `parquet:"number,optional"`
	Text   *string `parquet:"text,optional"`
}

// tcbColumn is a variable that has a column: of one of the two kinds.
type tcbColumn struct {
	name   string
	number func(*tcb) **int64
	text   func(*tcb) **string
}

// tcbColumns are in the order in which a stack's trace has the variables.
var tcbColumns = []tcbColumn{
	{name: "snd_una", number: func(t *tcb) **int64 { return &t.SndUna }},
	{name: "snd_nxt", number: func(t *tcb) **int64 { return &t.SndNxt }},
	{name: "snd_wnd", number: func(t *tcb) **int64 { return &t.SndWnd }},
	{name: "rcv_nxt", number: func(t *tcb) **int64 { return &t.RcvNxt }},
	{name: "rcv_wnd", number: func(t *tcb) **int64 { return &t.RcvWnd }},
	{name: "cwnd", number: func(t *tcb) **int64 { return &t.Cwnd }},
	{name: "inflight", number: func(t *tcb) **int64 { return &t.Inflight }},
	{name: "srtt_ns", number: func(t *tcb) **int64 { return &t.SRTTNs }},
	{name: "rttvar_ns", number: func(t *tcb) **int64 { return &t.RTTVarNs }},
	{name: "rto_ns", number: func(t *tcb) **int64 { return &t.RTONs }},
	{name: "dup_acks", number: func(t *tcb) **int64 { return &t.DupACKs }},
	{name: "recovery", text: func(t *tcb) **string { return &t.Recovery }},
	{name: "rcv_buf", number: func(t *tcb) **int64 { return &t.RcvBuf }},
	{name: "snd_buf", number: func(t *tcb) **int64 { return &t.SndBuf }},
	{name: "ssthresh", number: func(t *tcb) **int64 { return &t.SSThresh }},
}

// columnOf finds a variable's column; nil for none.
var columnOf = func() map[string]*tcbColumn {
	m := map[string]*tcbColumn{}
	for i := range tcbColumns {
		m[tcbColumns[i].name] = &tcbColumns[i]
	}
	return m
}()

// Variables are the names of the TCB's variables that have a column of their own, in the
// order of a stack's trace.
func Variables() []string {
	names := make([]string, len(tcbColumns))
	for i, c := range tcbColumns {
		names[i] = c.name
	}
	return names
}
