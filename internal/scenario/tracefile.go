package scenario

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"appliance/tracer"
	"appliance/tracer/sink/jsonl"
	"appliance/tracer/sink/pcapng"
)

// forms make the sinks of trace files, by the form's name, which is the file's ending.
var forms = map[string]func(path string) (tracer.Sink, error){
	"jsonl":  func(path string) (tracer.Sink, error) { return jsonl.Create(path) },
	"pcapng": func(path string) (tracer.Sink, error) { return pcapng.Create(path) },
}

// checkFile errs where the options name no form that there is, or one file for the traces
// of several combinations.
func (o *Options) checkFile(all []combination) error {
	if o.Form == "" {
		o.Form = "jsonl"
	}
	if forms[o.Form] == nil {
		return fmt.Errorf("%w: %q is no form of a trace: want jsonl or pcapng", ErrOptions, o.Form)
	}
	if o.File == "" {
		return nil
	}
	if forms[formOf(o.File)] == nil {
		return fmt.Errorf("%w: %q does not tell its form: want a name that ends in .jsonl or .pcapng", ErrOptions, o.File)
	}
	played := 0
	for i := range all {
		if res := all[i].result(); o.skips(&res) == "" {
			played++
		}
	}
	if played > 1 {
		return fmt.Errorf("%w: %q is one file, and %d combinations are played: name a directory, or ask for one of them", ErrOptions, o.File, played)
	}
	return nil
}

// formOf is a path's ending, without its dot.
func formOf(path string) string {
	if ext := filepath.Ext(path); ext != "" {
		return ext[1:]
	}
	return ""
}

// traceFile is where a result's trace is kept; "" for nowhere.
func (o *Options) traceFile(res *Result) string {
	switch {
	case o.File != "":
		return o.File
	case o.Dir != "":
		return filepath.Join(o.Dir, res.Name()+"."+o.Form)
	default:
		return ""
	}
}

// makeDir makes the directory for the traces where it is missing.
func makeDir(path string) error {
	err := os.MkdirAll(path, 0o755)
	if err == nil {
		return nil
	}
	advice := "choose another directory"
	at, cause := path, err
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		at, cause = pe.Path, pe.Err
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		advice = "choose one in a directory that you may write to"
	case errors.Is(err, syscall.ENOTDIR):
		advice = at + " is there, and is no directory: choose another, or a file that ends in .jsonl or .pcapng"
	case errors.Is(err, syscall.ENOSPC):
		advice = "free some space, or choose another file system"
	case errors.Is(err, syscall.EROFS):
		advice = "choose a file system that is not read-only"
	}
	return fmt.Errorf("make the directory %q for the traces: %w: %s", path, cause, advice)
}

// writeTrace writes a trace file, in the form that its ending tells. Where nothing could be
// written it leaves none that was not there before.
func writeTrace(path string, h tracer.Header, events []tracer.Event) error {
	_, before := os.Lstat(path)
	err := fillTrace(path, h, events)
	if err == nil || !errors.Is(before, fs.ErrNotExist) {
		return err
	}
	if info, statErr := os.Lstat(path); statErr == nil && info.Size() == 0 {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

func fillTrace(path string, h tracer.Header, events []tracer.Event) error {
	sink, err := forms[formOf(path)](path)
	if err != nil {
		return err
	}
	err = sink.Start(h)
	if err == nil {
		err = sink.Write(slices.Clone(events))
	}
	return errors.Join(err, sink.Close())
}
