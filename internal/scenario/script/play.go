package script

import (
	"context"
	"errors"
	"fmt"

	"appliance/tracer"
	"appliance/tracer/sequence"
)

// errLinkGone is what a step returns that the link's end has interrupted.
var errLinkGone = errors.New("the link is gone")

// Play plays the steps, one after the other. It errs, before it plays any, when a step has no
// meaning; and when ctx ends or the link is gone, with the step that waited and what came instead.
// What earlier calls played counts: the connections go on.
func (s *Script) Play(ctx context.Context, frames []sequence.Frame) error {
	s.playing.Lock()
	defer s.playing.Unlock()
	for i := range frames {
		if err := s.check(&frames[i]); err != nil {
			return stepError(i, &frames[i], err)
		}
	}
	for i := range frames {
		if err := s.step(ctx, &frames[i]); err != nil {
			return stepError(i, &frames[i], err)
		}
	}
	return nil
}

func stepError(i int, f *sequence.Frame, err error) error {
	line := ""
	if f.Line > 0 {
		line = fmt.Sprintf(" (line %d)", f.Line)
	}
	return fmt.Errorf("script: step %d `%s`%s: %w", i+1, describe(f), line, err)
}

func (s *Script) step(ctx context.Context, f *sequence.Frame) error {
	switch f.Do {
	case sequence.FrameSend:
		for range max(1, f.Times) {
			if err := s.send(ctx, f); err != nil {
				return err
			}
		}
		return nil
	case sequence.FrameAwait:
		return s.await(ctx, f)
	default:
		return s.delay(ctx, f)
	}
}

// delay lets time pass by the clock.
func (s *Script) delay(ctx context.Context, f *sequence.Frame) error {
	over := make(chan struct{})
	timer := s.o.Clock.AfterFunc(f.For, func() { close(over) })
	defer timer.Stop()
	_, err := s.wait(ctx, over, func() bool { return false })
	return err
}

// await waits for the segment that the step describes. What is not it is passed over.
func (s *Script) await(ctx context.Context, f *sequence.Frame) error {
	left := max(1, f.Times)
	var passed []*Segment
	_, err := s.wait(ctx, nil, func() bool {
		c := s.connOf(f)
		if c == nil {
			return false
		}
		for left > 0 && len(c.queue) > 0 {
			seg := c.queue[0]
			c.queue = c.queue[1:]
			if !matches(f, seg) {
				passed = append(passed, seg)
				continue
			}
			seg.Awaited = true
			left--
		}
		return left == 0
	})
	if err == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Errorf("%w; %s", err, s.cameInstead(f.Conn, passed))
}

// matches tells whether a segment is the one that an await describes.
func matches(f *sequence.Frame, seg *Segment) bool {
	if f.Flags&^tracer.PSH != seg.Flags&^tracer.PSH {
		return false
	}
	if f.Text != "" && f.Text != string(seg.Payload) {
		return false
	}
	n := uint32(len(seg.Payload)) //nolint:gosec // below 64 KiB
	return f.Seq.Holds(seg.RelSeq) && f.Ack.Holds(seg.RelAck) && f.Len.Holds(n)
}

// wait waits until cond, which is called with mu held, or until expired is closed; it tells
// whether cond held. It errs when ctx ends or the link is gone.
func (s *Script) wait(ctx context.Context, expired <-chan struct{}, cond func() bool) (bool, error) {
	for {
		s.mu.Lock()
		held := cond()
		changed := s.changed
		s.mu.Unlock()
		if held {
			return true, nil
		}
		select {
		case <-changed:
		case <-expired:
			return false, nil
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-s.link.Done():
			if err := s.link.Err(); err != nil {
				return false, fmt.Errorf("%w: %w", errLinkGone, err)
			}
			return false, errLinkGone
		}
	}
}
