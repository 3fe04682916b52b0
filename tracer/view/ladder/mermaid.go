package ladder

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
)

// Mermaid writes the ladder as a Mermaid sequenceDiagram, which GitHub and others draw where
// a text has it in a block marked "mermaid". Arrows of that language do not slant: one that
// crosses another, or that is long on its way, has an open head and a note where it
// arrives; one that is lost ends in a cross.
func (l *Ladder) Mermaid(w io.Writer) error {
	m := mermaid{Ladder: l}
	m.buf = append(m.buf, "sequenceDiagram\n"...)
	for end := range l.Lanes {
		m.participant(end)
	}
	rows := l.joined()
	for i := range rows {
		m.row(&rows[i])
	}
	if len(rows) == 0 {
		m.say("Note over A,B: ", l.o.Lang.T("nothing was sent"))
	}
	if _, err := w.Write(m.buf); err != nil {
		return fmt.Errorf("write the ladder: %w", err)
	}
	return nil
}

// Mermaid writes ladders: one as it is, several as Markdown, each in a block of its own.
func Mermaid(w io.Writer, ladders []*Ladder) error {
	if len(ladders) == 1 {
		return ladders[0].Mermaid(w)
	}
	for i, l := range ladders {
		begin := "```mermaid\n"
		if i > 0 {
			begin = "\n" + begin
		}
		if _, err := io.WriteString(w, begin); err != nil {
			return fmt.Errorf("write the ladders: %w", err)
		}
		if err := l.Mermaid(w); err != nil {
			return err
		}
		if _, err := io.WriteString(w, "```\n"); err != nil {
			return fmt.Errorf("write the ladders: %w", err)
		}
	}
	return nil
}

type mermaid struct {
	*Ladder
	buf  []byte
	note string // the last line's beginning, where that is a note
}

// ids are what the diagram calls the ends.
var ids = [2]string{"A", "B"}

// say writes one line: syntax of Mermaid's, then text. Notes at the same place are one.
func (m *mermaid) say(syntax, text string) {
	if syntax == m.note {
		m.buf = append(m.buf[:len(m.buf)-1], "<br/>"+mermaidText(text)+"\n"...)
		return
	}
	m.note = ""
	if strings.HasPrefix(syntax, "Note") {
		m.note = syntax
	}
	m.buf = append(m.buf, "    "+syntax+mermaidText(text)+"\n"...)
}

func (m *mermaid) participant(end int) {
	lane := &m.Lanes[end]
	text := mermaidText(lane.title())
	if lane.Addr != "" {
		text += "<br/>" + mermaidText(lane.Addr)
	}
	if inferred := m.inferred(lane); inferred != "" {
		text += "<br/>(" + mermaidText(inferred) + ")"
	}
	m.buf = append(m.buf, "    participant "+ids[end]+" as "+text+"\n"...)
}

// row writes what a row has: marks of the end that an arrow leaves before it, of the other
// end behind it.
func (m *mermaid) row(r *textRow) {
	switch r.Kind {
	case Silence:
		m.say("Note over A,B: ", m.o.Lang.F("%s of silence", span(r.For)))
		return
	case Missing:
		m.say("Note over A,B: ", r.Text)
		return
	case Moment:
	}
	first := 0
	if a := r.Arrow; a != nil {
		first = a.From
	}
	m.mark(r.marks[first], first)
	if r.Arrow != nil {
		m.arrow(r)
	}
	m.mark(r.marks[1-first], 1-first)
}

// sides are where the notes of an end stand.
var sides = [2]string{"left of A", "right of B"}

func (m *mermaid) mark(k *Mark, end int) {
	if k == nil {
		return
	}
	text := glyph(k.Kind) + k.Text
	if k.Kind == MarkState {
		text = "● " + text
	}
	if k.Data != "" {
		text += ` "` + k.Data + `"`
	}
	if k.Dwell > 0 {
		text += " (" + stay(k.Dwell) + ")"
	}
	m.say("Note "+sides[end]+": ", text)
}

func (m *mermaid) arrow(r *textRow) {
	a := r.Arrow
	from, to := ids[a.From], ids[a.To]
	if r.part == Arrives && a.Fate != Strayed {
		m.say("Note "+sides[a.To]+": ", m.o.Lang.F("%s arrives, sent as %s", flagsOf(a), ref(a)))
		return
	}
	head := "->>"
	switch {
	case a.Fate == Lost || a.Fate == Unseen || a.Fate == Refused:
		head = "-x"
	case r.part == Leaves:
		head = "-)"
	case a.Repeat:
		head = "-->>"
	}
	var parts []string
	if r.part == Leaves && a.Fate == Arrived {
		parts = append(parts, ref(a))
	}
	for _, p := range a.Label {
		parts = append(parts, p.Text)
	}
	m.say(from+head+to+": ", strings.Join(parts, "  "))
}

// flagsOf is an arrow's name in short.
func flagsOf(a *Arrow) string {
	if len(a.Label) == 0 {
		return ""
	}
	return a.Label[0].Text
}

// mermaidText is a text with everything as a number that Mermaid or the HTML that it makes
// would act on.
func mermaidText(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case strings.ContainsRune("#;<>&%{}\\`*_~$|", r), r == '"', !unicode.IsPrint(r):
			b.WriteString("#" + strconv.Itoa(int(r)) + ";")
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
