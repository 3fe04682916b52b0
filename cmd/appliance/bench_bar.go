package main

import (
	"io"
	"sync"

	"github.com/schollz/progressbar/v3"
)

// benchBar is the progress bar on a terminal; elsewhere there is none.
type benchBar struct {
	mu  sync.Mutex
	w   io.Writer
	bar *progressbar.ProgressBar // nil until the first measurement, and where there is no terminal
	tty bool
}

func newBenchBar(w io.Writer) *benchBar {
	return &benchBar{w: w, tty: isTerminal(w)}
}

func (b *benchBar) progress(done, total int, next string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.tty {
		return
	}
	if b.bar == nil {
		b.bar = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(b.w), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true),
			progressbar.OptionSetElapsedTime(true), progressbar.OptionSetWidth(24), progressbar.OptionClearOnFinish(),
			progressbar.OptionShowDescriptionAtLineEnd(), progressbar.OptionUseANSICodes(true))
	}
	b.bar.Describe(next)
	_ = b.bar.Set(done) // it only draws
}

// logf says something above the bar.
func (b *benchBar) logf(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bar != nil {
		_ = b.bar.Clear() // it only draws
	}
	logf(b.w)(format, args...)
}

// done takes the bar away.
func (b *benchBar) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bar != nil {
		_ = b.bar.Clear() // it only draws
		b.bar = nil
	}
}
