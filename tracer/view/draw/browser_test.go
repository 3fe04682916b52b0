package draw

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"appliance/tracer"
)

// samples are texts as the pictures have them, and each character that they are made of,
// twenty times.
func samples() []string {
	list := []string{
		"SYN ACK  seq 0  ack 1  mss 1460 ws 10 sack ts", "dropped: impairment: rule \"drop out payload>0\"",
		"[fd00:12::53]:9000", "240000.000", "recv(32768) = 10 \"echo, echo\"", "connect() ✗ connection refused",
		"静默 200 ms", "状态为推断", "丢弃：链路干扰：规则", "✗ … → ← × · µ ● ■",
	}
	for s := tracer.Closed; s <= tracer.TimeWait; s++ {
		list = append(list, s.String())
	}
	for r := '!'; r <= '~'; r++ {
		list = append(list, strings.Repeat(string(r), 20))
	}
	return list
}

// TestTextWidthInBrowser: no text is wider in a browser than the layout takes it to be.
func TestTextWidthInBrowser(t *testing.T) {
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
			break
		}
	}
	if browser == "" {
		t.Skip("no browser: install chromium")
	}
	const size = 40
	list := samples()
	c := New(100, 100, "widths")
	for _, s := range list {
		c.Text(0, size, s, size, Start, Attr{Class: Ink})
		c.Text(0, size, s, size, Start, Attr{Class: Ink + " " + Bold})
	}
	path := filepath.Join(t.TempDir(), "widths.svg")
	if err := os.WriteFile(path, []byte(svg(c)), 0o644); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	options := append(chromedp.DefaultExecAllocatorOptions[:], //nolint:gocritic // a copy is meant
		chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Env("HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	tab, closeTab := chromedp.NewContext(allocator)
	defer closeTab()
	if err := chromedp.Do(tab); err != nil {
		t.Fatalf("start %s: %v", browser, err)
	}
	ctx, cancel := context.WithTimeout(tab, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate((&url.URL{Scheme: "file", Path: path}).String())); err != nil {
		t.Fatal(err)
	}
	widths, err := chromedp.Run(ctx, chromedp.Evaluate[[]float64](
		`[...document.querySelectorAll("text")].map(t => t.getComputedTextLength())`))
	if err != nil {
		t.Fatal(err)
	}
	if len(widths) != 2*len(list) {
		t.Fatalf("%d widths of %d texts", len(widths), 2*len(list))
	}
	for i, s := range list {
		if want := TextWidth(s, size); widths[2*i] > want+0.5 {
			t.Errorf("%q is %.1f wide, more than %.1f", s, widths[2*i], want)
		}
		if want := BoldWidth(s, size); widths[2*i+1] > want+0.5 {
			t.Errorf("%q in bold is %.1f wide, more than %.1f", s, widths[2*i+1], want)
		}
	}
}
