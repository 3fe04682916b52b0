package report

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"appliance/tracer"
	"appliance/tracer/view"
	"appliance/tracer/view/draw"
)

// book is what a page has, as the template and the script want it.
type book struct {
	W        labels
	Title    string
	What     []string // what was traced, in short
	Tiles    []tile   // totals
	Facts    []fact   // how it was traced
	Notes    []string // what a reader must know first
	Columns  []column // of the table
	Rows     []row
	MoreRows string
	Foot     string

	script   script
	subjects []subject // a row's each
	several  int       // how many there are, also those that have no row
	pictures []picture
	rules    []draw.Rule
}

// tile is one total.
type tile struct {
	Name, Value, Unit string
	Bad               bool
}

type fact struct{ Name, Value string }

type column struct {
	Name, Help string
	Number     bool
}

// row is one connection; the first of its cells picks it.
type row struct {
	Row   int
	Conns string // the ids of its ends, with a space between
	More  string // the numbers of further events that are its own
	Cells []cell
}

type cell struct {
	Text, Class string
	Title       string   // what a pointer over it shows
	Strips      [][]part // where it is the states of its ends
}

type part struct{ Text, Class string }

// script is what the page's script is handed, as JSON.
type script struct {
	Lang    string             `json:"lang"`
	Words   map[string]string  `json:"words"`
	Types   []string           `json:"types"`
	Stacks  []string           `json:"stacks"`
	Conns   []scriptConn       `json:"conns"`
	Tabs    map[string]string  `json:"tabs"`
	Sets    map[int]pictureSet `json:"sets"`    // by row of the table
	Started float64            `json:"started"` // when the trace was, in ms since 1970
	File    string             `json:"file"`
	Paper   paper              `json:"paper"`
}

// scriptConn is what the timeline can be limited to.
type scriptConn struct {
	Row  int    `json:"row"`
	Name string `json:"name"`
}

// paper limits what is printed: rows of the timeline, and units of a tall picture.
type paper struct {
	Rows   int `json:"rows"`
	Height int `json:"height"`
}

// pictureSet are the pictures of a row.
type pictureSet struct {
	Pics []scriptPicture `json:"pics"`
}

type scriptPicture struct {
	Tab  string  `json:"tab"`
	ID   string  `json:"id"`
	Tall bool    `json:"tall,omitempty"`
	Head float64 `json:"head,omitempty"` // of a tall one: how much of it stays in sight
}

// picture is a block of data to be written: fill writes the picture's text.
type picture struct {
	id   string
	fill func(w *bufio.Writer)
}

// newBook makes the page of t.
func newBook(t *view.Trace, o Options) (*book, error) {
	b := &book{W: labelsIn(o.Lang), Title: o.Title, Notes: slices.Clone(o.Notes)}
	if b.Title == "" {
		b.Title = titleOf(t, o)
	}
	b.What = whatOf(t, o)
	b.Facts = factsOf(t.Header, o)
	b.Foot = strings.TrimSpace("appliance " + t.Header.Appliance)
	b.script = script{
		Lang: string(o.Lang), Words: scriptWords(o.Lang), Types: typeNames(o.Lang), Stacks: stacksOf(t),
		Tabs: tabNames(o.Lang), Sets: map[int]pictureSet{}, File: o.File, Conns: []scriptConn{},
		Started: float64(t.Header.Started.UnixNano()) / 1e6, Paper: paper{Rows: 2000, Height: 20_000},
	}
	if b.script.File == "" {
		b.script.File = "trace"
	}
	if err := b.table(t, o); err != nil {
		return nil, err
	}
	b.draw(t, o)
	if n := lostIn(t); n > 0 {
		b.Notes = append(b.Notes, o.Lang.F("The trace lacks %d events: the recorder's queue was full. They show as “lost” in the timeline.", n))
	}
	return b, nil
}

// writePictures writes the pictures' blocks.
func (b *book) writePictures(w io.Writer) error {
	for _, p := range b.pictures {
		if err := pack(w, p.id, p.fill); err != nil {
			return fmt.Errorf("picture %s: %w", p.id, err)
		}
	}
	return nil
}

// lostIn returns how many events a full queue had to drop.
func lostIn(t *view.Trace) (n uint64) {
	for i := range t.Events {
		if l, ok := t.Events[i].Body.(*tracer.Lost); ok {
			n += l.Missed
		}
	}
	return n
}
