package scenario

import (
	"fmt"

	"appliance/configs"
	"appliance/tracer/sequence"
)

// skipsFile is the list of permitted skips, in the embedded sequences.
const skipsFile = "sequences/" + sequence.SkipsFile

// Skips are the combinations that configs/sequences/skips.yaml permits to skip.
func Skips() ([]Skip, error) {
	data, err := configs.Sequences.ReadFile(skipsFile)
	if err != nil {
		return nil, fmt.Errorf("permitted skips: %w", err)
	}
	return ParseSkips("configs/"+skipsFile, data)
}
