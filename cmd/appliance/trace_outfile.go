package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// outFile is a file that appears under its name only when it is whole: until then it is a
// temporary one beside it. What is no regular file (a FIFO, a device) and standard output
// are written as they are.
type outFile struct {
	*bufio.Writer
	path string   // "-" for standard output
	file *os.File // nil for standard output
	tmp  string   // "" where the file is written in place
	cut  bool     // what was there before is longer, perhaps
}

// createOutFile opens the file at path to be written. out is the standard output.
func createOutFile(path string, out io.Writer) (*outFile, error) {
	o := &outFile{path: path}
	if path == "-" {
		o.Writer = bufio.NewWriterSize(out, 64<<10)
		return o, nil
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil, fmt.Errorf("write %s: it is a directory: name a file in it", path)
	case err == nil && !info.Mode().IsRegular():
		o.file, err = os.OpenFile(path, os.O_WRONLY, 0)
	case err == nil || errors.Is(err, fs.ErrNotExist):
		o.path = linked(path)
		err = o.besides(info)
	}
	var place *fs.PathError // of the temporary file, whose name means nothing to anybody
	if errors.As(err, &place) {
		err = place.Err
	}
	if err != nil {
		return nil, fmt.Errorf("write %s: %w: name a file in a directory that you can write to", path, err)
	}
	o.Writer = bufio.NewWriterSize(o.file, 256<<10)
	return o, nil
}

// linked is the file that a name leads to: that is replaced, not the link.
func linked(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	target, err := os.Readlink(path)
	switch {
	case err != nil:
		return path
	case filepath.IsAbs(target):
		return target
	default: // it names what is not there yet
		return filepath.Join(filepath.Dir(path), target)
	}
}

// besides opens the temporary file; now is the one that is to be replaced, nil for none, and
// gives its mode. Where the directory takes no new file, that one is written in place.
func (o *outFile) besides(now fs.FileInfo) error {
	o.tmp = filepath.Join(filepath.Dir(o.path), "."+filepath.Base(o.path)+"."+strconv.FormatUint(rand.Uint64(), 36))
	f, err := os.OpenFile(o.tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666) //nolint:gosec // as the umask has it
	if now != nil && errors.Is(err, fs.ErrPermission) {
		o.tmp, o.cut = "", true
		o.file, err = os.OpenFile(o.path, os.O_WRONLY, 0)
		return err
	}
	if err == nil && now != nil {
		if err = f.Chmod(now.Mode().Perm()); err != nil {
			err = errors.Join(err, f.Close(), os.Remove(o.tmp))
		}
	}
	o.file = f
	return err
}

// finish ends the file: under its name where failed is nil; else nothing of it is left.
// It returns failed, and what goes wrong with the file.
func (o *outFile) finish(failed error) error {
	if failed == nil {
		failed = o.Flush()
	}
	if o.cut && failed == nil {
		var end int64
		if end, failed = o.file.Seek(0, io.SeekCurrent); failed == nil {
			failed = o.file.Truncate(end)
		}
	}
	if o.file != nil {
		failed = errors.Join(failed, o.file.Close())
	}
	if o.tmp == "" {
		return failed
	}
	if failed == nil {
		failed = os.Rename(o.tmp, o.path)
	}
	if failed != nil {
		return errors.Join(failed, os.Remove(o.tmp))
	}
	return nil
}

// name is what messages call the file.
func (o *outFile) name() string {
	if o.path == "-" {
		return "standard output"
	}
	return o.path
}

// outPath is where -w says to write, else the input's name with another ending; "-", standard
// output, for standard input and where ending is "". It errs where that is the input itself.
func outPath(c *cli.Context, input, ending string) (string, error) {
	path := c.String("write")
	switch {
	case path != "":
	case input == "-" || ending == "":
		path = "-"
	default:
		base := strings.TrimSuffix(input, ".gz")
		path = strings.TrimSuffix(base, filepath.Ext(base)) + ending
	}
	return path, notOver(c, input, "-w", path)
}

// notOver errs where path, which is to be written and which flag names, is the file that input
// names, which is read: under the same name, through a link, or as a standard stream ("-").
func notOver(c *cli.Context, input, flag, path string) error {
	in, out := fileAt(input, stdin), fileAt(path, c.App.Writer)
	switch {
	case in == nil || out == nil || !out.Mode().IsRegular() || !os.SameFile(in, out):
		return nil
	case path == "-":
		return usageErr("%sstandard output is the file that is read: send it to another", where(c))
	default:
		return usageErr("%s%s would be written over itself: name another file with %s", where(c), path, flag)
	}
}

// notOverStdout is [notOver] for standard output.
func notOverStdout(c *cli.Context, input string) error { return notOver(c, input, "", "-") }

// fileAt is the file that path names, where "-" names std; nil where there is none.
func fileAt(path string, std any) fs.FileInfo {
	var info fs.FileInfo
	var err error
	if f, ok := std.(*os.File); ok && path == "-" {
		info, err = f.Stat()
	} else {
		info, err = os.Stat(path)
	}
	if err != nil {
		return nil
	}
	return info
}

// isTerminal tells whether w is one.
func isTerminal(w io.Writer) bool {
	_, ok := terminal(w)
	return ok
}
