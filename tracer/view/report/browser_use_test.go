package report

import (
	"bytes"
	"fmt"
	"image/color"
	"image/png"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"appliance/tracer"
	"appliance/tracer/view"
	"appliance/tracer/view/words"
)

// colors returns how many colours a picture has.
func colors(t *testing.T, data []byte) int {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[color.Color]bool{}
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y += 3 {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x += 3 {
			seen[img.At(x, y)] = true
		}
	}
	return len(seen)
}

func TestInBrowser(t *testing.T) {
	browser := startBrowser(t)
	t.Run("pick", func(t *testing.T) { pickEverywhere(open(browser, t, conversation(3), Options{}, false)) })
	t.Run("filter", func(t *testing.T) { filterTimeline(open(browser, t, crowd(5), Options{}, true)) })
	t.Run("keys", func(t *testing.T) { useKeys(open(browser, t, conversation(40), Options{}, false)) })
	t.Run("hostile", func(t *testing.T) { stayHarmless(open(browser, t, attack(), Options{Title: hostile}, false)) })
	t.Run("empty", func(t *testing.T) {
		p := open(browser, t, view.New(tracer.Header{}, nil), Options{}, false)
		p.wait(`document.querySelector('#list .none')`)
		p.do(chromedp.KeyEvent(kb.ArrowDown))
		p.silent()
	})
	t.Run("narrow", func(t *testing.T) {
		fitTable(open(browser, t, linux(t, "server-closes-first-linux"), Options{}, false))
		fitTable(open(browser, t, crowd(3), Options{Lang: words.Chinese}, true))
	})
	t.Run("print", func(t *testing.T) { printAll(open(browser, t, conversation(100), Options{}, true)) })
	t.Run("large", func(t *testing.T) { scrollLarge(open(browser, t, conversation(15_200), Options{}, false)) })
	for _, c := range []struct {
		lang     words.Lang
		segments int
		dark     bool
	}{{words.English, 3, false}, {words.English, 300, true}, {words.Chinese, 3, true}, {words.Chinese, 300, false}} {
		name := fmt.Sprintf("pictures-%s-%d-%s", c.lang, c.segments, map[bool]string{true: "dark", false: "light"}[c.dark])
		t.Run(name, func(t *testing.T) {
			seePictures(open(browser, t, conversation(c.segments), Options{Lang: c.lang}, c.dark), name)
		})
	}
}

// pickEverywhere clicks a segment in the ladder, a row of the timeline and a mark in a
// graph: each shows in the details and in the timeline.
func pickEverywhere(p *tab) {
	p.wait(`document.querySelector('#pic svg [data-n]')`)
	picked := func(n string) {
		p.t.Helper()
		p.wait(fmt.Sprintf(`document.querySelector('#detail-in .which b')?.textContent === '#%s'`, n))
		if got := eval[string](p, `document.querySelector('#list .row.on').dataset.n`); got != n {
			p.t.Errorf("picked %s, and the timeline shows %s", n, got)
		}
		if got := eval[string](p, `location.hash`); got != "#"+n {
			p.t.Errorf("picked %s, and the address ends in %s", n, got)
		}
	}
	for _, tab := range eval[[]string](p, `[...document.querySelectorAll('#tabs button')].map((b) => b.dataset.tab)`) {
		p.click(fmt.Sprintf(`#tab-%s`, tab))
		p.wait(fmt.Sprintf(`document.querySelector('#pic figure').dataset.pic.endsWith('-%s')`, tab))
		n := eval[string](p, `document.querySelector('#pic svg [data-n]')?.dataset.n ?? ''`)
		if n == "" && (tab == "window" || tab == "throughput") {
			continue // lines of many events: none of them is an event's own
		}
		p.click(fmt.Sprintf(`#pic svg [data-n="%s"]`, n))
		picked(n)
		p.wait(`document.querySelector('#pic .marker')`)
	}
	// With the mouse, on a segment of the timeline: its fields, its cause and its effects.
	p.click(`#list .row[data-n="7"]`)
	picked("7")
	if got := p.text("#detail-in"); !strings.Contains(got, "syn") && !strings.Contains(got, "SYN") || !strings.Contains(got, "rel_seq") {
		p.t.Errorf("the details of a segment: %s", got)
	}
	// A state's cause is a link to it.
	p.click(`#list .row[data-n="8"]`)
	picked("8")
	p.click(`#detail-in .chain a[data-n="7"]`)
	picked("7")
	if got := p.text(`#detail-in .links:not(.chain)`); !strings.Contains(got, "SYN-RECEIVED") {
		p.t.Errorf("what the SYN caused: %s", got)
	}
	// It came of the connect, by way of the same segment at the client.
	if got := p.text(`#detail-in .chain`); !strings.Contains(got, "connect") || !strings.Contains(got, "the same packet") {
		p.t.Errorf("why the SYN came: %s", got)
	}
	p.keep("pick")
	p.silent()
}

