package report

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"appliance/tracer/view"
)

// browsers are the names under which Chromium may be installed.
var browsers = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// startBrowser starts a headless Chromium that ends with the test.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	var path string
	for _, name := range browsers {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skipf("no browser: install one of %s", strings.Join(browsers, ", "))
	}
	home := t.TempDir()
	options := append(chromedp.DefaultExecAllocatorOptions[:], //nolint:gocritic // a copy is meant
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("hide-scrollbars", true),
		chromedp.Env("HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return ctx
}

// tab is a page in the browser.
type tab struct {
	t    *testing.T
	ctx  context.Context
	said func() []string // what the console has had so far
	page string
}

// open writes the report and opens it from disk in a tab of its own.
func open(browser context.Context, t *testing.T, tr *view.Trace, o Options, dark bool) *tab {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(path, []byte(render(t, tr, o)), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	p := &tab{t: t, ctx: ctx, page: (&url.URL{Scheme: "file", Path: path}).String()}
	p.listen()
	scheme := map[bool]string{true: "dark", false: "light"}[dark]
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}); err != nil {
		t.Fatal(err)
	}
	p.do(chromedp.EmulateViewport(1500, 1200), chromedp.Navigate(p.page))
	p.wait(`document.documentElement.dataset.ready === 'true' || !document.querySelector('#trouble').hidden`)
	if trouble := p.text("#trouble"); trouble != "" {
		t.Fatal(trouble)
	}
	p.wait(`document.querySelector('#pic svg') || !document.querySelector('#tabs button')`)
	return p
}

// listen gathers what the console says.
func (p *tab) listen() {
	messages := chromedp.Console(p.ctx)
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for m, err := range messages {
			if err != nil {
				return
			}
			lines <- fmt.Sprintf("%s: %s", m.Type, m.Text)
		}
	}()
	var all []string
	p.said = func() []string {
		// What was said before this mark is in when the mark is.
		p.do(chromedp.Evaluate[chromedp.Void](`console.log('mark')`))
		late := time.After(limit)
		for {
			select {
			case line, open := <-lines:
				if !open || line == "log: mark" {
					return all
				}
				all = append(all, line)
			case <-late:
				p.t.Fatal("the console says nothing")
			}
		}
	}
}

// limit is how long a step may take before the test gives up on it.
const limit = 2 * time.Minute

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// wait waits until an expression is true in the page. It looks by a timer: a browser that is
// short of processor time draws frames seldom, or not at all.
func (p *tab) wait(expression string) {
	p.t.Helper()
	p.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(
		`new Promise((done) => { const look = () => (%s) ? done(true) : setTimeout(look, 20); look(); })`, expression), chromedp.EvalAwaitPromise))
}

// eval returns an expression's value in the page.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// click clicks the middle of an element with the mouse, scrolled onto the screen. It waits
// until the element stands still: what is loaded above it moves it.
func (p *tab) click(selector string) {
	p.t.Helper()
	at := eval[[2]float64](p, fmt.Sprintf(`new Promise((done) => {
		let before = '', still = 0;
		const look = () => {
			const e = document.querySelector(%q);
			e?.scrollIntoView({ block: 'center' });
			const r = e?.getBoundingClientRect();
			const now = r ? [r.left + r.width / 2, r.top + r.height / 2] : [];
			still = String(now) === before && e ? still + 1 : 0;
			before = String(now);
			if (still > 4) done(now); else setTimeout(look, 20);
		};
		look();
	})`, selector))
	p.do(chromedp.MouseClickXY(at[0], at[1]))
}

// press presses a key as a keyboard does: what the page prevents, the browser does not do.
func (p *tab) press(key string) {
	p.t.Helper()
	for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp} {
		e := input.DispatchKeyEventParams{Type: kind, Key: key}
		if kind == input.DispatchKeyEventTypeKeyDown {
			e.Text = key
		}
		if _, err := chromedp.Call(p.ctx, input.DispatchKeyEvent, e); err != nil {
			p.t.Fatal(err)
		}
	}
}

// text is that of an element.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return eval[string](p, fmt.Sprintf(`document.querySelector(%q).textContent`, selector))
}

// silent fails the test where the console had errors or warnings.
func (p *tab) silent() {
	p.t.Helper()
	for _, line := range p.said() {
		p.t.Errorf("the console says: %s", line)
	}
}

// keep writes a screenshot to the directory that REPORT_SCREENSHOTS names, else to the
// test's own, and fails where it shows nothing.
func (p *tab) keep(name string) {
	p.t.Helper()
	dir := os.Getenv("REPORT_SCREENSHOTS")
	if dir == "" {
		dir = p.t.TempDir()
	}
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		p.t.Fatal(err)
	}
	if n := colors(p.t, png); n < 20 {
		p.t.Errorf("screenshot %s has %d colours: it is blank", name, n)
	}
}
