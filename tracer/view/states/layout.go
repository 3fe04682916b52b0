package states

import "appliance/tracer"

// The diagram's size in cells: a character each in the text, [cellW] by [cellH] in the SVG.
const (
	gridW = 80
	gridH = 63
	boxW  = 15
)

// cell is a place in the grid.
type cell struct{ x, y int }

// box is where a state stands. As in the RFC, CLOSED stands twice: where connections begin
// and where they end.
type box struct {
	state tracer.State
	x, y  int
	h     int
	below bool // CLOSED's second place
}

// route is the way that an arrow of the figure takes, and where its words stand.
type route struct {
	from, to tracer.State
	way      []cell // corners, from the cell beside one box to the cell beside the other
	label    label
}

// label is where an arrow's words stand: the event above a rule and the action below it,
// at one side of an upright line; above and below a level one, which is the rule itself.
type label struct {
	side side
	x, y int // the rule's cell: its end nearest to the line; a level label's middle
	// lines break the event in two where there is no room for it in one.
	lines []string
}

type side uint8

const (
	leftOf  side = iota // the words end at x
	rightOf             // the words begin at x
	onLine              // the words are centred at x, and the line is the rule
)

const (
	leftX, middleX, rightX = 0, 32, 65
	tall, short            = 7, 5
)

var boxes = []box{
	{tracer.Closed, middleX, 0, short, false},
	{tracer.Listen, middleX, 9, short, false},
	{tracer.SynReceived, leftX, 18, tall, false},
	{tracer.SynSent, rightX, 18, tall, false},
	{tracer.Established, middleX, 29, short, false},
	{tracer.FinWait1, leftX, 38, tall, false},
	{tracer.CloseWait, rightX, 38, tall, false},
	{tracer.FinWait2, leftX, 49, short, false},
	{tracer.Closing, middleX, 49, short, false},
	{tracer.LastAck, rightX, 49, short, false},
	{tracer.TimeWait, middleX, 58, short, false},
	{tracer.Closed, rightX, 58, short, true},
}

var routes = []route{
	{tracer.Closed, tracer.Listen, []cell{{36, 5}, {36, 8}}, label{side: leftOf, x: 34, y: 6}},
	{tracer.Listen, tracer.Closed, []cell{{42, 8}, {42, 5}}, label{side: rightOf, x: 44, y: 6}},
	{tracer.Closed, tracer.SynSent, []cell{{47, 1}, {76, 1}, {76, 17}}, label{side: onLine, x: 61, y: 1}},
	{tracer.SynSent, tracer.Closed, []cell{{69, 17}, {69, 3}, {47, 3}}, label{side: leftOf, x: 67, y: 8}},
	{tracer.Listen, tracer.SynReceived, []cell{{36, 14}, {36, 19}, {15, 19}}, label{side: leftOf, x: 34, y: 15}},
	{tracer.Listen, tracer.SynSent, []cell{{42, 14}, {42, 19}, {64, 19}}, label{side: rightOf, x: 44, y: 15}},
	{tracer.SynReceived, tracer.Listen, []cell{{7, 17}, {7, 11}, {31, 11}}, label{side: onLine, x: 19, y: 11}},
	{tracer.SynSent, tracer.SynReceived, []cell{{64, 21}, {15, 21}}, label{side: onLine, x: 39, y: 21}},
	{tracer.SynReceived, tracer.Established, []cell{{15, 23}, {36, 23}, {36, 28}}, label{side: leftOf, x: 34, y: 26}},
	{tracer.SynSent, tracer.Established, []cell{{64, 23}, {42, 23}, {42, 28}}, label{side: rightOf, x: 44, y: 26}},
	{tracer.SynReceived, tracer.FinWait1, []cell{{7, 25}, {7, 37}}, label{side: rightOf, x: 9, y: 31}},
	{tracer.Established, tracer.FinWait1, []cell{{36, 34}, {36, 39}, {15, 39}}, label{side: leftOf, x: 34, y: 36}},
	{tracer.Established, tracer.CloseWait, []cell{{42, 34}, {42, 41}, {64, 41}}, label{side: rightOf, x: 44, y: 36}},
	{tracer.FinWait1, tracer.FinWait2, []cell{{7, 45}, {7, 48}}, label{side: rightOf, x: 9, y: 46}},
	{tracer.FinWait1, tracer.Closing, []cell{{15, 41}, {39, 41}, {39, 48}}, label{side: leftOf, x: 37, y: 46}},
	{
		tracer.FinWait1, tracer.TimeWait,
		[]cell{{15, 43}, {28, 43}, {28, 59}, {31, 59}},
		label{side: leftOf, x: 26, y: 51, lines: []string{"rcv FIN,", "ACK of FIN"}},
	},
	{tracer.CloseWait, tracer.LastAck, []cell{{72, 45}, {72, 48}}, label{side: leftOf, x: 70, y: 46}},
	{tracer.FinWait2, tracer.TimeWait, []cell{{7, 54}, {7, 61}, {31, 61}}, label{side: rightOf, x: 9, y: 56}},
	{tracer.Closing, tracer.TimeWait, []cell{{39, 54}, {39, 57}}, label{side: rightOf, x: 41, y: 55}},
	{tracer.LastAck, tracer.Closed, []cell{{72, 54}, {72, 57}}, label{side: leftOf, x: 70, y: 55}},
	{tracer.TimeWait, tracer.Closed, []cell{{47, 60}, {64, 60}}, label{side: onLine, x: 55, y: 60}},
}

// routeOf returns the way of the figure's i-th arrow.
func routeOf(i int) *route {
	for k := range routes {
		if r := &routes[k]; r.from == figure[i].From && r.to == figure[i].To {
			return r
		}
	}
	panic("states: an arrow of the figure has no way") // a test holds that each has
}

// words are the lines of an arrow's label above the rule and below it.
func (r *route) words(a Arrow) (above, below []string) {
	above = r.label.lines
	if above == nil {
		above = []string{a.Event}
	}
	if a.Action != "" {
		below = []string{a.Action}
	}
	if note := noteWords[a.Note]; note != "" {
		if a.Action == "" {
			above = []string{a.Event + " " + note}
		} else {
			below = append(below, note)
		}
	}
	return above, below
}

// noteWords are the figure's references to its notes.
var noteWords = map[int]string{1: "(note 1)", 2: "(note 2)"}

// end returns which way the arrow's head points, from its last two corners.
func (r *route) end() (dx, dy int) {
	n := len(r.way)
	return sign(r.way[n-1].x - r.way[n-2].x), sign(r.way[n-1].y - r.way[n-2].y)
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	default:
		return 0
	}
}