// fitTable holds that the whole of the connections' table is seen however wide the window is.
func fitTable(p *tab) {
	for _, wide := range []int64{1400, 1200, 1100, 960, 800, 400} {
		p.do(chromedp.EmulateViewport(wide, 900))
		if over := eval[int](p, `(() => { const t = document.querySelector('.table'); return t.scrollWidth - t.clientWidth; })()`); over > 0 {
			p.t.Errorf("at %d pixels %d of the connections' table are cut off", wide, over)
		}
		p.keep(fmt.Sprintf("narrow-%d", wide))
	}
}

func filterTimeline(p *tab) {
	all := eval[int](p, `document.querySelector('#list .row').getAttribute('aria-setsize') * 1`)
	shown := func(condition string) int {
		p.t.Helper()
		p.wait(fmt.Sprintf(`[...document.querySelectorAll('#list .row')].every((r) => %s) && document.querySelector('#list .row')?.getAttribute('aria-setsize') * 1 < %d`, condition, all))
		return eval[int](p, `document.querySelector('#list .row').getAttribute('aria-setsize') * 1`)
	}
	// A connection, by its row of the table; the accept or the SYN may be its listener's.
	p.click(`#conns tbody tr:nth-child(3) .pick`)
	one := shown(`/\.[45]$/.test(r.querySelector('.c-s').textContent)`)
	if got := p.text("#count"); !strings.Contains(got, fmt.Sprint(one)) {
		p.t.Errorf("%d rows, and it says %q", one, got)
	}
	if got := eval[string](p, `document.querySelector('#conns tr.on .pick').textContent`); got != "client.4 ↔ server.5" {
		p.t.Errorf("picked in the table: %s", got)
	}
	p.keep("filter")
	// Of it one type; then words.
	p.click(`#types button[data-type="2"]`)
	if n := shown(`r.textContent.includes('●')`); n >= one {
		p.t.Errorf("%d changes of state among %d events", n, one)
	}
	p.do(chromedp.SendKeys(chromedp.CSS("#find"), "time-out syn-received"))
	p.wait(`document.querySelector('#list .none')`)
	p.click(`#clear`)
	p.wait(fmt.Sprintf(`document.querySelector('#list .row')?.getAttribute('aria-setsize') * 1 === %d`, all))
	p.do(chromedp.SendKeys(chromedp.CSS("#find"), "#12"))
	if n := shown(`r.dataset.n === '12'`); n != 1 {
		p.t.Errorf("%d events have the number 12", n)
	}
	p.silent()
}

