package tracefile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// A waiter waits, at a file's end, for what is written to it.
type waiter interface {
	// wait returns once there may be more to read: more is false where no program has the
	// file open for writing any more, so that what is there is all. It errs with ctx.
	wait(ctx context.Context) (more bool, err error)
	Close() error
}

// Follow is [Open] of a file that is being written: at its end, [File.Next] waits for more,
// until no program has the file open for writing any more, or until ctx is done; either is
// [io.EOF]. A pipe is read as Open reads it, but for ctx.
func Follow(ctx context.Context, path string, o Options) (*File, error) {
	if path == "-" {
		in := o.Stdin
		if in == nil {
			in = os.Stdin
		}
		p := newPipeReader(ctx, in)
		o.Stdin = p
		return opened(p, path, o)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, notThere(err)
	}
	if !info.Mode().IsRegular() {
		return Open(path, o)
	}
	w, err := newWaiter(path)
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", path, err)
	}
	wrap := o.Wrap
	o.Wrap = func(r io.Reader, size int64) io.Reader {
		if wrap != nil {
			r = wrap(r, size)
		}
		return &follower{ctx: ctx, r: r, w: w}
	}
	return opened(w, path, o)
}

// opened is Open, with what is to be closed along with the file.
func opened(also io.Closer, path string, o Options) (*File, error) {
	f, err := Open(path, o)
	if err != nil {
		return nil, errors.Join(err, also.Close())
	}
	closer := f.close
	f.close = func() error { return errors.Join(closer(), also.Close()) }
	return f, nil
}

// follower reads on behind a file's end.
type follower struct {
	ctx  context.Context
	r    io.Reader
	w    waiter
	last bool // nobody writes any more: the next end is the end
}

// Read implements io.Reader.
func (f *follower) Read(b []byte) (int, error) {
	for {
		n, err := f.r.Read(b)
		if n > 0 || !errors.Is(err, io.EOF) || f.last || f.ctx.Err() != nil {
			return n, err
		}
		more, err := f.w.wait(f.ctx)
		switch {
		case f.ctx.Err() != nil:
			f.last = true // what is there is still shown
		case err != nil:
			return 0, err
		default:
			f.last = !more
		}
	}
}

// lastWords is how long a pipe's writer, which the same signal ends, has to write what it
// has once the reader is told to stop.
const lastWords = 2 * time.Second

// pipeReader reads a pipe until its end or, once ctx is done, for lastWords more.
type pipeReader struct {
	ctx    context.Context
	chunks chan chunk
	quit   chan struct{}
	late   <-chan time.Time // set once ctx is done
	rest   []byte
	err    error
}

type chunk struct {
	data []byte
	err  error
}

// newPipeReader reads in on a goroutine of its own: nothing else can leave a read of a pipe
// that nothing comes out of. It ends with the pipe or, after Close, with its next read.
func newPipeReader(ctx context.Context, in io.Reader) *pipeReader {
	p := &pipeReader{ctx: ctx, chunks: make(chan chunk), quit: make(chan struct{})}
	go func() {
		var bufs [2][64 << 10]byte // one is being read into while the other is taken from
		for i := 0; ; i = 1 - i {
			n, err := in.Read(bufs[i][:])
			select {
			case p.chunks <- chunk{bufs[i][:n], err}:
			case <-p.quit:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return p
}

// Read implements io.Reader.
func (p *pipeReader) Read(b []byte) (int, error) {
	for len(p.rest) == 0 && p.err == nil {
		stop := p.ctx.Done()
		if p.late != nil {
			stop = nil
		}
		select {
		case c := <-p.chunks:
			p.rest, p.err = c.data, c.err
		case <-stop:
			p.late = time.After(lastWords)
		case <-p.late:
			p.err = io.EOF
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	if n > 0 {
		return n, nil
	}
	return 0, p.err
}

// Close lets the goroutine end.
func (p *pipeReader) Close() error {
	close(p.quit)
	return nil
}
