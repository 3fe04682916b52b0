package importpcap_test

import (
	"testing"

	"go.uber.org/goleak"

	"appliance/internal/lab"
	"appliance/internal/runner"
)

// TestMain runs as a lab's holder where it is asked to.
func TestMain(m *testing.M) {
	lab.RegisterOpener(runner.OpenLabLink)
	lab.RunHolderIfAsked()
	goleak.VerifyTestMain(m)
}