func useKeys(p *tab) {
	on := func(n int) {
		p.t.Helper()
		p.wait(fmt.Sprintf(`document.querySelector('#list .row.on')?.dataset.n === '%d'`, n))
	}
	all := eval[int](p, `document.querySelector('#list .row').getAttribute('aria-setsize') * 1`)
	p.do(chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.ArrowDown))
	on(3)
	p.do(chromedp.KeyEvent(kb.ArrowUp))
	on(2)
	p.press("/")
	p.do(chromedp.KeyEvent("retransmission"))
	p.wait(`document.activeElement.id === 'find' && document.activeElement.value === 'retransmission'`)
	p.wait(`[...document.querySelectorAll('#list .row')].every((r) => r.textContent.includes('retransmission'))`)
	p.do(chromedp.KeyEvent(kb.Escape))
	p.wait(`document.activeElement.id === 'list' && document.querySelector('#find').value === ''`)
	p.wait(fmt.Sprintf(`document.querySelector('#list .row').getAttribute('aria-setsize') === '%d'`, all))
	p.do(chromedp.KeyEvent(kb.End))
	on(all)
	if row := eval[string](p, `document.querySelector('#list').getAttribute('aria-activedescendant')`); row != eval[string](p, `document.querySelector('#list .row.on').id`) {
		p.t.Errorf("the list's active row is %q", row)
	}
	p.do(chromedp.KeyEvent(kb.Home))
	on(1)
	// The tabs are moved along by arrows too.
	p.do(chromedp.Focus(chromedp.CSS(`#tabs [aria-selected="true"]`)), chromedp.KeyEvent(kb.ArrowRight))
	p.wait(`document.activeElement.matches('#tabs button:nth-child(2)[aria-selected="true"]')`)
	p.silent()
}

func stayHarmless(p *tab) {
	p.wait(`document.querySelector('#pic svg')`)
	p.click(`#list .row:last-child`)
	p.wait(`document.querySelector('#detail-in .fields')`)
	for _, tab := range eval[[]string](p, `[...document.querySelectorAll('#tabs button')].map((b) => b.dataset.tab)`) {
		p.click(`#tab-` + tab)
		p.wait(fmt.Sprintf(`document.querySelector('#pic figure').dataset.pic.endsWith('-%s')`, tab))
	}
	if got := eval[string](p, `document.title`); got != hostile {
		p.t.Errorf("the title is %q", got)
	}
	if n := eval[int](p, `document.querySelectorAll('img, iframe, [onerror], [onload]').length`); n != 0 {
		p.t.Errorf("%d elements came out of the trace", n)
	}
	// What nothing of the page does the policy forbids all the same.
	if got := eval[string](p, `fetch('http://192.0.2.1/').then(() => 'loaded', () => 'refused')`); got != "refused" {
		p.t.Errorf("the network: %s", got)
	}
	eval[bool](p, `(() => { const s = document.createElement('script'); s.textContent = "document.title = 'owned'"; document.body.append(s); return true; })()`)
	if got := eval[string](p, `document.title`); got == "owned" {
		p.t.Error("a script that is not the page's ran")
	}
	p.keep("hostile")
}

// printAll looks at the page as it goes to paper: light, with every row and all of the ladder.
func printAll(p *tab) {
	p.wait(`document.querySelector('#pic svg .ev')`)
	n := eval[int](p, `document.querySelector('#list .row').getAttribute('aria-setsize') * 1`)
	arrows := eval[int](p, `document.querySelectorAll('#pic svg .ev').length`)
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
	}); err != nil {
		p.t.Fatal(err)
	}
	p.do(chromedp.EmulateViewport(760, 1000))
	eval[bool](p, `dispatchEvent(new Event('beforeprint'))`)
	p.wait(fmt.Sprintf(`document.querySelectorAll('#list .row').length === %d`, n))
	if got := eval[int](p, `document.querySelectorAll('#pic svg .ev').length`); got <= arrows {
		p.t.Errorf("%d shapes of the ladder, and %d on the screen: all were to be there", got, arrows)
	}
	for _, element := range []string{"body", "#list", "#pic"} {
		if got := eval[string](p, fmt.Sprintf(`getComputedStyle(document.querySelector(%q)).color`, element)); got != "rgb(17, 17, 17)" {
			p.t.Errorf("%s prints in %s", element, got)
		}
		if hidden := eval[float64](p, fmt.Sprintf(`(() => { const e = document.querySelector(%q); return e.scrollHeight - e.clientHeight; })()`, element)); hidden > 1 && element != "body" {
			p.t.Errorf("%s hides %v pixels on paper", element, hidden)
		}
	}
	p.keep("print")
	eval[bool](p, `dispatchEvent(new Event('afterprint'))`)
	p.wait(fmt.Sprintf(`document.querySelectorAll('#list .row').length <= %d`, n))
	p.silent()
}

