package bench

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openUnnamed makes a file that never has a name: there is no moment at which a signal could
// leave one. Not all file systems can; open(2) has EISDIR for kernels that cannot.
func openUnnamed(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, unix.O_TMPFILE|os.O_WRONLY, 0o600)
	if errors.Is(err, unix.EISDIR) {
		return nil, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return f, err // EOPNOTSUPP is errors.ErrUnsupported
}