// scrollLarge scrolls through a trace of 100,000 events to its last.
func scrollLarge(p *tab) {
	n := eval[int](p, `document.querySelector('#list .row').getAttribute('aria-setsize') * 1`)
	if n < 100_000 {
		p.t.Fatalf("%d events, want 100,000", n)
	}
	last := fmt.Sprintf(`#list .row[data-n="%d"]`, n)
	eval[bool](p, `(() => { const l = document.querySelector('#list'); l.scrollTop = l.scrollHeight; return true; })()`)
	p.wait(fmt.Sprintf(`document.querySelector('%s')`, last))
	p.click(last)
	p.wait(fmt.Sprintf(`document.querySelector('#detail-in .which b')?.textContent === '#%d'`, n))
	if rows := eval[int](p, `document.querySelectorAll('#list .row').length`); rows > 200 {
		p.t.Errorf("%d rows are in the page: more than are on the screen", rows)
	}
	// The ladder has come to the same place, and holds what is there.
	p.wait(fmt.Sprintf(`document.querySelector('#pic svg [data-n="%d"]') && document.querySelector('#pic .marker')`, n))
	if shapes := eval[int](p, `document.querySelectorAll('#pic svg *').length`); shapes > 20_000 {
		p.t.Errorf("the picture has %d shapes in the page: more than are on the screen", shapes)
	}
	p.keep("large")
	p.silent()
}

// seePictures looks at each picture of a connection: it is there, no text is cut off at its
// border and no text runs into another.
func seePictures(p *tab, name string) {
	p.wait(`document.querySelector('#pic svg')`)
	for _, tab := range eval[[]string](p, `[...document.querySelectorAll('#tabs button')].map((b) => b.dataset.tab)`) {
		p.click(`#tab-` + tab)
		p.wait(fmt.Sprintf(`document.querySelector('#pic figure').dataset.pic.endsWith('-%s')`, tab))
		p.keep(name + "-" + tab)
		// As before printing, all of a tall picture is there.
		eval[bool](p, `dispatchEvent(new Event('beforeprint'))`)
		for _, wrong := range eval[[]string](p, lookAtTexts) {
			p.t.Errorf("%s: %s", tab, wrong)
		}
		eval[bool](p, `dispatchEvent(new Event('afterprint'))`)
	}
	p.silent()
}

// lookAtTexts returns what is wrong with the texts of the pictures on the screen.
const lookAtTexts = `(() => {
	const wrong = [];
	for (const svg of document.querySelectorAll('#pic svg')) {
		const view = svg.viewBox.baseVal;
		const texts = [...svg.querySelectorAll('text')].map((e) => ({ e, box: e.getBBox(), says: e.textContent }));
		if (texts.length < 3) wrong.push('it has ' + texts.length + ' texts');
		for (const { box, says } of texts) {
			if (box.x < -0.5 || box.y < -0.5 || box.x + box.width > view.width + 0.5 || box.y + box.height > view.height + 0.5) wrong.push('cut off: ' + says);
		}
		const sorted = texts.filter((t) => t.box.width > 0).sort((a, b) => a.box.y - b.box.y);
		for (let i = 0; i < sorted.length; i++) {
			for (let k = i + 1; k < sorted.length && sorted[k].box.y < sorted[i].box.y + sorted[i].box.height; k++) {
				const [a, b] = [sorted[i].box, sorted[k].box];
				const wide = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
				const high = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
				// Boxes have the room for accents and tails: letters touch only beyond it.
				if (wide > 1 && high > 0.3 * Math.min(a.height, b.height)) wrong.push('overlap: ' + sorted[i].says + ' | ' + sorted[k].says);
			}
		}
	}
	return wrong.slice(0, 20);
})()`
